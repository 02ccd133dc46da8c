"""The webhook server's TLS context, which takes a renewed certificate without closing its port.

New connections get the new certificate, open ones go on with what they began with. A server that listened anew would
refuse requests for a moment, and with `failurePolicy: Fail` each of them is somebody's failed `kubectl apply`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import tempfile
from pathlib import Path

from grove_operator.kube.certificates import CertificateFiles

log = logging.getLogger(__name__)
CHECK_PERIOD_S = 2.0


class ServingCertificate:
    """`context` always holds the last pair that fitted together. Raises OSError or ssl.SSLError when the first
    doesn't."""

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._digest = ""
        self.reload()

    def reload(self) -> bool:
        """Whether there was something new. Both files are read once, tried on a context of its own and then used, so
        that a pair caught halfway through its replacement never spoils the live context."""
        cert, key = self._files.cert.read_bytes(), self._files.key.read_bytes()
        digest = hashlib.sha256(cert + b"\0" + key).hexdigest()
        if digest == self._digest:
            return False
        with tempfile.TemporaryDirectory(prefix="grove-serving-") as folder:
            pem = Path(folder) / "pair.pem"
            pem.touch(mode=0o600)
            pem.write_bytes(cert.rstrip() + b"\n" + key)
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(pem)
            self.context.load_cert_chain(pem)
        self._digest = digest
        return True

    async def follow(self, period_s: float = CHECK_PERIOD_S) -> None:
        """Look at the files so often, for ever. Mounted Secrets change without a sign that one could wait for."""
        while True:
            await asyncio.sleep(period_s)
            try:
                if self.reload():
                    log.info("the webhook server has a new certificate")
            except (OSError, ssl.SSLError) as error:
                log.warning("the certificate in %s can't be used (%s); the former one stays", self._files.folder, error)

"""What the operator does for the conversion server: its certificate, the CRDs that name it, and the move of storage.

certificate in the server's Secret ──> its CA in the CRDs ──> it answers ──> v1beta1 served and stored ──> rewritten
every replica                                                                                     the leader
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from grove_operator.api.constants import CONVERSION_NAME
from grove_operator.api.install_conversion import CONVERSION_SECRET
from grove_operator.kube.certificate_pair import dns_names
from grove_operator.kube.certificates import CertificateFiles, CertificateKeeper
from grove_operator.kube.conversion_probe import ConversionProbe
from grove_operator.kube.crd_keeper import CrdKeeper
from grove_operator.kube.process import Process
from grove_operator.kube.storage_version import StorageMover


class ConversionDuty:
    """`folder` is for the certificate's files; `given` are those that came with the operator's own certificate where
    certificates are provided by hand, and both servers have the same."""

    def __init__(
        self, this: Process, port: int, folder: Path, given: CertificateFiles | None, is_ours: Callable[[], bool]
    ) -> None:
        self._this, self._is_ours = this, is_ours
        files = given or CertificateFiles(folder)
        probe = ConversionProbe(this.api, this.namespace, port, files.ca.read_bytes)
        self.keeper = CrdKeeper(
            this.api,
            this.clock,
            (this.namespace, port),
            files.ca.read_bytes,
            probe.fault,
            promotes=this.config.dynamo.serve_v1beta1,
            is_ours=is_ours,
        )
        self._certificate = None if given else self._own_certificate(files)

    def _own_certificate(self, files: CertificateFiles) -> CertificateKeeper:
        return CertificateKeeper(
            self._this.api,
            self._this.clock,
            self._this.namespace,
            CONVERSION_SECRET,
            files,
            names=dns_names(CONVERSION_NAME, self._this.namespace),
            webhooks=(),
            on_written=self.keeper.look_again,
        )

    def start(self) -> None:
        """On every replica."""
        if self._certificate is not None:
            self._this.supervisor.start("the keeper of the conversion certificate", self._certificate.run())
        self._this.supervisor.start("the keeper of conversions", self._keep())

    async def _keep(self) -> None:
        if self._certificate is not None:
            await self._certificate.written.wait()
        await self.keeper.run()

    def start_moving(self) -> None:
        """On the leader."""
        mover = StorageMover(self._this.api, self._this.clock, is_ours=self._is_ours)
        self._this.supervisor.start("the mover of stored versions", mover.run())

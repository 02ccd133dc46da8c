"""The conversion server's process: TLS, ConversionReviews in and out, and nothing else.

    grove-conversion --certificates DIR --port N [--address A]

    POST /convert  ──> kube.conversion          GET /healthz  ──> 200 while it serves

The API server asks it whenever an object is wanted in another version than it is stored in, so nothing that reads
graphs works without it, the operator least of all. Therefore it is a process of its own that depends on nothing: no
API access, no configuration, no leader. Its certificate lies in a mounted Secret that the operator fills once; the
kubelet starts no container before that, and follows renewals. Exit codes are those of `process`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from grove_operator import __version__
from grove_operator.api.constants import CONVERSION_NAME
from grove_operator.api.install_conversion import CONVERSION_PATH, HEALTH_PATH
from grove_operator.kube.certificates import CertificateFiles
from grove_operator.kube.conversion import convert_review
from grove_operator.kube.logs import configure_logging
from grove_operator.kube.process import EXIT_OK, EXIT_START, end
from grove_operator.kube.serving_certificate import ServingCertificate
from grove_operator.kube.webhook_port import PortTaken, refuse_a_strangers_port

log = logging.getLogger(__name__)

MAX_REVIEW_BYTES = 128 << 20
"""A list of every graph of a cluster comes in one review."""
END_WITHIN_S = 2.0
PORT_REMEDY = "--port (stack config: grove:operator.conversionPort)"


def main(argv: Sequence[str] | None = None) -> None:
    """Console script `grove-conversion`."""
    options = _parse(argv)
    configure_logging("info", options.log_format)
    try:
        asyncio.run(_run(options))
    except (OSError, ssl.SSLError, PortTaken) as error:
        log.error("%s can't serve on port %d: %s", CONVERSION_NAME, options.port, error)
        end(EXIT_START)
    end(EXIT_OK)


async def convert(request: web.Request) -> web.Response:
    """Answers anything: what is no JSON is told so, as a review that failed."""
    try:
        review = json.loads(await request.read())
    except ValueError:
        review = None
    return web.json_response(await asyncio.to_thread(convert_review, review))


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    files = CertificateFiles(options.certificates)
    certificate = ServingCertificate(files)
    await refuse_a_strangers_port(options.address, options.port, files.ca, PORT_REMEDY)
    app = web.Application(client_max_size=MAX_REVIEW_BYTES)
    app.add_routes([web.post(CONVERSION_PATH, convert), web.get(HEALTH_PATH, _healthz)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=END_WITHIN_S)
    await runner.setup()
    follower = asyncio.create_task(certificate.follow(), name="follow the certificate")
    try:
        # reuse_port: during a rolling update on one host the successor listens before its predecessor has gone.
        site = web.TCPSite(runner, options.address, options.port, ssl_context=certificate.context, reuse_port=True)
        await site.start()
        log.info("%s %s serves on port %d", CONVERSION_NAME, __version__, options.port)
        await stopped.wait()
    finally:
        follower.cancel()
        await runner.cleanup()
    log.info("%s has ended", CONVERSION_NAME)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=CONVERSION_NAME, description=__doc__.partition("\n")[0])
    parser.add_argument("--certificates", type=Path, required=True, help="folder of tls.crt, tls.key and ca.crt")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", default="0.0.0.0", help="to listen on")  # noqa: S104 - as every pod does
    parser.add_argument("--log-format", choices=("json", "text"), default="json")
    return parser.parse_args(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    main()

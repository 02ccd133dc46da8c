"""Logging as the configuration wants it: JSON lines or text, to stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
QUIET = {
    # every refused manifest is an "error" to kopf; ours are logged where they happen, as information
    "kopf.objects": logging.CRITICAL,
    "kopf._core.reactor.running": logging.ERROR,  # that it runs outside the main thread is on purpose
    "kopf": logging.WARNING,
    "aiohttp.access": logging.WARNING,
}


class JsonLines(logging.Formatter):
    """One object a line: level, ts (RFC 3339, UTC), logger, msg, and error with its trace."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": record.levelname.lower(),
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, log_format: str) -> None:
    """`level` is debug, info or error; `log_format` is json or text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    if level != "debug":
        for name, quiet in QUIET.items():
            logging.getLogger(name).setLevel(max(quiet, LEVELS[level]))

"""Which creates have been sent, kept on disk, so that a create whose answer was lost can be finished by the next run.

`create` is a POST where AlreadyExists is an error, so without a record an object that came into being while the API
server or the engine died would block every later `pulumi up`. An entry is written before the POST. It is dropped when
the server refuses; when the server agrees it is kept until the engine has ended in an orderly way and so has the object
in its state. An existing object is taken over only if an entry of an *unfinished* create names it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from standin_provider.objects import CLIENT_MANAGER
from standin_provider.wire import Json

_CLOCK_SLACK_S = 5.0


@dataclass(frozen=True)
class Entry:
    """One create. `at`: when it was first sent, seconds since the epoch; `run`: the provider process that sent it."""

    path: str
    run: str
    answered: bool
    at: float

    def made(self, live: Json) -> bool:
        """Whether `live` can have come from this create: not older than it, and made by our field manager."""
        metadata = live.get("metadata") or {}
        born = datetime.fromisoformat(
            str(metadata.get("creationTimestamp", "1970-01-01T00:00:00Z")).replace("Z", "+00:00")
        )
        managers = {field.get("manager") for field in metadata.get("managedFields") or []}
        return (CLIENT_MANAGER in managers or not managers) and born.timestamp() >= self.at - _CLOCK_SLACK_S


class Journal:
    """Without a folder nothing is recorded, and nothing is taken over."""

    def __init__(self, folder: Path | None = None):
        self._folder = folder
        self._run = uuid.uuid4().hex
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def sent(self, server: str, path: str) -> Entry | None:
        """About to POST the object at `path` (its future address on `server`). Returns an earlier unfinished create."""
        earlier = self._read(self._file(server, path))
        unfinished = earlier if earlier and not (earlier.answered and earlier.run == self._run) else None
        self._write(server, Entry(path, self._run, False, unfinished.at if unfinished else time.time()))
        return unfinished

    def created(self, server: str, path: str) -> None:
        self._write(server, Entry(path, self._run, True, time.time()))

    def forget(self, server: str, path: str) -> None:
        """The create was refused, or the engine has shown that it knows the object, or it is gone."""
        if (file := self._file(server, path)) is not None:
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """The engine ended in an orderly way: what was answered in this run is in its state."""
        for file in self._folder.glob("*.json") if self._folder is not None else ():
            entry = self._read(file)
            if entry is None or (entry.answered and entry.run == self._run):
                file.unlink(missing_ok=True)

    def _write(self, server: str, entry: Entry) -> None:
        if (file := self._file(server, entry.path)) is not None:
            temporary = file.with_suffix(".tmp")
            temporary.write_text(json.dumps(asdict(entry)))
            temporary.replace(file)

    def _file(self, server: str, path: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(f'{server}{path}'.encode()).hexdigest()[:32]}.json"

    @staticmethod
    def _read(file: Path | None) -> Entry | None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            if file is not None:
                return Entry(**json.loads(file.read_text()))
        return None

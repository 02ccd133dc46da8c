"""Downloads a vendor's archive, only if its SHA-256 is pinned, resuming where an earlier try stopped."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from grove_operator.localcluster.tools_pins import TOOLCHAIN, Program, this_platform
from grove_operator.localcluster.tools_report import Report, Step

MIRROR = "GROVE_TOOLS_MIRROR"
"""Environment variable: a base URL that takes the place of every vendor's scheme and host."""
PROBE_TIMEOUT_S = 3.0
_STALL_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


class ArchiveError(Exception):
    """The archive can't be had or isn't the pinned one; the message is fit to be shown."""


class Archives:
    """The vendors' archives as seen by one run: one reachability probe, made only when a download is due."""

    def __init__(self, checksums: Path | None = None, mirror: str | None = None) -> None:
        self._checksums = _read_checksums(checksums or TOOLCHAIN / "checksums.toml")
        self._mirror = (mirror if mirror is not None else os.environ.get(MIRROR, "")).rstrip("/")
        self._reachable: bool | None = None

    def checksum(self, program: Program) -> str | None:
        """The pinned SHA-256 in hex of this platform's archive; None: it must not be downloaded."""
        return self._checksums.get(program.name, {}).get(program.version, {}).get("-".join(this_platform()))

    def url(self, program: Program) -> str:
        url = program.archive.url_for(program.version, *this_platform())
        parts = urlsplit(url)
        return url.replace(f"{parts.scheme}://{parts.netloc}", self._mirror, 1) if self._mirror else url

    def is_reachable(self, url: str) -> bool:
        """One HEAD request of at most 3 s a run; any answer counts, even an error status."""
        if self._reachable is None:
            parts = urlsplit(url)
            request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", method="HEAD")  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S):  # noqa: S310
                    self._reachable = True
            except urllib.error.HTTPError as error:
                error.close()
                self._reachable = True
            except OSError:
                self._reachable = False
        return self._reachable

    def fetch(self, program: Program, into: Path, partial: Path, report: Report) -> None:
        """Puts the program into the folder `into`; `partial` is the file that a resumed download continues."""
        wanted = self.checksum(program)
        if wanted is None:
            raise ArchiveError(f"no checksum of {program.name} {program.version} is pinned")
        url = self.url(program)
        title = f"downloading {program.name} {program.version}"
        resumed = partial.exists()
        with report.step(title, "bytes") as step:
            got = _download(url, partial, step)
            if got != wanted and resumed:  # the earlier part may be of another file: once more, from nothing
                partial.unlink()
                got = _download(url, partial, step)
        if got != wanted:
            partial.unlink()
            raise ArchiveError(
                f"{url} has SHA-256 {got}, pinned is {wanted}; it was thrown away. If the vendor has changed the "
                "archive on purpose, pin the new checksum in toolchain/checksums.toml"
            )
        _unpack(program, partial, into)
        partial.unlink()


def _read_checksums(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ArchiveError(f"{path} isn't TOML: {error}") from error


def _download(url: str, partial: Path, step: Step) -> str:
    """SHA-256 in hex of the whole file after the download."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_STALL_TIMEOUT_S) as answer:  # noqa: S310
            is_rest = answer.status == 206
            done = have if is_rest else 0
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else None
            with partial.open("ab" if is_rest else "wb") as file:
                while chunk := answer.read(_CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    step.update(done, total)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:  # 416: nothing is left to send
            raise ArchiveError(f"{url} answers {error.code} {error.reason}") from error
    except OSError as error:
        raise ArchiveError(f"{url}: {error}; what came so far is kept, the next run goes on from there") from error
    with partial.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(program: Program, archive: Path, into: Path) -> None:
    members = program.archive.members_for(program.version, *this_platform())
    if not members:
        with archive.open("rb") as whole:
            _write_program(whole, into / program.name)
        return
    try:
        with tarfile.open(archive) as tar:
            for member in members:
                source = tar.extractfile(member)
                if source is None:
                    raise ArchiveError(f"{member} isn't a file in {archive.name}")
                _write_program(source, into / Path(member).name)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise ArchiveError(f"the archive of {program.name} can't be unpacked: {error}") from error


def _write_program(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
    target.chmod(0o755)

"""Downloads, against a file server on loopback that also knows ranges and counts what it is asked."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from grove_operator.localcluster.controlplane import free_ports
from grove_operator.localcluster.tools import ToolError, obtain
from grove_operator.localcluster.tools_archive import Archives
from grove_operator.localcluster.tools_pins import PROGRAMS, this_platform
from grove_operator.localcluster.tools_report import SilentReport

KUBECTL = b"#!/bin/sh\necho 'Client Version: v1.36.3'\n" + b"#" * 5000


class Vendor:
    """One answer for every path; `requests` are (method, path, Range header)."""

    def __init__(self) -> None:
        self.body = KUBECTL
        self.requests: list[tuple[str, str, str | None]] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                vendor.requests.append(("HEAD", self.path, None))
                self.send_error(403)

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                vendor.requests.append(("GET", self.path, wanted))
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
                if start and start >= len(vendor.body):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(vendor.body) - start))
                self.end_headers()
                self.wfile.write(vendor.body[start:])

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def downloads(self) -> list[str | None]:
        return [wanted for method, _, wanted in self.requests if method == "GET"]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.close()


def pinned(folder: Path, mirror: str, name: str, content: bytes) -> Archives:
    """Archives with this one checksum pinned."""
    pins = folder / "checksums.toml"
    digest = hashlib.sha256(content).hexdigest()
    pins.write_text(f'[{name}."{PROGRAMS[name].version}"]\n{"-".join(this_platform())} = "{digest}"\n')
    return Archives(pins, mirror)


def get(name: str, archives: Archives, *, offline: bool = False) -> Path:
    return obtain(name, offline=offline, report=SilentReport(), archives=archives).path


def test_a_pinned_program_is_downloaded_from_the_base_url_in_place_of_the_vendors(
    cache: Path, tmp_path: Path, vendor: Vendor
) -> None:
    path = get("kubectl", pinned(tmp_path, vendor.url, "kubectl", KUBECTL))
    assert path.read_bytes() == KUBECTL
    assert path.stat().st_mode & 0o111
    system, arch = this_platform()
    assert ("GET", f"/v1.36.3/bin/{system}/{arch}/kubectl", None) in vendor.requests


def test_the_environment_can_name_the_base_url(
    cache: Path, tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROVE_TOOLS_MIRROR", vendor.url + "/")
    pinned(tmp_path, "", "kubectl", KUBECTL)
    assert get("kubectl", Archives(tmp_path / "checksums.toml")).read_bytes() == KUBECTL


def test_a_second_run_finds_it_in_the_cache(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    archives = pinned(tmp_path, vendor.url, "kubectl", KUBECTL)
    assert get("kubectl", archives) == get("kubectl", archives)
    assert len(vendor.downloads) == 1


def test_nothing_is_asked_of_the_network_without_a_pinned_checksum(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    with pytest.raises(ToolError, match="no checksum is pinned"):
        get("kubectl", Archives(tmp_path / "none.toml", vendor.url))
    assert vendor.requests == []


def test_nothing_is_asked_of_the_network_when_offline(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    with pytest.raises(ToolError, match="skipped \\(--offline\\)"):
        get("kubectl", pinned(tmp_path, vendor.url, "kubectl", KUBECTL), offline=True)
    assert vendor.requests == []


def test_a_file_that_isnt_the_pinned_one_is_refused_and_thrown_away(
    cache: Path, tmp_path: Path, vendor: Vendor
) -> None:
    archives = pinned(tmp_path, vendor.url, "kubectl", KUBECTL)
    vendor.body = KUBECTL.replace(b"1.36.3", b"6.6.6!")
    with pytest.raises(ToolError, match=r"kubectl: .* has SHA-256 .*, pinned is .*thrown away"):
        get("kubectl", archives)
    assert [path.name for path in (cache / "kubectl").iterdir()] == []


def test_a_tampered_archive_of_a_buildable_program_is_an_error_not_a_build(
    cache: Path, tmp_path: Path, vendor: Vendor
) -> None:
    archives = pinned(tmp_path, vendor.url, "etcd", b"the archive that was pinned")
    with pytest.raises(ToolError, match=r"etcd: .* has SHA-256"):
        get("etcd", archives)


def test_an_interrupted_download_goes_on_where_it_stopped(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    partial = cache / "kubectl" / "1.36.3.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(KUBECTL[:1234])
    assert get("kubectl", pinned(tmp_path, vendor.url, "kubectl", KUBECTL)).read_bytes() == KUBECTL
    assert vendor.downloads == ["bytes=1234-"]
    assert not partial.exists()


def test_a_partial_file_of_something_else_is_downloaded_anew(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    partial = cache / "kubectl" / "1.36.3.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"an older file's beginning")
    assert get("kubectl", pinned(tmp_path, vendor.url, "kubectl", KUBECTL)).read_bytes() == KUBECTL
    assert vendor.downloads == ["bytes=25-", None]


def test_a_complete_partial_file_is_taken_as_it_is(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    partial = cache / "kubectl" / "1.36.3.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(KUBECTL)
    assert get("kubectl", pinned(tmp_path, vendor.url, "kubectl", KUBECTL)).read_bytes() == KUBECTL


def test_members_are_taken_out_of_a_tar_archive(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    names = ("pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
    vendor.body = tar({f"pulumi/{name}": name.encode() for name in (*names, "pulumi")})
    path = get("pulumi-language-python", pinned(tmp_path, vendor.url, "pulumi-language-python", vendor.body))
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(names)
    assert (path.parent / names[2]).read_bytes() == names[2].encode()


@pytest.mark.parametrize("body", [b"no tar at all", b"\x1f\x8bcut short"])
def test_a_pinned_but_corrupt_archive_is_an_error_and_installs_nothing(
    cache: Path, tmp_path: Path, vendor: Vendor, body: bytes
) -> None:
    vendor.body = body
    with pytest.raises(ToolError, match=r"the archive of etcd can't be unpacked(?s:.)*Go isn't installed"):
        get("etcd", pinned(tmp_path, vendor.url, "etcd", body))
    assert not [path for path in (cache / "etcd").iterdir() if path.is_dir()]


def test_an_archive_without_the_program_is_an_error(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    vendor.body = tar({"other/thing": b"x"})
    with pytest.raises(ToolError, match="can't be unpacked"):
        get("etcd", pinned(tmp_path, vendor.url, "etcd", vendor.body))


def test_one_probe_a_run_tells_that_the_network_is_away(cache: Path, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    archives = pinned(tmp_path, nobody, "kubectl", KUBECTL)
    with pytest.raises(ToolError, match=f"{nobody}.* can't be reached"):
        get("kubectl", archives)


def test_the_probe_is_made_once_and_any_answer_counts(cache: Path, tmp_path: Path, vendor: Vendor) -> None:
    archives = pinned(tmp_path, vendor.url, "kubectl", KUBECTL)
    get("kubectl", archives)
    (cache / "kubectl" / "1.36.3" / "kubectl").unlink()
    get("kubectl", archives)
    assert [request for request in vendor.requests if request[0] == "HEAD"] == [("HEAD", "/", None)]


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()

"""A Kubernetes API on loopback with a dictionary behind it: discovery, create, get, apply, delete."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KINDS = {
    "/api/v1": [("ConfigMap", "configmaps", True), ("Namespace", "namespaces", False), ("Secret", "secrets", True)],
    "/apis/apps/v1": [("Deployment", "deployments", True)],
    "/apis/rbac.authorization.k8s.io/v1": [("ClusterRole", "clusterroles", False)],
    "/apis/apiextensions.k8s.io/v1": [("CustomResourceDefinition", "customresourcedefinitions", False)],
}


class FakeApiServer:
    """`requests` are (method, path, query, body). `drop_answer_of` creates of that name succeed unanswered."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.drop_answer_of = ""
        self.refuse: dict[str, Any] | None = None
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, query, body))
        if method == "GET" and path in KINDS:
            return 200, {"resources": [{"kind": k, "name": n, "namespaced": s} for k, n, s in KINDS[path]]}
        if self.refuse is not None and method != "GET":
            return int(self.refuse["code"]), self.refuse
        if method == "POST":
            return self._create(f"{path}/{body['metadata']['name']}", body, dry="dryRun" in query)
        if path not in self.objects:
            return 404, {"reason": "NotFound", "message": f"{path} not found", "code": 404}
        if method == "PATCH" and isinstance(body, dict):
            self.objects[path] = {**self.objects[path], **body, "metadata": self.objects[path]["metadata"]}
        if method == "DELETE":
            return 200, self.objects.pop(path)
        return 200, self.objects[path]

    def _create(self, path: str, body: Any, *, dry: bool) -> tuple[int, Any]:
        if path in self.objects:
            return 409, {"reason": "AlreadyExists", "message": f"{path} already exists", "code": 409}
        made = {"uid": "u1", "resourceVersion": "7", "creationTimestamp": "2999-01-01T00:00:00Z"}
        managed = [{"manager": "pulumi-kubernetes", "operation": "Update", "fieldsV1": {"f:data": {}}}]
        obj = {**body, "metadata": {**body["metadata"], **made, "managedFields": managed}}
        if not dry:
            self.objects[path] = obj
        return (0 if body["metadata"]["name"] == self.drop_answer_of else 201), obj


@contextmanager
def fake_apiserver() -> Iterator[FakeApiServer]:
    fake = FakeApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            address = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            status, answer = fake.answer(self.command, address.path, query, json.loads(raw) if raw else None)
            if status == 0:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(server: str) -> str:
    return json.dumps(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t0ken"}}],
        }
    )

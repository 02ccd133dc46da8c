"""List and watch of one gang's pods with the standard library's HTTP client, as the pod's service account."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
POD_INFO_DIR = "/var/grove/pod-info"
GANG_LABEL = "grove.io/podgang"
WATCH_S = 300
ANSWER_S = 30.0


class SetupError(Exception):
    """Something that the pod should have been given is not there."""


class WatchError(Exception):
    """The API server did not answer, or not as hoped: try again."""


@dataclass(frozen=True)
class GangPods:
    """Where the gang's pods are to be read."""

    host: str
    port: int
    account: Path
    namespace: str
    gang: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> GangPods:
        """From the environment and the mounted files. Raises SetupError.

        GROVE_SERVICEACCOUNT_DIR and GROVE_POD_INFO_DIR name the folders where they cannot be mounted in their places.
        """
        info = Path(environment.get("GROVE_POD_INFO_DIR") or POD_INFO_DIR)
        account = Path(environment.get("GROVE_SERVICEACCOUNT_DIR") or ACCOUNT_DIR)
        try:
            host, port = environment["KUBERNETES_SERVICE_HOST"], int(environment["KUBERNETES_SERVICE_PORT"])
            gang, namespace = (info / "podgangname").read_text().strip(), (info / "namespace").read_text().strip()
        except KeyError as error:
            raise SetupError(f"environment variable {error.args[0]} is not set: not in a pod?") from None
        except ValueError:
            raise SetupError("KUBERNETES_SERVICE_PORT is not a number") from None
        except OSError as error:
            raise SetupError(f"{error.filename} cannot be read: {error.strerror}") from None
        if not gang:
            raise SetupError(f"the pod carries no label {GANG_LABEL}")
        for name in ("token", "ca.crt"):
            if not (account / name).is_file():
                raise SetupError(f"{account / name} is missing: is the token's Secret filled?")
        return cls(host, port, account, namespace, gang)

    def list(self) -> tuple[list[dict[str, Any]], str]:
        """The pods, and the position to watch from. Raises WatchError."""
        with self._answer({}) as answer:
            body = self._decoded(answer.read())
        return body["items"], body["metadata"]["resourceVersion"]

    def watch(self, position: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(event type, pod) until the server ends the watch. Raises WatchError."""
        more = {"watch": "1", "resourceVersion": position, "timeoutSeconds": str(WATCH_S)}
        with self._answer(more) as answer:
            while True:
                try:
                    line = answer.readline()
                except (OSError, http.client.HTTPException) as error:
                    raise WatchError(f"the watch broke off: {error}") from error
                if not line:
                    return
                event = self._decoded(line)
                if event["type"] == "ERROR":
                    raise WatchError(f"the watch ended: {event['object'].get('message', '')}")
                yield event["type"], event["object"]

    def _answer(self, query: Mapping[str, str]) -> http.client.HTTPResponse:
        selected = urlencode({"labelSelector": f"{GANG_LABEL}={self.gang}", **query})
        path = f"/api/v1/namespaces/{self.namespace}/pods?{selected}"
        try:
            trust = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
            token = (self.account / "token").read_text().strip()
            wait_s = WATCH_S + ANSWER_S if "watch" in query else ANSWER_S
            connection = http.client.HTTPSConnection(self.host, self.port, context=trust, timeout=wait_s)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise WatchError(f"the API server answers {answer.status}: {answer.read(500).decode(errors='replace')}")
            return answer
        except (OSError, http.client.HTTPException) as error:
            raise WatchError(f"no answer from {self.host}:{self.port}: {error}") from error

    def _decoded(self, text: bytes) -> dict[str, Any]:
        try:
            body: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise WatchError(f"the API server's answer is not JSON: {error}") from None
        return body

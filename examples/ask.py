#!/usr/bin/env python3
"""Asks a Dynamo graph as the article does: the list of models, then a chat completion, token by token.

    kubectl port-forward svc/<graph>-frontend <free port>:8000  <──  GET /v1/models, POST /v1/chat/completions

Standard library only. Exit code 1 when no model is listed within --patience seconds or nothing is streamed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextmanager
def forwarded(kubectl: list[str], service: str) -> Iterator[int]:
    """A local port that leads to the service's port 8000."""
    command = [*kubectl, "port-forward", f"svc/{service}", ":8000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := _LISTENS.search(line):
                    yield int(found[1])
                    return
            sys.exit(f"{' '.join(command)} ended with code {process.wait()}")
        finally:
            process.terminate()


def models(port: int) -> list[str]:
    """Names of the models that the frontend lists now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v1/models")
    answer = json.loads(connection.getresponse().read())
    return [model["id"] for model in answer["data"]]


def tokens(port: int, model: str, question: str, count: int) -> Iterator[str]:
    """The answer's pieces as they arrive."""
    body = {"model": model, "stream": True, "max_tokens": count, "messages": [{"role": "user", "content": question}]}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    if response.status != http.client.OK:
        sys.exit(f"/v1/chat/completions answers {response.status}: {response.read().decode()}")
    for raw in response:
        line = raw.decode().strip()
        if line.startswith("data: ") and line != "data: [DONE]":
            for choice in json.loads(line.removeprefix("data: ")).get("choices", []):
                if piece := choice.get("delta", {}).get("content"):
                    yield piece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--service", default="dynamo-grove-frontend")
    parser.add_argument("--question", default="What runs in a gang?")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--patience", type=float, default=60, help="seconds until a model must be listed")
    options = parser.parse_args()
    kubectl = ["kubectl", "--kubeconfig", options.kubeconfig, "--namespace", options.namespace]
    with forwarded(kubectl, options.service) as port:
        deadline = time.monotonic() + options.patience
        while not (listed := models(port)):
            if time.monotonic() > deadline:
                sys.exit(f"no model is listed after {options.patience:g} s; see kubectl logs of the workers")
            time.sleep(0.5)
        print(f"/v1/models lists {', '.join(listed)}")
        print(f"> {options.question}")
        pieces = 0
        for piece in tokens(port, listed[0], options.question, options.tokens):
            print(piece, end="", flush=True)
            pieces += 1
        print(f"\n({pieces} pieces streamed)")
        if pieces < 2:
            sys.exit("nothing was streamed")


if __name__ == "__main__":
    main()

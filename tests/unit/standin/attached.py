"""A stand-in in this process, spoken to over gRPC as the engine does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from standin_provider.__main__ import serve

REQUESTS: dict[str, Any] = {
    "GetPluginInfo": Empty,
    "CheckConfig": provider_pb2.CheckRequest,
    "DiffConfig": provider_pb2.DiffRequest,
    "Configure": provider_pb2.ConfigureRequest,
    "Check": provider_pb2.CheckRequest,
    "Diff": provider_pb2.DiffRequest,
    "Create": provider_pb2.CreateRequest,
    "Update": provider_pb2.UpdateRequest,
    "Read": provider_pb2.ReadRequest,
    "Delete": provider_pb2.DeleteRequest,
    "Invoke": provider_pb2.InvokeRequest,
    "Construct": provider_pb2.ConstructRequest,
    "Attach": plugin_pb2.PluginAttach,
    "Cancel": Empty,
}


@dataclass
class Connection:
    """One connection of the engine, which is one provider instance."""

    stub: provider_pb2_grpc.ResourceProviderStub

    def call(self, method: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer as JSON. Raises grpc.RpcError."""
        message = json_format.ParseDict(request or {}, REQUESTS[method](), ignore_unknown_fields=True)
        answer: dict[str, Any] = json_format.MessageToDict(getattr(self.stub, method)(message, timeout=60))
        return answer


class Attached:
    def __init__(self, port: int):
        self._port = port
        self._channels: list[grpc.Channel] = []

    def connect(self) -> Connection:
        # A pool of its own for each: gRPC would share one connection among channels to the same address otherwise.
        channel = grpc.insecure_channel(f"127.0.0.1:{self._port}", options=[("grpc.use_local_subchannel_pool", 1)])
        self._channels.append(channel)
        return Connection(provider_pb2_grpc.ResourceProviderStub(channel))

    def configured(self, kubeconfig: str, **args: Any) -> Connection:
        connection = self.connect()
        connection.call("Configure", {"args": {"kubeconfig": kubeconfig, **args}})
        return connection

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


@contextmanager
def attached(journal: Path | None = None) -> Iterator[Attached]:
    server, port, provider = serve(journal=journal)
    client = Attached(port)
    try:
        yield client
    finally:
        client.close()
        server.stop(grace=None).wait()
        provider.close()

"""Lines shown next to a resource while it is worked on, sent to the engine that is attached."""

from __future__ import annotations

import threading

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineLog:
    """Thread-safe. A line that can't be delivered is dropped: it is never worth failing an operation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}

    def status(self, engine: str, urn: str, text: str) -> None:
        """Replaces the resource's last status line."""
        self._send(engine, engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True))

    def warning(self, engine: str, urn: str, text: str) -> None:
        self._send(engine, engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text, urn=urn))

    def close(self) -> None:
        with self._lock:
            channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.close()

    def _send(self, engine: str, line: engine_pb2.LogRequest) -> None:
        if not engine:
            return
        with self._lock:
            channel = self._channels.setdefault(engine, grpc.insecure_channel(engine))
        try:
            engine_pb2_grpc.EngineStub(channel).Log(line, timeout=5)
        except grpc.RpcError:
            return

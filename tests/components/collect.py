"""Runs a Pulumi program without an engine and returns what it registered, as plain data."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import config as runtime_config
from pulumi.runtime import mocks, settings
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_pulumi_func

from grove_operator.api.crds import all_crds

SECRET_KEY = "4dabf18193072939515e22adb298388d"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
INSTALLED: dict[str, dict[str, Any]] = {crd["metadata"]["name"]: crd for crd in all_crds()}
INSTALLED["grove-system/grove-operator"] = {"kind": "Deployment"}
"""An installation of this very release."""


@dataclass(frozen=True)
class Secret:
    """A value that the engine would keep encrypted."""

    value: Any


@dataclass(frozen=True)
class Registration:
    """One resource as the engine would see it; `parent`, `depends_on` and `provider` are names."""

    type: str
    name: str
    parent: str
    depends_on: tuple[str, ...]
    depends_on_kinds: tuple[str, ...]
    protect: bool
    retain_on_delete: bool
    provider: str
    version: str
    inputs: dict[str, Any]
    ignore_changes: tuple[str, ...] = ()
    delete_before_replace: bool = False
    replacement_trigger: Any = None
    timeout: str = ""
    urn: str = ""
    former_urns: tuple[str, ...] = ()
    """What its aliases say that it was called before."""

    @property
    def line(self) -> str:
        flags = " protect" * self.protect + " retain" * self.retain_on_delete
        after = f" after {', '.join(self.depends_on_kinds)}" if self.depends_on else ""
        return f"{self.parent or '-'} > {self.type} {self.name}{flags}{after}"


@dataclass
class Run:
    registrations: list[Registration]
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Registered outputs of components, by name."""
    reads: list[str] = field(default_factory=list)
    """Ids of the objects that were read, not made."""
    exports: dict[str, Any] = field(default_factory=dict)
    """What the program returned, resolved; None where unknown."""

    def named(self, name: str, type_part: str = "") -> Registration:
        found = [r for r in self.registrations if r.name == name and type_part in r.type]
        assert len(found) == 1, f"{name} {type_part}: {len(found)} of {[r.line for r in self.registrations]}"
        return found[0]

    def of_type(self, type_part: str) -> list[Registration]:
        return [r for r in self.registrations if type_part in r.type]


def revealed(value: Any) -> Any:
    """Protobuf's JSON with secrets as `Secret`."""
    if isinstance(value, dict):
        if SECRET_KEY in value:
            return Secret(revealed(value["value"]))
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revealed(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Recorder(mocks.MockMonitor):
    def __init__(
        self,
        preview: bool,
        statuses: Mapping[str, dict[str, Any]],
        stacks: Mapping[str, dict[str, Any]],
        existing: Mapping[str, dict[str, Any]],
    ) -> None:
        super().__init__(mocks=None)  # type: ignore[arg-type]
        self.preview = preview
        self.stacks = stacks
        self.existing = existing
        self.statuses = statuses
        self.run = Run([])

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self.run.registrations.append(
            Registration(
                type=request.type,
                name=request.name,
                parent=_name(request.parent),
                depends_on=tuple(sorted({_name(urn) for urn in request.dependencies})),
                depends_on_kinds=tuple(sorted({_kind(urn) for urn in request.dependencies})),
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                provider=_name(request.provider.rpartition("::")[0]),
                version=request.version,
                inputs=revealed(json_format.MessageToDict(request.object)),
                ignore_changes=tuple(request.ignoreChanges),
                delete_before_replace=request.deleteBeforeReplace,
                replacement_trigger=_trigger(request),
                timeout=request.customTimeouts.create,
                urn=urn,
                former_urns=tuple(self._former(alias, request) for alias in request.aliases),
            )
        )
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(request.object)
        kind = request.type.rpartition(":")[2]
        if self.preview:
            outputs["status"] = UNKNOWN
        elif kind in self.statuses:
            outputs["status"] = self.statuses[kind]
        known_id = "" if self.preview or not request.custom else f"{request.name}-id"
        return resource_pb2.RegisterResourceResponse(urn=urn, id=known_id, object=outputs)

    def _former(self, alias: Any, request: Any) -> str:
        if alias.urn:
            return str(alias.urn)
        parent = "" if alias.spec.noParent else alias.spec.parentUrn or request.parent
        return str(self.make_urn(parent, alias.spec.type or request.type, alias.spec.name or request.name))

    def ReadResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:StackReference":
            self.run.reads.append(request.id)
            found = json_format.ParseDict(self.existing[request.id], struct_pb2.Struct())
            urn = self.make_urn(request.parent, request.type, request.name)
            return resource_pb2.ReadResourceResponse(urn=urn, properties=found)
        properties = json_format.ParseDict(
            {"name": request.name, "outputs": self.stacks[request.name], "secretOutputNames": []}, struct_pb2.Struct()
        )
        urn = self.make_urn(request.parent, request.type, request.name)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=properties)

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.run.outputs[_name(request.urn)] = revealed(json_format.MessageToDict(request.outputs))
        return empty_pb2.Empty()


def _trigger(request: Any) -> Any:
    return json_format.MessageToDict(request.replacement_trigger) if request.HasField("replacement_trigger") else None


def _kind(urn: str) -> str:
    return urn.split("::")[2].rpartition(":")[2]


def _name(urn: str) -> str:
    return "" if "pulumi:pulumi:Stack::" in urn else urn.rpartition("::")[2]


def collect(
    program: Callable[[], Mapping[str, Any] | None],
    *,
    preview: bool = False,
    config: Mapping[str, str] | None = None,
    secret: tuple[str, ...] = (),
    statuses: Mapping[str, dict[str, Any]] | None = None,
    stack: str = "local",
    stacks: Mapping[str, dict[str, Any]] | None = None,
    existing: Mapping[str, dict[str, Any]] = INSTALLED,
    into: Run | None = None,
) -> Run:
    """Run `program` and return its registrations in order of type, name and outputs.

    `statuses` are live statuses by kind, as the provider would report them after `up`; in previews they are unknown.
    `stacks` are the outputs of other stacks by name, for StackReferences; `existing` what the cluster has, by id.
    `into` holds what was registered before the program failed.
    """
    recorder = _Recorder(preview, statuses or {}, stacks or {}, existing)
    recorder.run = into or recorder.run

    has_failed = False

    def found_in_the_garbage(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a program that failed left behind is collected in the midst of anything else. To print a traceback then
        parses source, and breaks what is parsing just now (SystemError: AST constructor recursion depth mismatch)."""
        if not has_failed:
            loop.default_exception_handler(context)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(found_in_the_garbage)
        runtime_config.set_all_config(dict(config or {}), list(secret))
        mocks.set_mocks(None, project="grove", stack=stack, preview=preview, monitor=recorder)  # type: ignore[arg-type]
        # What a program that failed left behind belongs to a loop that is closed: nobody shall wait for it here.
        settings.SETTINGS.outputs.clear()
        settings.SETTINGS.rpc_manager.clear()
        returned: dict[str, Any] = {}

        def run() -> None:
            returned.update(program() or {})

        await run_pulumi_func(run)
        for name, value in returned.items():
            output = pulumi.Output.from_input(value)
            resolved = await output.future()
            recorder.run.exports[name] = Secret(resolved) if await output.is_secret() else resolved

    try:
        contextvars.copy_context().run(asyncio.run, main())
    except BaseException:
        has_failed = True
        raise
    recorder.run.registrations.sort(key=lambda r: (r.parent, r.type, r.name))
    return recorder.run

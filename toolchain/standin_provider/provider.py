"""The gRPC face: Pulumi's ResourceProvider protocol for the package `kubernetes`.

One attached port serves every provider instance of a program (default, explicit, one per phase of an update). Requests
don't say which instance they are for, but the engine opens one connection for each, so the peer address tells. A
request from an unknown peer is answered only if all instances of that engine are configured alike; else it is refused.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from standin_provider import VERSION, settings
from standin_provider.addressing import inputs_from, manager_in, token, wanted
from standin_provider.apiserver import ApiServer
from standin_provider.checking import Naming, checked
from standin_provider.diff import compare, prune
from standin_provider.engine_log import EngineLog
from standin_provider.errors import NotReady, ProviderError, Unmodelled, Unreachable
from standin_provider.journal import Journal
from standin_provider.objects import (
    check_kind,
    checkpoint,
    describe,
    group_of,
    identity,
    is_crd,
    live_of,
    normalise,
    to_object,
)
from standin_provider.operations import Cluster, Operation
from standin_provider.wire import Json, Tree, decode, encode, redact, secret_texts

_KINDS: dict[tuple[str, bool], Any] = {
    ("ADD", False): 0,
    ("ADD", True): 1,
    ("DELETE", False): 2,
    ("DELETE", True): 3,
    ("UPDATE", False): 4,
    ("UPDATE", True): 5,
}


@dataclass
class Instance:
    engine: str
    args: Json
    cluster: Cluster | None
    """None while the kubeconfig is not known yet."""


class _Status(grpc.Status):
    def __init__(self, code: grpc.StatusCode, details: str, trailing_metadata: Any = None):
        self.code, self.details, self.trailing_metadata = code, details, trailing_metadata


def _answers(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turns our errors into gRPC's, without any secret of the request in the text."""

    @functools.wraps(method)
    def answer(self: StandinProvider, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except Unmodelled as error:
            failure = _Status(grpc.StatusCode.UNIMPLEMENTED, str(error))
        except ProviderError as error:
            failure = _Status(grpc.StatusCode.UNKNOWN, redact(_explain(error), _secrets_of(request)))
        context.abort_with_status(failure)
        raise AssertionError("unreachable")

    return answer


def _explain(error: ProviderError) -> str:
    hint = "; is it running? `grove status` tells, `grove up` starts it" if isinstance(error, Unreachable) else ""
    return f"{error}{hint}"


def _secrets_of(request: Any) -> frozenset[str]:
    texts: frozenset[str] = frozenset()
    for field in ("properties", "news", "inputs", "olds", "args"):
        if hasattr(request, field):
            tree = decode(getattr(request, field))
            texts |= secret_texts(tree) | secret_texts(normalise(tree))
    return texts


class StandinProvider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, journal_folder: Path | None = None):
        self.journal = Journal(journal_folder)
        self.log = EngineLog()
        self._lock = threading.Lock()
        self._engines: dict[str, str] = {}
        self._instances: dict[str, Instance] = {}
        self._program_kinds: dict[tuple[str, str], bool] = {}
        self._last_engine = ""

    def close(self) -> None:
        """Drops every connection to engines and API servers."""
        with self._lock:
            instances, self._instances = list(self._instances.values()), {}
        for instance in instances:
            if instance.cluster is not None:
                instance.cluster.api.close()
        self.log.close()

    # --- who is speaking

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._met(context, request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        self._met(context, request.address)
        return Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return provider_pb2.GetSchemaResponse(
            schema=json.dumps({"name": "kubernetes", "version": VERSION, "resources": {}})
        )

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        with self._lock:
            engine = self._engines.get(context.peer(), self._last_engine)
            clusters = [i.cluster for i in self._instances.values() if i.engine == engine and i.cluster]
        for cluster in clusters:
            cluster.cancelled.set()
        return Empty()

    def _met(self, context: grpc.ServicerContext, engine: str) -> None:
        if engine:
            with self._lock:
                self._engines[context.peer()] = engine
                if engine != self._last_engine:
                    self._program_kinds.clear()
                self._last_engine = engine

    def _instance(self, context: grpc.ServicerContext) -> Instance:
        with self._lock:
            if (known := self._instances.get(context.peer())) is not None:
                return known
            engine = self._engines.get(context.peer(), self._last_engine)
            alike = [i for i in self._instances.values() if i.engine == engine]
        if not alike:
            raise ProviderError("the kubernetes stand-in was asked for a resource before it was configured")
        if any(i.args != alike[0].args for i in alike):
            raise ProviderError(
                "the kubernetes stand-in can't tell which of several differently configured kubernetes providers this "
                "request is for; use one provider configuration, or Pulumi's official kubernetes provider"
            )
        return alike[0]

    # --- configuration

    @_answers
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        tree = decode(request.news)
        found = settings.faults(tree.value)
        try:
            if not found and tree.value.get("kubeconfig"):
                settings.read_settings(tree.value, os.environ)
        except ProviderError as error:
            found = [("kubeconfig", redact(str(error), secret_texts(tree)))]
        failures = [provider_pb2.CheckFailure(property=key, reason=reason) for key, reason in found]
        return provider_pb2.CheckResponse(inputs=encode(tree.value, tree.secrets), failures=failures)

    @_answers
    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        old, new = decode(request.old_inputs).value, decode(request.news).value
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        replaces = settings.replaced_by(old, new)
        differs = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=differs, diffs=changed, replaces=replaces)

    @_answers
    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        args = decode(request.args).value
        chosen = settings.read_settings(args, os.environ)
        peer = context.peer()
        with self._lock:
            engine = self._engines.get(peer, self._last_engine)
        cluster = None
        if chosen.endpoint is not None:
            api = ApiServer(chosen.endpoint, lambda text: self.log.warning(engine, request.urn, text))
            cluster = Cluster(chosen, api, self.journal)
        with self._lock:
            self._instances[peer] = Instance(engine, args, cluster)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    # --- resources

    @_answers
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        olds, news = decode(request.olds), decode(request.news)
        options = request.autonaming if request.HasField("autonaming") else None
        mode = options.mode if options else 0
        naming = Naming(
            request.name or request.urn.rpartition("::")[2],
            request.randomSeed,
            options.proposed_name if options else "",
            enforced=mode == provider_pb2.CheckRequest.AutonamingOptions.ENFORCE,
            disabled=mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE,
        )
        instance = self._instance(context)
        namespace = instance.cluster.settings.namespace if instance.cluster else "default"
        try:
            tree = checked(
                token(request),
                olds,
                news,
                naming,
                namespaced=self._is_namespaced(instance, news),
                namespace=namespace,
            )
        except ProviderError as error:
            failure = provider_pb2.CheckFailure(reason=redact(_explain(error), secret_texts(news)))
            return provider_pb2.CheckResponse(inputs=request.news, failures=[failure])
        if is_crd(tree.value):
            self._learn_kind(tree.value)
        return provider_pb2.CheckResponse(inputs=encode(tree.value, tree.secrets))

    def _is_namespaced(self, instance: Instance, news: Tree) -> bool | None:
        metadata = news.value.get("metadata")
        api_version, kind = str(news.value.get("apiVersion", "")), str(news.value.get("kind", ""))
        if instance.cluster is None or (isinstance(metadata, dict) and metadata.get("namespace")):
            return None
        served = instance.cluster.api.resource_type(api_version, kind)
        if served is not None:
            return served.namespaced
        with self._lock:
            return self._program_kinds.get((group_of(api_version), kind))

    def _learn_kind(self, crd: Json) -> None:
        spec = crd.get("spec") or {}
        kind = (spec.get("names") or {}).get("kind")
        with self._lock:
            self._program_kinds[(str(spec.get("group")), str(kind))] = spec.get("scope") == "Namespaced"

    @_answers
    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        olds, news = decode(request.olds).value, decode(request.news).value
        old_inputs = decode(request.old_inputs).value or olds.get("__inputs") or {}
        cluster = self._instance(context).cluster
        mutable = cluster.settings.mutable_data if cluster else frozenset()
        found = compare(live_of(olds), to_object(old_inputs), to_object(news), mutable_data=mutable)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found.detailed else provider_pb2.DiffResponse.DIFF_NONE,
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=_KINDS[change]) for path, change in found.detailed.items()
            },
            hasDetailedDiff=True,
            replaces=found.replaces,
            deleteBeforeReplace=found.delete_before_replace,
        )

    @_answers
    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        check_kind(token(request))
        inputs = decode(request.properties)
        operation = self._operation(request, context, inputs.value)
        if operation is None:
            if request.preview:
                return provider_pb2.CreateResponse(properties=request.properties)
            raise ProviderError("the provider's kubeconfig is still unknown")
        try:
            made = operation.create(inputs, preview=request.preview)
        except NotReady as error:
            manager = manager_in(error.live) or f"pulumi-kubernetes-{os.urandom(4).hex()}"
            self._abort_not_ready(context, error, inputs, manager, str(inputs.value["apiVersion"]))
        if made is None:
            return provider_pb2.CreateResponse(properties=request.properties)
        live, manager = made
        properties = _outputs(inputs, live, manager, str(inputs.value["apiVersion"]))
        return provider_pb2.CreateResponse(id="" if request.preview else identity(live), properties=properties)

    @_answers
    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        check_kind(token(request))
        inputs, olds = decode(request.news), decode(request.olds).value
        manager = str(olds.get("__fieldManager") or "")
        initial = str(olds.get("__initialApiVersion") or inputs.value["apiVersion"])
        operation = self._operation(request, context, inputs.value)
        if operation is None:
            if request.preview:
                return provider_pb2.UpdateResponse(properties=request.news)
            raise ProviderError("the provider's kubeconfig is still unknown")
        try:
            made = operation.update(inputs, manager, preview=request.preview)
        except NotReady as error:
            self._abort_not_ready(context, error, inputs, manager, initial)
        if made is None:
            return provider_pb2.UpdateResponse(properties=request.news)
        live, manager = made
        return provider_pb2.UpdateResponse(properties=_outputs(inputs, live, manager, initial))

    @_answers
    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        check_kind(token(request))
        inputs, state = decode(request.inputs), decode(request.properties)
        obj = wanted(request, inputs, state)
        operation = self._operation(request, context, obj)
        live = operation.read(obj) if operation is not None else None
        if live is None:
            return provider_pb2.ReadResponse()
        known = inputs.value or state.value.get("__inputs")
        seen = prune(live, to_object(known)) if known else inputs_from(live)
        tree = Tree(seen, inputs.secrets | {p[1:] for p in state.secrets if p[:1] == ("__inputs",) and len(p) > 1})
        manager = str(state.value.get("__fieldManager") or f"pulumi-kubernetes-{os.urandom(4).hex()}")
        initial = str(state.value.get("__initialApiVersion") or live["apiVersion"])
        return provider_pb2.ReadResponse(
            id=identity(live),
            inputs=encode(tree.value, tree.secrets),
            properties=_outputs(tree, live, manager, initial),
        )

    @_answers
    def Delete(self, request: Any, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        check_kind(token(request))
        inputs, state = decode(request.old_inputs), decode(request.properties)
        obj = wanted(request, inputs, state)
        operation = self._operation(request, context, obj)
        if operation is None:
            raise ProviderError("the provider's kubeconfig is still unknown")
        operation.delete(obj, str((state.value.get("metadata") or {}).get("uid", "")))
        return Empty()

    # --- what is not modelled

    @_answers
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        raise Unmodelled(f"the function {request.tok}")

    @_answers
    def Construct(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        raise Unmodelled(f"components of type {request.type} (charts, YAML bundles, kustomizations)")

    @_answers
    def Call(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        raise Unmodelled(f"the method {request.tok}")

    @_answers
    def Parameterize(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        raise Unmodelled("parameterization (SDKs made from CRDs)")

    # --- inner

    def _operation(self, request: Any, context: grpc.ServicerContext, obj: Json) -> Operation | None:
        instance = self._instance(context)
        if instance.cluster is None:
            return None
        urn = request.urn
        redacted = _secrets_of(request)
        return Operation(
            instance.cluster,
            lambda text: self.log.status(instance.engine, urn, redact(text, redacted)),
            float(getattr(request, "timeout", 0.0)),
            tuple(getattr(request, "ignoreChanges", ())),
        )

    def _abort_not_ready(
        self, context: grpc.ServicerContext, error: NotReady, inputs: Tree, manager: str, initial: str
    ) -> None:
        """Created or updated, but not ready: the engine keeps the object in its state and tries an update next time."""
        texts = secret_texts(inputs)
        detail = provider_pb2.ErrorResourceInitFailed(
            id=identity(error.live),
            properties=_outputs(inputs, error.live, manager, initial),
            inputs=encode(inputs.value, inputs.secrets),
            reasons=[redact(reason, texts) for reason in error.reasons],
        )
        message = f"{describe(error.live)} was written, but did not become ready"
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
        status.details.add().Pack(detail)
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
        context.abort_with_status(_Status(grpc.StatusCode.UNKNOWN, message, metadata))


def _outputs(inputs: Tree, live: Json, manager: str, initial_api_version: str) -> Any:
    outputs, secrets = checkpoint(inputs, live, field_manager=manager, initial_api_version=initial_api_version)
    return encode(outputs, secrets)

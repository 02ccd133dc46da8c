"""From PodCliqueSets and Dynamo graphs to PodGangs and Pods: the operator's own reconcilers, run on a copy until rest.

    root ──> reconcile ──> plan ──> applied to the copy ──> what it touches is reconciled again ──> ... nothing left

Nothing new is decided here: a root of which objects exist is brought up to date as the operator would do it, the rest
is created. New pods are named `<podclique>-<index>`. Statuses are left alone: they wait for pods that run.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from grove_operator.api import kinds
from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import Json, ObjectKey, key_of
from grove_operator.core.objects import controller_uid
from grove_operator.core.settings import Settings
from grove_operator.core.sharing import external_templates
from grove_operator.core.template import Template
from grove_operator.engine.cache import Cache
from grove_operator.engine.keys import Key, touched
from grove_operator.engine.merge import copy_json, merge
from grove_operator.engine.plan import Action, Create, Delete, plan
from grove_operator.engine.reconcilers import Reconcilers
from grove_operator.engine.whatif.inputs import NOT_YET, READ, Inputs

STEPS_PER_OBJECT = 1000


class StillClock:
    """A `Clock` that stands at one moment."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return None


def expand(inputs: Inputs, settings: Settings | None = None) -> Inputs:
    """The inputs with everything that the operator would make of their roots."""
    if not inputs.roots:
        return inputs
    expansion = _Expansion(inputs, settings or Settings())
    expansion.run()
    read = {kind.kind for kind in READ}
    objects = {key: obj for key, obj in expansion.objects.items() if key.kind in read}
    return Inputs(objects, (), inputs.background & objects.keys())


class _Expansion:
    """`objects` is the copy; the cache holds those of it that concern the roots."""

    def __init__(self, inputs: Inputs, settings: Settings) -> None:
        self.objects: dict[ObjectKey, Json] = dict(inputs.objects)
        self._roots = inputs.roots
        self._asked: dict[Key, None] = {}
        self._version = max((int(v) for v in map(_version, self.objects.values()) if v.isdigit()), default=0)
        self._cache = Cache(self._changed)
        clock = StillClock(datetime.strptime(NOT_YET, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
        self._reconcilers = Reconcilers(self._cache, clock, settings, lambda key: ())

    def run(self) -> None:
        """Raises RuntimeError when the plan doesn't come to rest: a fault of ours."""
        for key in (*self._topologies(), *self._family()):
            self._assume_templates(self.objects[key])
            self._cache.put(self.objects[key])
        steps = 0
        while self._asked:
            steps += 1
            if steps > STEPS_PER_OBJECT * (len(self.objects) + 1):
                raise RuntimeError(f"the expansion did not come to rest after {steps} steps: {list(self._asked)[:3]}")
            asked = next(iter(self._asked))
            del self._asked[asked]
            self._step(asked)

    def _step(self, key: Key) -> None:
        case = self._reconcilers.case(key)
        if case is None:
            return
        for action in plan(case.outcome, case.owner, case.existing).actions:
            self._apply(action)

    def _apply(self, action: Action) -> None:
        if isinstance(action, Delete):
            self._remove(action.key)
        elif isinstance(action, Create):
            self._put(self._created(action.body))
        elif not action.subresource:
            self._put(self._next_version(merge(self.objects[action.key], action.body)))

    def _created(self, body: Json) -> Json:
        obj: Json = copy_json(body)
        meta = obj["metadata"]
        if obj["kind"] == kinds.POD.kind and key_of(obj | {"metadata": self._readable(obj)}) not in self.objects:
            obj["metadata"] = meta = self._readable(obj)
        if obj["kind"] == kinds.POD_CLIQUE_SET.kind:
            obj = default_podcliqueset(obj, with_schema_defaults=True)
            meta = obj["metadata"]
        meta |= {"uid": f"uid {self._version} of {key_of(obj)}", "creationTimestamp": NOT_YET, "generation": 1}
        return self._next_version(obj)

    @staticmethod
    def _readable(pod: Json) -> Json:
        return {**pod["metadata"], "name": pod["spec"]["hostname"]}

    def _next_version(self, obj: Json) -> Json:
        self._version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}

    def _put(self, obj: Json) -> None:
        self.objects[key_of(obj)] = obj
        self._assume_templates(obj)
        self._cache.put(obj)

    def _assume_templates(self, obj: Json) -> None:
        """ResourceClaimTemplates that a set refers to count as there: snapshots hold none, no place hangs on them."""
        if obj["kind"] != kinds.POD_CLIQUE_SET.kind:
            return
        kind = kinds.RESOURCE_CLAIM_TEMPLATE
        for namespace, name in external_templates(Template.of(obj)):
            meta = {"namespace": namespace, "name": name, "uid": f"template {namespace}/{name}", "resourceVersion": "1"}
            self._cache.put({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": {}})

    def _remove(self, key: ObjectKey) -> None:
        """With all that it owns, as the garbage collector does."""
        obj = self.objects.pop(key, None)
        if obj is None:
            return
        uid = obj["metadata"]["uid"]
        self._cache.remove(key, uid)
        for owned in [k for k, o in self.objects.items() if controller_uid(o) == uid]:
            self._remove(owned)

    def _changed(self, old: Json | None, new: Json | None) -> None:
        for key, _ in touched(self._cache, old, new):
            self._asked.setdefault(key)

    def _topologies(self) -> list[ObjectKey]:
        return sorted(k for k in self.objects if k.kind == kinds.CLUSTER_TOPOLOGY_BINDING.kind)

    def _family(self) -> list[ObjectKey]:
        """The roots and all they own, owners first: other sets of the input are as their operator left them."""
        owned: dict[str, list[ObjectKey]] = {}
        for key in sorted(self.objects):
            owned.setdefault(controller_uid(self.objects[key]), []).append(key)
        found: dict[ObjectKey, None] = {}
        waiting = deque(self._roots)
        while waiting:
            key = waiting.popleft()
            if key not in found:
                found[key] = None
                waiting.extend(owned.get(self.objects[key]["metadata"]["uid"], ()))
        return list(found)


def _version(obj: Json) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))

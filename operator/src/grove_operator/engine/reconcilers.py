"""From a key to its owner, its outcome and everything live that the plan must compare: gather, then judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from grove_operator.api import names
from grove_operator.api.constants import (
    LABEL_BASE_POD_GANG,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_GANG,
    PART_OF,
)
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    COMPUTE_DOMAIN,
    CONTROLLER_REVISION,
    HPA,
    INFERENCE_POOL,
    KAI_TOPOLOGY,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    POD_GANG_SET,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    SCALING_GROUP,
    Json,
    Kind,
    ObjectKey,
    key_of,
)
from grove_operator.core import (
    clustertopology,
    podclique,
    podcliqueset,
    podgang,
    podgangset,
    podstate,
    ratio,
    replica,
    scalinggroup,
    surge,
)
from grove_operator.core.adoption import (
    clique_as_ours,
    finalizers_left,
    group_as_ours,
    is_foreign,
    is_outdated,
    pod_as_ours,
)
from grove_operator.core.clustertopology import TopologyView
from grove_operator.core.objects import controller_uid, is_terminating, label
from grove_operator.core.observed import CliqueView, GroupView, Peers, ReplicaView, SetView, Trouble
from grove_operator.core.outcome import Outcome
from grove_operator.core.settings import Settings
from grove_operator.core.settling import min_ready_s, settles_in_s
from grove_operator.core.sharing import external_templates
from grove_operator.core.strategy import COHERENT, is_running, set_progress, strategy
from grove_operator.core.template import Template
from grove_operator.core.topology import topology_name
from grove_operator.dynamo.mapping import NOTHING_KNOWN
from grove_operator.dynamo.settings import DynamoSettings
from grove_operator.engine import graphs
from grove_operator.engine.cache import Cache
from grove_operator.engine.keys import Key
from grove_operator.engine.ports import Clock
from grove_operator.engine.surges import with_surge
from grove_operator.engine.surroundings import Surroundings

SHARED = frozenset({"ServiceAccount", "Role", "RoleBinding", "Secret", "ResourceClaim", CONTROLLER_REVISION.kind})
"""What a set owns once; everything else is a replica's."""
SCALED = frozenset({POD_CLIQUE.kind, SCALING_GROUP.kind})
Troubles = Callable[[Key], Iterable[Trouble]]


@dataclass(frozen=True)
class Case:
    """One reconciliation: whose, what came out of it, and what exists."""

    owner: Json
    outcome: Outcome
    existing: Mapping[ObjectKey, Json] = field(default_factory=dict)


class Reconcilers:
    """`case(key)` is None when there is nothing to decide: the owner is gone, going, or not known yet."""

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        settings: Settings,
        troubles: Troubles,
        dynamo: DynamoSettings | None = None,
        serves: Callable[[Kind], bool] = lambda kind: True,
        has_graphs: Callable[[], bool] = lambda: True,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._surroundings = surroundings
        self._serves, self._has_graphs = serves, has_graphs
        self._cache, self._clock, self._settings, self._troubles = cache, clock, settings, troubles
        self._dynamo = dynamo or DynamoSettings(scheduler=settings.scheduler_name)
        self._templates: dict[str, Template] = {}

    def case(self, key: Key) -> Case | None:
        gather = {
            "graph": self._graph,
            "set": self._set,
            "replica": self._replica,
            "group": self._group,
            "clique": self._clique,
            "former": self._former,
            "gang": self._pod_gang,
            "ratio": self._ratio,
            "topology": self._binding,
        }
        case = gather[key.level](key) if key.level in gather else None
        owner = self._bearer(key)
        left = finalizers_left(owner) if owner else None
        if owner is None or left is None or not (case or is_terminating(owner) or key.level == "domain"):
            return case
        case = case or Case(owner, Outcome())
        return replace(case, outcome=replace(case.outcome, finalizers=tuple(left)))

    def _bearer(self, key: Key) -> Json | None:
        """The object of a key that Grove's own operator may have put a finalizer on."""
        kind = {"set": POD_CLIQUE_SET, "group": SCALING_GROUP, "clique": POD_CLIQUE, "domain": COMPUTE_DOMAIN}
        return self._cache.get(kind[key.level], key.namespace, key.name) if key.level in kind else None

    def _graph(self, key: Key) -> Case | None:
        if not self._has_graphs():
            return None
        troubles = (trouble.description for trouble in self._troubles(key))
        around = self._surroundings.of(key.namespace) if self._surroundings else NOTHING_KNOWN
        found = graphs.reconcile(
            self._cache,
            self._dynamo,
            key.namespace,
            key.name,
            troubles,
            self._clock.now(),
            around,
            self._serves(INFERENCE_POOL) if self._surroundings else None,
        )
        return Case(*found) if found else None

    def _former(self, key: Key) -> Case | None:
        obj = self._cache.get(POD_GANG_SET, key.namespace, key.name)
        if obj is None or is_terminating(obj):
            return None
        live = self._cache.get(POD_CLIQUE_SET, key.namespace, key.name)
        view = podgangset.FormerView(obj, live, tuple(self._troubles(key)))
        return Case(obj, podgangset.reconcile(view, self._clock.now()))

    def _set(self, key: Key) -> Case | None:
        template = self._template(key.namespace, key.name)
        if template is None:
            return None
        cliques: dict[str, Json] = {}
        groups: dict[str, Json] = {}
        gangs: list[str] = []
        for obj in self._cache.owned(template.uid):
            if obj["kind"] == POD_GANG.kind:
                gangs.append(obj["metadata"]["name"])
            elif obj["kind"] == POD_CLIQUE.kind:
                cliques[obj["metadata"]["name"]] = clique_as_ours(template, obj)
            elif obj["kind"] == SCALING_GROUP.kind:
                members = self._members(template, obj)
                groups[obj["metadata"]["name"]] = group_as_ours(template, obj, members)
                cliques |= {member["metadata"]["name"]: member for member in members}
        known_indices = {*surge.indices(template), *self._cache.replicas_of(template.uid)}
        keys = [key, *(Key("replica", key.namespace, key.name, i) for i in known_indices)]
        keys += [Key("gang", key.namespace, name) for name in gangs]
        troubles = tuple(trouble for k in keys for trouble in self._troubles(k))
        last_ready = self._cache.last_ready(key.namespace, key.name)
        known = self._claim_templates(template)
        shared = [obj for obj in self._cache.owned(template.uid, "") if obj["kind"] in SHARED]
        revisions = tuple(o for o in shared if o["kind"] == CONTROLLER_REVISION.kind and not is_terminating(o))
        view = SetView(
            template, cliques, groups, self._topology(template), troubles, last_ready, known, revisions=revisions
        )
        if is_foreign((template.obj.get("status") or {}).get("currentGenerationHash")):
            pods = (pod for clique in cliques.values() for pod in self._pods(clique))
            view = replace(view, is_outdated=is_outdated(template, cliques.values(), pods))
        if surge.max_surge(template) and is_running(set_progress(template)):
            view = with_surge(self._cache, view, self._troubles, self._clock.now())
        outcome = podcliqueset.reconcile(view, self._clock.now(), self._settings)
        return Case(template.obj, outcome, self._existing(template.obj, outcome, shared))

    def _replica(self, key: Key) -> Case | None:
        template = self._template(key.namespace, key.name)
        if template is None:
            return None
        owned = [*self._cache.owned(template.uid, str(key.replica)), *self._mislabelled(template, key.replica)]
        cliques = {o["metadata"]["name"]: clique_as_ours(template, o) for o in owned if o["kind"] == POD_CLIQUE.kind}
        groups = {obj["metadata"]["name"]: obj for obj in owned if obj["kind"] == SCALING_GROUP.kind}
        for group in groups.values():
            cliques |= {member["metadata"]["name"]: member for member in self._members(template, group)}
        view = ReplicaView(
            template,
            key.replica,
            cliques,
            groups,
            {obj["metadata"]["name"]: obj for obj in owned if obj["kind"] == POD_GANG.kind},
            {name: self._pods(clique) for name, clique in cliques.items()},
            self._topology(template),
            {obj["metadata"]["name"]: obj for obj in owned if obj["kind"] == HPA.kind},
            self._claim_templates(template),
        )
        outcome = replica.reconcile(view, self._clock.now(), self._settings)
        existing = self._existing(template.obj, outcome, owned)
        existing |= {key: live for key in outcome.doomed if (live := self._cache.find(key))}
        return Case(template.obj, outcome, existing)

    def _mislabelled(self, template: Template, i: int) -> Iterator[Json]:
        """PodCliques and groups of replica `i` that somebody took the index label from: known by name all the same."""
        if i not in surge.indices(template):
            return
        names_of = {POD_CLIQUE: (names.pod_clique(template.name, i, clique.name) for clique in template.standalone)}
        names_of[SCALING_GROUP] = (names.scaling_group(template.name, i, group.name) for group in template.groups)
        for kind, expected in names_of.items():
            for name in expected:
                live = self._cache.get(kind, template.namespace, name)
                if live and controller_uid(live) == template.uid and label(live, LABEL_PCS_REPLICA_INDEX) != str(i):
                    yield live

    def _existing(self, owner: Json, outcome: Outcome, owned: Iterable[Json]) -> dict[ObjectKey, Json]:
        """What the plan compares: the given objects, and those of the owner's that bear a desired name."""
        uid = owner["metadata"]["uid"]
        existing = {key_of(obj): obj for obj in owned}
        for child in outcome.children:
            key = key_of(child)
            if key not in existing and (live := self._cache.find(key)) and controller_uid(live) == uid:
                existing[key] = live
        return existing

    def _group(self, key: Key) -> Case | None:
        obj = self._cache.get(SCALING_GROUP, key.namespace, key.name)
        template = self._template_of(obj)
        if obj is None or template is None or is_terminating(obj):
            return None
        owned = list(self._cache.owned(obj["metadata"]["uid"]))
        cliques = {member["metadata"]["name"]: member for member in self._members(template, obj)}
        peers, known = self._peers(template, obj), self._claim_templates(template)
        view = GroupView(template, obj, cliques, tuple(self._troubles(key)), peers, known)
        outcome = scalinggroup.reconcile(view, self._clock.now())
        return Case(obj, outcome, self._existing(obj, outcome, owned))

    def _clique(self, key: Key) -> Case | None:
        obj = self._cache.get(POD_CLIQUE, key.namespace, key.name)
        template = self._template_of(obj)
        if obj is None or template is None or is_terminating(obj):
            return None
        ours = clique_as_ours(template, obj)
        pods = self._pods(ours)
        base = self._gang(template, label(obj, LABEL_BASE_POD_GANG))
        view = CliqueView(
            template,
            ours,
            pods,
            self._gang(template, label(obj, LABEL_POD_GANG)),
            base,
            self._scheduled(key.namespace, base) if any(podstate.has_grove_gate(p) for p in pods) else {},
            self._cache.previous_pods(obj["metadata"]["uid"]),
            tuple(self._troubles(key)),
            self._peers(template, obj),
            self._claim_templates(template),
            self._live_claims(template, obj),
            self._cache.former_nodes.of(key.namespace, template.name, key.name),
        )
        outcome = podclique.reconcile(view, self._clock.now(), self._settings)
        return Case(obj, outcome, {key_of(own): own for own in self._cache.owned(obj["metadata"]["uid"])})

    def _live_claims(self, template: Template, clique: Json) -> frozenset[str]:
        """Names of those at all levels; only asked where a set refers to template objects."""
        if not external_templates(template):
            return frozenset()
        owners = (template.uid, controller_uid(clique), clique["metadata"]["uid"])
        owned = (obj for uid in owners for obj in self._cache.owned(uid))
        return frozenset(o["metadata"]["name"] for o in owned if o["kind"] == RESOURCE_CLAIM.kind)

    def _pod_gang(self, key: Key) -> Case | None:
        gang = self._cache.get(POD_GANG, key.namespace, key.name)
        if gang is None or is_terminating(gang):
            return None
        owned = {key_of(own): own for own in self._cache.owned(gang["metadata"]["uid"])}
        outcome = podgang.reconcile(gang, self._settings)
        return Case(gang, outcome, owned | self._existing(gang, outcome, ()))

    def _ratio(self, key: Key) -> Case | None:
        template = self._template(key.namespace, key.name)
        if template is None:
            return None
        owned = [o for o in self._cache.owned(template.uid, str(key.replica)) if o["kind"] in SCALED]
        scales = tuple(ratio.corrections(template, key.replica, {o["metadata"]["name"]: o for o in owned}))
        targets = {scale.target for scale in scales}
        return Case(template.obj, Outcome(scales=scales), {key_of(o): o for o in owned if key_of(o) in targets})

    def _binding(self, key: Key) -> Case | None:
        obj = self._cache.get(CLUSTER_TOPOLOGY_BINDING, "", key.name)
        if obj is None or is_terminating(obj):
            return None
        live = {("kai-scheduler", o["metadata"]["name"]): o for o in self._cache.all(KAI_TOPOLOGY)}
        served = frozenset({"kai-scheduler"}) if self._serves(KAI_TOPOLOGY) else frozenset()
        view = TopologyView(obj, live, served, tuple(self._troubles(key)))
        outcome = clustertopology.reconcile(view, self._clock.now(), self._settings)
        names_ = {key_of(child) for child in outcome.children}
        return Case(obj, outcome, {key_of(o): o for o in live.values() if key_of(o) in names_})

    def _claim_templates(self, template: Template) -> dict[tuple[str, str], Json]:
        places = external_templates(template)
        found = {place: self._cache.get(RESOURCE_CLAIM_TEMPLATE, *place) for place in places}
        return {place: obj for place, obj in found.items() if obj is not None}

    def _peers(self, template: Template, obj: Json) -> Peers:
        """Only a coherent update looks at its neighbours."""
        if strategy(template) != COHERENT:
            return Peers()
        beside = list(self._cache.owned(template.uid, label(obj, LABEL_PCS_REPLICA_INDEX)))
        parts = {o["metadata"]["name"]: o for o in beside if o["kind"] in (POD_CLIQUE.kind, SCALING_GROUP.kind)}
        cliques = {
            name: clique_as_ours(template, peer) for name, peer in parts.items() if peer["kind"] == POD_CLIQUE.kind
        }
        parts |= cliques
        least_s, now = min_ready_s(template), self._clock.now()

        def counts(pod: Json, peer: Json) -> bool:
            return podstate.is_ready_of(pod, peer) and not settles_in_s(pod, least_s, now)

        ready = {name: sum(counts(p, peer) for p in self._pods(peer)) for name, peer in cliques.items()}
        return Peers(parts, ready)

    def _members(self, template: Template, group: Json) -> list[Json]:
        owned = self._cache.owned(group["metadata"]["uid"])
        return [clique_as_ours(template, obj) for obj in owned if obj["kind"] == POD_CLIQUE.kind]

    def _pods(self, clique: Json) -> tuple[Json, ...]:
        """Of a translated PodClique, translated like it."""
        owned = (o for o in self._cache.owned(clique["metadata"]["uid"]) if o["kind"] == POD.kind)
        pods = (pod_as_ours(clique, pod) for pod in owned)
        return tuple(sorted(pods, key=lambda pod: str(pod["metadata"]["name"])))

    def _scheduled(self, namespace: str, base: Json | None) -> dict[str, int]:
        """Scheduled pods of each PodClique that the base gang names."""
        counts: dict[str, int] = {}
        for group in base["spec"]["podgroups"] if base else ():
            clique = self._cache.get(POD_CLIQUE, namespace, group["name"])
            if clique is not None:
                pods = self._pods(clique)
                counts[group["name"]] = sum(podstate.is_scheduled(p) and podstate.is_active(p) for p in pods)
        return counts

    def _gang(self, template: Template, name: str) -> Json | None:
        gang = self._cache.get(POD_GANG, template.namespace, name) if name else None
        return gang if gang is not None and controller_uid(gang) == template.uid else None

    def _topology(self, template: Template) -> Json | None:
        name = topology_name(template) if self._settings.topology_enabled else ""
        return self._cache.get(CLUSTER_TOPOLOGY_BINDING, "", name) if name else None

    def _template(self, namespace: str, name: str) -> Template | None:
        pcs = self._cache.get(POD_CLIQUE_SET, namespace, name)
        if pcs is None or is_terminating(pcs):
            return None
        uid = pcs["metadata"]["uid"]
        known = self._templates.get(uid)
        if known is None or known.obj is not pcs:
            known = self._templates[uid] = Template.of(pcs)
        return known

    def _template_of(self, obj: Json | None) -> Template | None:
        """The set that a PodClique or group belongs to; None when its label names another set than its owner is.

        None, too, for a member of a group that is on its way out: what would be made of it is collected at once.
        """
        if obj is None or not label(obj, LABEL_PCS_REPLICA_INDEX).isdigit():
            return None
        template = self._template(obj["metadata"]["namespace"], label(obj, PART_OF))
        owner = controller_uid(obj)
        if template is None or owner == template.uid:
            return template
        i = int(label(obj, LABEL_PCS_REPLICA_INDEX))
        groups = (names.scaling_group(template.name, i, group.name) for group in template.groups)
        live = (self._cache.get(SCALING_GROUP, template.namespace, name) for name in groups)
        standing = (group["metadata"]["uid"] for group in live if group and not is_terminating(group))
        return template if owner in standing else None

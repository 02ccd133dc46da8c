"""What the scheduler reads and answers: frozen, hashable where it pays, and serialisable (`dump`, `load`).

Amounts are integers: cpu in millicores, all else in base units. A gang's scopes nest

    gang ── topologyConstraintGroupConfigs ── podgroups

and each may carry a required and a preferred node label key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")
Amounts = tuple[tuple[str, int], ...]
"""Sorted (resource, amount) pairs."""

GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    """Empty `key` with `Exists` tolerates all; empty `effect` means every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """One node selector requirement; `field` expressions match `metadata.name`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    is_field: bool = False


Claim = tuple[str, str, int]
"""What excludes other pods from a node: a host port as (host IP or 0.0.0.0, protocol, port); required anti-affinity per
host as (`AVOIDS`, term, 0) of the pod that has the term and (`MATCHES`, term, 0) of each pod that the term selects."""
AVOIDS, MATCHES = "avoids", "matches"


@dataclass(frozen=True, slots=True)
class Needs:
    """All that decides where a pod may run; pods with equal needs are interchangeable (one shape).

    `affinity` is an OR of terms, each an AND of expressions; None means no restriction, an empty term matches nothing.
    `unsupported` names the features this scheduler doesn't model: such a pod is never bound.
    """

    requests: Amounts
    selector: tuple[tuple[str, str], ...] = ()
    affinity: tuple[tuple[Expression, ...], ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    claims: tuple[Claim, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node with what is in use on it by all bound pods, of whatever scheduler (resource `pods` counts them).

    `zones` is what was free in each NUMA zone by the last report, `zoned` what of `used` that report knew of.
    """

    name: str
    labels: dict[str, str]
    allocatable: Amounts
    used: Amounts = ()
    used_claims: tuple[Claim, ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    zones: tuple[Amounts, ...] = ()
    zoned: Amounts = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """Node label keys from broad to narrow; `zone` is the key that stands for a NUMA zone of a host, '' for none."""

    name: str
    keys: tuple[str, ...]
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    nodes: tuple[Node, ...]
    topologies: tuple[Topology, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    required: str | None = None
    preferred: str | None = None

    def __bool__(self) -> bool:
        return bool(self.required or self.preferred)


@dataclass(frozen=True, slots=True)
class Member:
    """A pod of a gang. `node` is set once bound (or assumed so); `is_gated` pods count for nothing but look-ahead.

    `former` is the node of the pod that it follows.
    """

    namespace: str
    name: str
    needs: Needs
    node: str | None = None
    is_gated: bool = False
    former: str | None = None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def comes_later(member: Member) -> bool:
    """Sorts members of a podgroup: those that follow others have their turn first."""
    return member.former is None


@dataclass(frozen=True, slots=True)
class PodGroup:
    name: str
    minimum: int
    members: tuple[Member, ...]
    constraint: Constraint = Constraint()


@dataclass(frozen=True, slots=True)
class GroupConfig:
    name: str
    podgroups: tuple[str, ...]
    constraint: Constraint = Constraint()


@dataclass(frozen=True, slots=True)
class Gang:
    """`base` names the base gang (same namespace) of a scaled gang; a gang that isn't `ready` is only context.

    `owner` is equal for gangs of all replicas of one PodCliqueSet; `spread` are label keys of domains to spread those
    over; `reuse` is the key of a gang whose place this one takes over, its own once its pods follow others; `packing`
    overrides the policy's. `leaving`: (node, needs) of its pods that are on their way out. `keeps`: it lacks pods for
    the moment, and the places that others of it wait to go back to are to be kept.
    """

    namespace: str
    name: str
    podgroups: tuple[PodGroup, ...]
    constraint: Constraint = Constraint()
    groups: tuple[GroupConfig, ...] = ()
    topology: str | None = None
    priority: int = 0
    created: str = ""
    base: str | None = None
    ready: bool = True
    owner: str | None = None
    spread: tuple[str, ...] = ()
    reuse: str | None = None
    packing: str | None = None
    leaving: tuple[tuple[str, Needs], ...] = ()
    keeps: bool = False

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def is_complete(self) -> bool:
        """Every podgroup has its minimum of members that are bound or could be bound now."""
        return all(sum(m.node is not None or not m.is_gated for m in g.members) >= g.minimum for g in self.podgroups)

    @property
    def stands(self) -> bool:
        """Every podgroup has its minimum of bound members."""
        return all(sum(m.node is not None for m in g.members) >= g.minimum for g in self.podgroups)

    @property
    def returns(self) -> bool:
        """Members that follow others wait for a place: they had one before."""
        return (
            self.reuse is not None
            and self.reuse == self.key
            and any(m.former and m.node is None for g in self.podgroups for m in g.members)
        )

    @property
    def base_key(self) -> str | None:
        return f"{self.namespace}/{self.base}" if self.base else None


@dataclass(frozen=True, slots=True)
class Policy:
    """Search effort: `attempts` bounds the domains tried for one gang; `compared` the complete solutions compared.

    `packing` is how hosts are filled: pack, balanced or small-first (`liking`).
    `exact_columns` and `exact_nodes` bound the program that decides when the search ends without a place or a proof;
    `polish_columns` is up to which size it is asked for fewer domains than the search found (0: never).
    """

    attempts: int = 256
    compared: int = 8
    subsets: int = 2000
    exact_columns: int = 6000
    exact_nodes: int = 500
    polish_columns: int = 1500
    packing: str = "pack"

    def harder(self) -> Policy:
        """For a gang that was left undecided, when there is time."""
        return replace(
            self, attempts=16 * self.attempts, exact_columns=16 * self.exact_columns, exact_nodes=200 * self.exact_nodes
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """`is_minimum` is False for members beyond their podgroup's minimum."""

    gang: str
    podgroup: str
    namespace: str
    pod: str
    node: str
    is_minimum: bool = True


@dataclass(frozen=True, slots=True)
class Closest:
    """How far one domain is from holding the refused scope."""

    domain: str
    fits: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a gang (or, with `pods`, only those members beyond the minima) can't be placed now.

    `reason` is a machine word: Insufficient, NoMatchingNode, DoesNotFitTogether, UnknownTopology, UnknownLevel or
    Unsupported. `short` is in the unit of `resource`; `proven` tells a proof from a search that ended without one.
    """

    gang: str
    reason: str
    scope: str
    message: str
    level: str = ""
    closest: tuple[Closest, ...] = ()
    resource: str = ""
    short: int = 0
    proven: bool = True
    pods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """`value` in 0..1: 1.0 where every scope sits at the level it wished for."""

    gang: str
    value: float


@dataclass(frozen=True, slots=True)
class Decision:
    """`returning`: gangs that wait until the pods before them are gone, to go back to the domains they had."""

    assignments: tuple[Assignment, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    scores: tuple[Score, ...] = field(default=())
    returning: tuple[str, ...] = ()


def dump(value: Any) -> Any:
    """JSON-ready form of any dataclass of this module."""
    return _adapter(type(value)).dump_python(value, mode="json")


def load(kind: type[T], data: Any) -> T:
    """Reads back what `dump` wrote; raises pydantic's ValidationError naming the place."""
    found: T = _adapter(kind).validate_python(data)
    return found


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Built once per type: that costs milliseconds."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]

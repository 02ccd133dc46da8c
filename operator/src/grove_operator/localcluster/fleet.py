"""A fleet file: which nodes a local cluster pretends to have, what already runs there, and which images are real.

A pool is either `count` equal nodes or a tree of zones, blocks, racks and hosts. Names and labels are templates:

    zones: 1 ── blocks: 2 ── racks: 2 ── hosts: 4        counts are per parent
    {zone} {block} {rack} {host}                          the rendered names
    {zone_index} {block_index} {rack_index} {host_index}  0-based within the parent; {index}: within the pool
    {pool}                                                the pool's name

so `rack: "{block}-r{rack_index}"` gives `b1-r0`. `{host}` is the node's name.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from grove_operator.api.kinds import Json

QUANTITY = re.compile(r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei|e\d+)?$")
LEVELS = ("zone", "block", "rack", "host")
DEFAULT_NAMES = {
    "zone": "zone-{zone_index}",
    "block": "{zone}-block-{block_index}",
    "rack": "{block}-rack-{rack_index}",
    "host": "{rack}-host-{host_index}",
}


class FleetError(ValueError):
    """The fleet file can't be used; the message names file, field, fact and remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True)


class Topology(_Strict):
    """How many of each level there are inside one parent of the level above."""

    zones: int = Field(default=1, ge=1)
    blocks: int = Field(default=1, ge=1)
    racks: int = Field(default=1, ge=1)
    hosts: int = Field(ge=1)


class Names(_Strict):
    """Name templates; a level's template may use the names of the levels outside it."""

    zone: str = DEFAULT_NAMES["zone"]
    block: str = DEFAULT_NAMES["block"]
    rack: str = DEFAULT_NAMES["rack"]
    host: str = ""


class Taint(_Strict):
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


def _quantities(resources: dict[str, str]) -> dict[str, str]:
    for name, quantity in resources.items():
        if not QUANTITY.match(quantity):
            raise ValueError(f"{name}: {quantity!r} is not a quantity such as 2, 500m or 16Gi")
    return resources


class Load(_Strict):
    """Filler pods that already occupy part of a pool: `pods` on each selected node, each with `requests`."""

    nodes: list[str] = Field(default=["*"], description="globs of node names")
    share: float = Field(default=1.0, gt=0, le=1, description="of the selected nodes, chosen by a hash of the name")
    pods: int = Field(default=1, ge=1)
    requests: dict[str, str] = Field(min_length=1)

    @field_validator("requests", mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any) -> Any:
        return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else value

    _check = field_validator("requests")(_quantities)

    def covers(self, node: str) -> bool:
        if not any(fnmatch.fnmatchcase(node, glob) for glob in self.nodes):
            return False
        return int(hashlib.sha256(node.encode()).hexdigest()[:8], 16) < self.share * 2**32


class Pool(_Strict):
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    count: int | None = Field(default=None, ge=1)
    topology: Topology | None = None
    names: Names = Names()
    capacity: dict[str, str]
    labels: dict[str, str] = {}
    taints: list[Taint] = []
    used: list[Load] = []
    played_by: Literal["agent", "kwok"] = "agent"

    @field_validator("capacity", "labels", mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any) -> Any:
        return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("capacity")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        missing = [name for name in ("cpu", "memory", "pods") if name not in value]
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}; a node has cpu, memory and pods")
        return _quantities(value)

    @model_validator(mode="after")
    def _one_size(self) -> Pool:
        if (self.count is None) == (self.topology is None):
            raise ValueError("needs exactly one of count and topology")
        return self

    def places(self) -> Iterator[dict[str, str]]:
        """Template variables of every node, in order of the tree."""
        if self.topology is None:
            for index in range(self.count or 0):
                place = {"pool": self.name, "index": str(index), "host_index": str(index)}
                yield place | {"host": (self.names.host or "{pool}-{index}").format(**place)}
            return
        sizes = [self.topology.zones, self.topology.blocks, self.topology.racks, self.topology.hosts]
        for index, indices in enumerate(itertools.product(*map(range, sizes))):
            place = {"pool": self.name, "index": str(index)}
            place |= {f"{level}_index": str(i) for level, i in zip(LEVELS, indices, strict=True)}
            for level in LEVELS:
                template = getattr(self.names, level) or DEFAULT_NAMES[level]
                place[level] = template.format(**place)
            yield place


class Image(_Strict):
    """Containers of this image are child processes. `argv` is searched in the joined command and arguments.

    `labels` are globs. `run`, `env` and `requires` know `${PYTHON}` (this interpreter), `${SOURCE}` (where
    `grove_operator` lies), `${DYNAMO}` (Dynamo's runtime, see `grove tools dynamo`) and `${POD_IP}`. An element
    `${ARGS}` of `run` stands for the container's arguments without its program name, `${ARGV}` for all of its words.
    Without the file that `requires` names the entry doesn't count.
    """

    match: str = Field(min_length=1)
    labels: dict[str, str] = {}
    requires: str = ""
    argv: str = ""
    run: list[str] = Field(min_length=1)
    env: dict[str, str] = {}

    @field_validator("argv")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from None
        return value

    def covers(self, image: str, argv: list[str], labels: dict[str, str]) -> bool:
        return (
            fnmatch.fnmatchcase(repository(image), self.match)
            and all(fnmatch.fnmatchcase(labels.get(key, ""), value) for key, value in self.labels.items())
            and (not self.argv or re.search(self.argv, " ".join(argv)) is not None)
        )


class Play(_Strict):
    """How the node agent plays; times in seconds."""

    heartbeat_s: float = Field(default=20, gt=0, le=35, description="between lease renewals of one node")
    start_latency_s: float = Field(default=0, ge=0, description="from admission to Running, fake pods only")
    restart_backoff_s: float = Field(default=1, gt=0, description="first back-off; doubles up to restartBackoffMaxS")
    restart_backoff_max_s: float = Field(default=60, gt=0)
    writes_in_flight: int = Field(default=32, ge=1)
    autoscaler: Literal["kubernetes", "quick"] = Field(
        default="kubernetes",
        description="HorizontalPodAutoscalers look every 15 s and wait 5 min before they scale in, or 2 s and 5 s",
    )


class Fleet(_Strict):
    pools: list[Pool] = Field(min_length=1)
    images: list[Image] = []
    play: Play = Play()

    @model_validator(mode="after")
    def _unique_names(self) -> Fleet:
        pools = [pool.name for pool in self.pools]
        if len(set(pools)) < len(pools):
            raise ValueError(f"pools: two have the same name among {', '.join(pools)}")
        return self

    def nodes(self) -> list[FleetNode]:
        """Every node, in order; raises FleetError for a bad template or two nodes of one name."""
        nodes = [node for pool in self.pools for node in _pool_nodes(pool)]
        seen: set[str] = set()
        for node in nodes:
            if node.name in seen:
                raise FleetError(f"node name {node.name} is used twice; add an index to a template under names")
            seen.add(node.name)
        return nodes

    def image_for(
        self, image: str, argv: list[str], labels: dict[str, str], is_there: Callable[[str], bool] = lambda _: False
    ) -> Image | None:
        """The first entry that covers the container and has what it requires, or None: it is pretended."""
        covering = (entry for entry in self.images if entry.covers(image, argv, labels))
        return next((entry for entry in covering if not entry.requires or is_there(entry.requires)), None)


@dataclass(frozen=True, slots=True)
class FleetNode:
    name: str
    pool: str
    labels: dict[str, str]
    capacity: dict[str, str]
    taints: list[Json]
    played_by: str
    load: list[dict[str, str]] = field(default_factory=list)
    """Requests of each filler pod."""


def _pool_nodes(pool: Pool) -> Iterator[FleetNode]:
    taints = [taint.model_dump(exclude_defaults=True) for taint in pool.taints]
    try:
        for place in pool.places():
            name = place["host"]
            labels = {key: template.format(**place) for key, template in pool.labels.items()}
            load = [dict(use.requests) for use in pool.used if use.covers(name) for _ in range(use.pods)]
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"} | labels
            yield FleetNode(name, pool.name, labels, dict(pool.capacity), taints, pool.played_by, load)
    except (KeyError, IndexError, ValueError) as error:
        known = "pool, index, zone, block, rack, host and zone_index, block_index, rack_index, host_index"
        raise FleetError(
            f"pool {pool.name}: a template names {error}, which it can't use; it may use {known}"
        ) from None


def repository(image: str) -> str:
    """The image without tag and digest; the port of a registry (`host:5000/name`) is not a tag."""
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return head + slash + last.partition(":")[0]


def default_fleet_path() -> Path:
    return Path(__file__).parent / "fleets" / "local.yaml"


def parse_fleet(data: Any, source: str = "fleet") -> Fleet:
    """Raises FleetError with one line per fault, each naming the field."""
    try:
        fleet = Fleet.model_validate(data)
    except ValidationError as error:
        faults = [f"{_where(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise FleetError(f"{source}: " + "; ".join(faults)) from None
    try:
        fleet.nodes()
    except FleetError as error:
        raise FleetError(f"{source}: {error}") from None
    return fleet


def load_fleet(path: Path | str) -> Fleet:
    """Reads and checks a fleet file; FleetError if it is missing, no YAML, or not a fleet."""
    try:
        data = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise FleetError(f"fleet file {path}: {error.strerror or error}; name an existing YAML file") from None
    except yaml.YAMLError as error:
        raise FleetError(f"fleet file {path} is no YAML: {error}") from None
    return parse_fleet(data, f"fleet file {path}")


def _where(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(top)"

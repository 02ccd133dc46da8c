"""Random stacks: what `grove render` writes must be what Pulumi is told to apply, whatever the stack file says."""

from __future__ import annotations

import random
from typing import Any

import yaml

from grove_components import build_stack
from grove_components.config import StackConfig
from grove_components.render import INDEX, as_engine_gives, render
from grove_components.stack_checks import stack_faults
from tests.components.collect import collect
from tests.components.stacks import IMAGE

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLATFORM = "organization/grove/platform"
LEVELS = ("zone", "block", "rack", "host")
TOLD = {"default": [{"domain": level, "key": f"example.com/{level}"} for level in LEVELS]}
Identity = tuple[str, str, str]


def random_stack(seed: int) -> StackConfig:
    """A right stack of either part: tenants, topology, workloads of every shape with any of their options."""
    chance = random.Random(seed)
    part = chance.choice(["all", "platform", "workloads"])
    namespaces = [f"team-{i}" for i in range(chance.randint(1, 3))]
    values: dict[str, Any] = {"part": part, "operator": {"install": "existing", "image": IMAGE}}
    values["tenants"] = [tenant(chance, name) for name in namespaces if chance.random() < 0.5]
    if part == "workloads":
        values["platformStack"] = PLATFORM
    else:
        values["topology"] = chance.choice(
            [{"preset": "generic"}, {"levels": [{"domain": d, "key": f"example.com/{d}"} for d in LEVELS]}]
        )
    if part != "platform":
        count = chance.randint(1, 4)
        values["workloads"] = [workload(chance, f"w{i}", chance.choice(namespaces)) for i in range(count)]
    texts = {key: as_engine_gives(value) for key, value in values.items()}
    return StackConfig.parse(texts, frozenset(), f"stacks/Pulumi.random-{seed}.yaml", stack="random")


def tenant(chance: random.Random, name: str) -> dict[str, Any]:
    quota = {"quota": {"pods": str(chance.randint(1, 99))}} if chance.random() < 0.5 else {}
    queue = {"queue": f"queue-{name}"} if chance.random() < 0.5 else {}
    return {"namespace": name, "labels": {"team": name}, **quota, **queue}


def role(chance: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {"image": f"registry.example/i:{chance.randint(1, 9)}", "gpus": chance.choice([0, 1, 8])}
    made["replicas"] = chance.randint(1, 4)
    if chance.random() < 0.3:
        made["minAvailable"] = chance.randint(1, made["replicas"])
    if chance.random() < 0.3:
        made["env"] = {"ON": chance.choice(["true", "no", "1e3", "null", "ü: #"])}  # what YAML takes for something else
    return made


def instances(chance: random.Random) -> dict[str, Any]:
    group: dict[str, Any] = {"leader": role(chance), "workers": role(chance), "count": chance.randint(1, 3)}
    return group | ({"pack": "rack"} if chance.random() < 0.5 else {})


def workload(chance: random.Random, name: str, namespace: str) -> dict[str, Any]:
    shape = chance.choice(["aggregated", "disaggregated", "leaderWorker", "pipeline"])
    roles: dict[str, Any] = {"frontend": role(chance)}
    if shape == "aggregated":
        roles["worker"] = role(chance)
    elif shape == "disaggregated":
        roles |= {"prefill": role(chance), "decode": role(chance)}
    elif shape == "leaderWorker":
        roles["model"] = instances(chance)
    else:
        roles |= {f"m{i}": chance.choice([role, instances])(chance) for i in range(chance.randint(1, 3))}
    made: dict[str, Any] = {"name": name, "namespace": namespace, "shape": shape, "roles": roles}
    made["replicas"] = chance.randint(0, 3)
    made["wait"] = chance.choice(["available", "updated", "none"])
    made["autoscaled"] = chance.random() < 0.2
    made["onImmutableChange"] = chance.choice(["fail", "replace"])
    if chance.random() < 0.5:
        made["placement"] = {chance.choice(["required", "preferred"]): chance.choice(["zone", "block"])}
    return made


def told_and_written(config: StackConfig) -> tuple[dict[Identity, Any], dict[Identity, Any]]:
    """What the program registers, and what the rendered files hold, by kind, namespace and name."""
    assert stack_faults(config) == []
    run = collect(lambda: build_stack(config), stack="random", stacks={PLATFORM: {"topologies": TOLD}})
    told = [{k: v for k, v in r.inputs.items() if k != "status" and v is not None} for r in run.of_type("kubernetes:")]
    files = render(config).files
    return by_identity(told), by_identity([yaml.load(text, LOADER) for name, text in files.items() if name != INDEX])


def by_identity(objects: list[dict[str, Any]]) -> dict[Identity, Any]:
    keys = [(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects]
    assert len(set(keys)) == len(keys), f"twice: {keys}"
    return dict(zip(keys, objects, strict=True))

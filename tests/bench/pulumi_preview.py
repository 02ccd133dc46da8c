"""Time that our Pulumi program takes for N PodCliqueSets, without the engine: `python -m tests.bench.pulumi_preview`.

The program runs as in a preview, against a monitor in the same process that answers at once. So the figure holds the
SDK's own work (serialising, one call per resource) too, and no waiting for engine, provider or cluster.
"""

from __future__ import annotations

import argparse
import json
import time

from grove_components import build_stack
from grove_components.config import StackConfig
from grove_components.render import render
from tests.components.collect import collect
from tests.components.stacks import stack_config, written


def workloads(count: int) -> StackConfig:
    """The h100 stack with `count` leader/worker sets in ten namespaces, platform in another stack's hands."""
    role = {"image": "registry.example/serve:1", "gpus": 4}
    shape = {"shape": "leaderWorker", "roles": {"model": {"leader": role, "workers": role, "count": 2, "pack": "rack"}}}
    sets = [{"name": f"model-{i}", "namespace": f"team-{i % 10}", **shape} for i in range(count)]
    return stack_config("h100", workloads=sets, operator={**written("h100")["operator"], "install": "existing"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=100)
    count = parser.parse_args().sets
    collect(lambda: build_stack(workloads(1)), preview=True, stack="h100")  # imports and caches
    began, began_cpu = time.perf_counter(), time.process_time()
    run = collect(lambda: build_stack(workloads(count)), preview=True, stack="h100")
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    inputs = sum(len(json.dumps(r.inputs, default=str)) for r in run.registrations)
    files = sum(len(text) for text in render(workloads(count)).files.values())
    figures = {
        "sets": count,
        "resources": len(run.registrations),
        "program_s": round(took_s, 2),
        "program_cpu_s": round(cpu_s, 2),
        "inputs_kb": round(inputs / 1000),
        "rendered_kb": round(files / 1000),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

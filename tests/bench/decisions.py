"""How many gangs one core decides per second, predicates, score and incremental upkeep included; no API server.

    .venv/bin/python -m tests.bench.decisions [--nodes 1024,5000,15000,50000] [--stream TEXT] [--profile]

A stream arrives gang by gang at one solver that remembers (as in the binder). Above the fill level the oldest gang
leaves before the next one comes. Two figures in process CPU time: `decide` alone, and with the events around it (the
gang becomes known, its nodes' usage is told, the leaving gang's too).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections import Counter, deque
from dataclasses import dataclass

from grove_operator.kube.scheduler_main import spare_the_collector
from grove_operator.scheduler.model import GPU, Assignment, Gang, Snapshot
from grove_operator.scheduler.solve import Solver
from tests.bench.streams import STREAMS, Constraint, Stream, cluster, single

PUBLISHED = (
    ("k8s-tas: 2250 gangs of 4, 5000 nodes in 50 racks", 5000, 100, 2250, 4, 1, Constraint("rack")),
    ("k8s-tas: 9 gangs of 1000, 5000 nodes, top level", 5000, 100, 9, 1000, 1, Constraint("zone")),
    ("kai-fill: 4000 single GPUs, 500 nodes", 500, 10, 4000, 1, 1, Constraint()),
    ("kai-512: one gang of 512 GPUs, 500 nodes", 500, 10, 1, 512, 1, Constraint(None, "rack")),
)


@dataclass
class Result:
    gangs: int = 0
    pods: int = 0
    refused: int = 0
    decide_s: float = 0.0
    events_s: float = 0.0
    slowest_s: float = 0.0
    median_s: float = 0.0


class World:
    """Usage per node, told to the solver node by node as the binder does."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.solver = Solver(snapshot)
        self.nodes = {n.name: n for n in snapshot.nodes}
        self.used: dict[str, Counter[str]] = {n.name: Counter(dict(n.used)) for n in snapshot.nodes}
        self.running: deque[tuple[Gang, tuple[Assignment, ...]]] = deque()
        self.gpus_free = sum(dict(n.allocatable)[GPU] for n in snapshot.nodes)
        self.gpus = self.gpus_free

    def tell(self, gang: Gang, assignments: tuple[Assignment, ...], sign: int) -> None:
        asked = {m.key: m.needs.requests for g in gang.podgroups for m in g.members}
        touched = set()
        for a in assignments:
            touched.add(a.node)
            for resource, amount in asked[f"{a.namespace}/{a.pod}"]:
                self.used[a.node][resource] += sign * amount
                if resource == GPU:
                    self.gpus_free -= sign * amount
        for name in touched:
            self.solver.cluster.table.use(name, self.used[name].items())

    def leave(self) -> None:
        gang, assignments = self.running.popleft()
        self.tell(gang, assignments, -1)
        self.solver.drop(gang.key)

    def arrive(self, gang: Gang, result: Result, times: list[float]) -> None:
        began = time.process_time()
        self.solver.put(gang)
        start = time.process_time()
        decision = self.solver.decide((gang.key,))
        end = time.process_time()
        self.tell(gang, decision.assignments, 1)
        result.events_s += time.process_time() - end + start - began
        times.append(end - start)
        result.gangs += 1
        result.pods += len(decision.assignments)
        result.refused += bool(decision.refusals)
        if decision.assignments:
            self.running.append((gang, decision.assignments))
        else:
            self.solver.drop(gang.key)


def run(stream: Stream, nodes: int) -> Result:
    world, result, times = World(cluster(nodes)), Result(), []
    warm: list[float] = []
    i = 0
    while world.gpus_free > (1 - stream.fill) * world.gpus:  # not measured: the cluster fills
        world.arrive(stream.make(i), Result(), warm)
        i += 1
        if i == 1:
            spare_the_collector()  # as the process does
        if i > 20 and not world.running:
            raise SystemExit(f"{stream.name}: nothing fits on {nodes} nodes")
        if i > nodes:
            break
    for gang in [stream.make(i + j) for j in range(stream.gangs)]:
        began = time.process_time()
        while world.gpus_free < (1 - stream.fill) * world.gpus:
            world.leave()
        result.events_s += time.process_time() - began
        world.arrive(gang, result, times)
    return summed(result, times)


def published(nodes: int, rack: int, gangs: int, pods: int, gpus: int, constraint: Constraint) -> Result:
    """A published workload's replica: the cluster starts empty and nothing leaves."""
    world, result, times = World(cluster(nodes, rack=rack, block=10 * rack, zone=nodes)), Result(), []
    for gang in [single(pods, gpus, constraint)(i) for i in range(gangs)]:
        world.arrive(gang, result, times)
    return summed(result, times)


def summed(result: Result, times: list[float]) -> Result:
    result.decide_s, result.slowest_s, result.median_s = sum(times), max(times), statistics.median(times)
    return result


def line(name: str, nodes: int, r: Result) -> str:
    per_s = r.gangs / r.decide_s
    both = r.gangs / (r.decide_s + r.events_s)
    return (
        f"| {name} | {nodes} | {per_s:,.0f} | {both:,.0f} | {r.pods / r.decide_s:,.0f} | "
        f"{1000 * r.median_s:.2f} | {1000 * r.slowest_s:.1f} | {r.refused} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1024,5000,15000,50000")
    parser.add_argument("--stream", default="", help="only streams whose name contains this")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    print("| stream | nodes | gangs/s | with events | pods/s | median ms | slowest ms | refused |")
    print("|---|---|---|---|---|---|---|---|")
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    for stream in STREAMS:
        for nodes in map(int, arguments.nodes.split(",")):
            if arguments.stream in stream.name:
                print(line(stream.name, nodes, run(stream, nodes)), flush=True)
    for name, nodes, *rest in PUBLISHED:
        if arguments.stream in name and not arguments.profile:
            print(line(name, nodes, published(nodes, *rest)), flush=True)
    if arguments.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()

"""Why something failed can be read after all that failed was made anew."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api import conditions
from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json, Kind
from grove_operator.cli.explain import _failures
from grove_operator.views.rollout import rollout_state
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world

WORDS = "loading weights\nCUDA error: out of memory\nworker 3 gave up"


def evidence(w: World, kind: Kind, name: str) -> Json | None:
    return conditions.find(next(o for o in w.api.objects(kind) if o["metadata"]["name"] == name), "LastFailure")


async def says(w: World, pod: Json, ready: bool, **container: Any) -> None:
    said = [{**c, "status": str(ready)} if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
    statuses = [{**pod["status"]["containerStatuses"][0], "ready": ready, "started": ready, **container}]
    body = {"status": {"conditions": said, "containerStatuses": statuses}}
    await w.api.patch(POD, "ml", pod["metadata"]["name"], body, subresource="status")


async def crashes(w: World, clique_name: str, index: int = 0, *, code: int = 1, words: str = WORDS) -> Json:
    pod = sorted(w.pods(clique_name), key=lambda p: str(p["spec"]["hostname"]))[index]
    now = w.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": code, "reason": "Error", "finishedAt": now, "message": words}
    await says(w, pod, False, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": ended})
    return pod


async def test_the_first_that_failed_stays_with_exit_code_and_last_words_and_later_ones_change_nothing() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 3, 1)]))
        await w.rest()
        first = await crashes(w, "web-0-a", 1, code=137)
        await w.rest(5)
        await crashes(w, "web-0-a", 0, words="peer lost")
        await w.rest()
        for kind, name in ((POD_CLIQUE, "web-0-a"), (POD_CLIQUE_SET, "web")):
            said = evidence(w, kind, name)
            assert said
            assert (said["status"], said["reason"]) == ("True", "Error")
            assert said["message"] == f"pod {first['metadata']['name']}, container main: exit code 137 (Error)\n{WORDS}"
        written = w.writes_of("operator")
        await w.rest(120)
        assert w.writes_of("operator") == written


async def test_it_is_past_when_all_is_well_and_what_fails_next_is_told() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2, 1)]))
        await w.rest()
        pod = await crashes(w, "web-0-a")
        await w.rest()
        live = await w.api.get(POD, "ml", pod["metadata"]["name"])
        await says(w, live, True, state={"running": {}}, lastState=live["status"]["containerStatuses"][0]["lastState"])
        await w.rest()
        for kind, name in ((POD_CLIQUE, "web-0-a"), (POD_CLIQUE_SET, "web")):
            said = evidence(w, kind, name)
            assert said
            assert said["status"] == "False"
            assert WORDS in said["message"]
        await crashes(w, "web-0-a", 1, code=3, words="bad config")
        await w.rest()
        said = evidence(w, POD_CLIQUE_SET, "web")
        assert said
        assert (said["status"], "exit code 3" in said["message"]) == ("True", True)


async def test_it_survives_the_recycle_of_a_group_replica_and_of_a_whole_one() -> None:
    for replicas, survivors in ((2, (SCALING_GROUP, POD_CLIQUE_SET)), (1, (POD_CLIQUE_SET, SCALING_GROUP))):
        async with world(start_s=1.0) as w:
            shape = podcliqueset(
                [clique("a", 1), clique("b", 2)], [group("g", ["b"], replicas)], terminationDelay="20s"
            )
            await w.apply(shape)
            await w.rest()
            before = {o["metadata"]["uid"] for o in w.api.objects(POD_CLIQUE)}
            pod = await crashes(w, "web-0-g-0-b")
            await w.clock.run_until(lambda w=w, before=before: not before <= {  # type: ignore[misc]
                o["metadata"]["uid"] for o in w.api.objects(POD_CLIQUE)})  # fmt: skip
            await w.rest(0.5)
            assert pod["metadata"]["name"] not in w.names(POD), "recycled"
            for kind in survivors:
                said = evidence(w, kind, "web" if kind is POD_CLIQUE_SET else "web-0-g")
                assert said
                assert WORDS in said["message"]
            await w.rest()
            said = evidence(w, POD_CLIQUE_SET, "web")
            assert said
            assert (said["status"], WORDS in said["message"]) == ("False", True)


async def test_a_pod_that_failed_for_good_is_told_of_though_it_is_replaced_at_once() -> None:
    async with world(start_s=1.0) as w:
        await w.apply(podcliqueset([clique("a", 1)]))
        await w.rest()
        pod = w.pods("web-0-a")[0]
        said = [{**c, "status": "False"} if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
        status = {"phase": "Failed", "reason": "OutOfnvidia.com/gpu", "message": "no GPU is left", "conditions": said}
        await w.api.patch(POD, "ml", pod["metadata"]["name"], {"status": status}, subresource="status")
        await w.rest(60)
        found = evidence(w, POD_CLIQUE_SET, "web")
        assert found
        assert (found["status"], found["reason"]) == ("False", "OutOfnvidiacomgpu")
        assert found["message"] == f"pod {pod['metadata']['name']}: OutOfnvidia.com/gpu\nno GPU is left"
        assert pod["metadata"]["name"] not in w.names(POD)


@pytest.mark.parametrize("policy", [None, "File"])
async def test_containers_leave_their_last_words_unless_the_template_says_where(policy: str | None) -> None:
    async with world() as w:
        container = {"name": "main", "image": "x"} | ({"terminationMessagePolicy": policy} if policy else {})
        await w.apply(podcliqueset([clique("a", 1, podSpec={"containers": [container]})]))
        await w.rest()
        (pod,) = w.pods("web-0-a")
        assert pod["spec"]["containers"][0]["terminationMessagePolicy"] == (policy or "FallbackToLogsOnError")


async def test_what_an_update_or_a_scale_in_ends_by_signal_is_no_failure() -> None:
    async with world(start_s=1.0) as w:
        await w.apply(podcliqueset([clique("a", 3, 1)]))
        await w.rest()
        await w.stop_nodes()
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 1}}, subresource="scale")
        await w.rest(2)
        going = [p for p in w.pods("web-0-a") if "deletionTimestamp" in p["metadata"]]
        assert going
        for pod in going:
            await says(w, pod, False, state={"terminated": {"exitCode": 143, "finishedAt": "2026-01-01T00:00:00Z"}})
        await w.rest()
        assert evidence(w, POD_CLIQUE, "web-0-a") is None


async def test_explain_and_rollout_status_tell_it_once_with_its_last_words() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 1), clique("b", 2)], [group("g", ["b"], 1)]))
        await w.rest()
        pod = await crashes(w, "web-0-g-0-b")
        await w.rest()
        (told,) = await _failures(w.api, "ml", "web-0")
        assert told.of == "podclique web-0-g-0-b"
        assert told.sentence == f"pod {pod['metadata']['name']}, container main: exit code 1 (Error)"
        assert list(told.last_words) == WORDS.splitlines()
        assert told.to_json()["past"] is False
        state = rollout_state(w.api.objects(POD_CLIQUE_SET)[0])
        assert state.failure[0] == f"failed at {told.at}: {told.sentence}"
        assert state.failure[1:] == tuple(f"  {line}" for line in WORDS.splitlines())
        assert await _failures(w.api, "ml", "nothing") == []

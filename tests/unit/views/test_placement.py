"""The tree says what exists and where it runs, from plain objects."""

from __future__ import annotations

from typing import Any

from grove_operator.views.placement import ClusterView, TreeNode, level_keys, workload_trees

LEVELS = [{"domain": "rack", "key": "rack"}, {"domain": "host", "key": "kubernetes.io/hostname"}]
TOPOLOGY = {"metadata": {"name": "default"}, "spec": {"levels": LEVELS}}


def a_node(name: str, rack: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"rack": rack, "kubernetes.io/hostname": name}}}


def a_set(name: str, available: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ml"},
        "spec": {"replicas": 1},
        "status": {"availableReplicas": available},
    }


def a_gang(name: str, pcs: str, **status: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": pcs}
    return {"metadata": {"name": name, "namespace": "ml", "labels": labels}, "status": status}


def a_clique(name: str, gang: str, ready: int, replicas: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ml", "labels": {"grove.io/podgang": gang}},
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": ready},
    }


def a_pod(name: str, clique: str, node: str | None) -> dict[str, Any]:
    status = "True" if node else "False"
    return {
        "metadata": {"name": name, "namespace": "ml", "labels": {"grove.io/podclique": clique}},
        "spec": {"nodeName": node} if node else {},
        "status": {
            "phase": "Running" if node else "Pending",
            "conditions": [
                {"type": "Ready", "status": status},
                {"type": "PodScheduled", "status": status, "reason": "" if node else "Unschedulable"},
            ],
        },
    }


def draw(**objects: Any) -> TreeNode:
    (tree,) = workload_trees(ClusterView(**objects))
    return tree


def test_a_running_pod_shows_its_path_through_the_topology() -> None:
    tree = draw(
        podcliquesets=[a_set("web", 1)],
        podgangs=[a_gang("web-0", "web", phase="Running", placementScore=1.0)],
        podcliques=[a_clique("web-0-fe", "web-0", 1, 1)],
        pods=[a_pod("web-0-fe-abcde", "web-0-fe", "h1")],
        nodes=[a_node("h1", "r1")],
        topologies=[TOPOLOGY],
    )
    gang = tree.children[0]
    pod = gang.children[0].children[0]
    assert gang.facts == ("Running", "placement score 1.00")
    assert pod.facts == ("Running", "Ready", "r1 / h1")
    assert pod.health == "good"


def test_a_refused_gang_says_why_and_its_pods_are_marked_unschedulable() -> None:
    refusal = {"type": "Scheduled", "status": "False", "message": "rack r1 holds 3 of 4 pods"}
    tree = draw(
        podcliquesets=[a_set("web", 0)],
        podgangs=[a_gang("web-0", "web", phase="Pending", conditions=[refusal])],
        podcliques=[a_clique("web-0-fe", "web-0", 0, 1)],
        pods=[a_pod("web-0-fe-abcde", "web-0-fe", None)],
    )
    gang = tree.children[0]
    assert gang.health == "bad"
    assert "rack r1 holds 3 of 4 pods" in gang.facts
    assert "Unschedulable" in gang.children[0].children[0].facts


def test_objects_of_other_namespaces_with_equal_names_do_not_mix() -> None:
    stranger = a_gang("web-0", "web", phase="Running")
    stranger["metadata"]["namespace"] = "other"
    assert draw(podcliquesets=[a_set("web", 0)], podgangs=[stranger]).children == ()


def test_a_node_without_topology_labels_is_shown_by_its_name() -> None:
    tree = draw(
        podcliquesets=[a_set("web", 1)],
        podgangs=[a_gang("web-0", "web")],
        podcliques=[a_clique("web-0-fe", "web-0", 1, 1)],
        pods=[a_pod("web-0-fe-abcde", "web-0-fe", "bare")],
        nodes=[{"metadata": {"name": "bare"}}],
        topologies=[TOPOLOGY],
    )
    assert tree.children[0].children[0].children[0].facts[-1] == "bare"


def test_several_topologies_without_a_default_give_no_levels() -> None:
    other = {"metadata": {"name": "b"}, "spec": {"levels": LEVELS}}
    named = {"metadata": {"name": "a"}, "spec": {"levels": LEVELS}}
    assert level_keys([other, named]) == ()
    assert level_keys([other]) == ("rack", "kubernetes.io/hostname")
    assert level_keys([other, TOPOLOGY]) == ("rack", "kubernetes.io/hostname")


def test_a_set_tells_of_its_further_replicas_while_they_are_there() -> None:
    pcs = a_set("web", 1)
    surge = {"type": "Surge", "status": "True", "message": "replica 1 beyond spec.replicas, until the update ends"}
    pcs["status"]["conditions"] = [surge]
    assert draw(podcliquesets=[pcs]).facts == ("1/1 available", f"surge: {surge['message']}")
    pcs["status"]["conditions"] = [{**surge, "status": "False", "message": "no place for pod web-1-a-x"}]
    assert draw(podcliquesets=[pcs]).facts == ("1/1 available",)


def test_a_clique_tells_that_an_update_does_not_count_on_its_pods_yet() -> None:
    clique = a_clique("web-0-a", "web-0", 2, 2)
    said = {"type": "Settling", "status": "True", "message": "a Ready pod has been so for less than 10 s"}
    objects = {"podcliquesets": [a_set("web", 1)], "podgangs": [a_gang("web-0", "web")], "podcliques": [clique]}
    for status, facts in (("True", ("2/2 ready", f"settling: {said['message']}")), ("False", ("2/2 ready",))):
        clique["status"]["conditions"] = [{**said, "status": status}]
        assert draw(**objects).children[0].children[0].facts == facts

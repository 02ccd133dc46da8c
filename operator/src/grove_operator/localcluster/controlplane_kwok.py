"""KWOK as a component: it plays the nodes that carry its usual annotation, and the pods bound to them.

Only pools with `playedBy: kwok` need it. The node agent creates those nodes, with capacity and annotation; KWOK makes
them Ready, renews their leases, and makes every pod on them Running and Ready at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from grove_operator.localcluster.controlplane import LOOPBACK, Component, Probe
from grove_operator.localcluster.pki import Pki
from grove_operator.localcluster.state import write_file

NODE_ANNOTATION = "kwok.x-k8s.io/node=fake"
LEASE_S = 40

_NODE_READY = """
{{ $now := Now }}
phase: Running
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- type: InternalIP
  address: {{ NodeIP | Quote }}
- type: Hostname
  address: {{ NodeName | Quote }}
"""
_POD_RUNNING = """
{{ $now := Now }}
phase: Running
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
startTime: {{ $now | Quote }}
conditions:
{{ range $type := list "PodReadyToStartContainers" "Initialized" "ContainersReady" "Ready" }}
- type: {{ $type | Quote }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
{{ if .spec.initContainers }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ end }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""  # noqa: E501 (a template's expression can't be broken)
_IS_DELETED = ".metadata.deletionTimestamp"


def kwok(program: Path, pki: Pki, config: Path, port: int) -> Component:
    """`port`: where it serves its own health, and what the API server would call the nodes' kubelet port."""
    argv = (
        str(program),
        f"--kubeconfig={pki.kubeconfig('node-agent')}",
        f"--config={config}",
        f"--manage-nodes-with-annotation-selector={NODE_ANNOTATION}",
        f"--node-ip={LOOPBACK}",
        f"--node-port={port}",
        f"--server-address={LOOPBACK}:{port}",
        f"--tls-cert-file={pki.serving_cert}",
        f"--tls-private-key-file={pki.serving_key}",
        f"--node-lease-duration-seconds={LEASE_S}",
    )
    return Component("kwok", argv, Probe(port, "/healthz", pki.ca))


def write_kwok_config(path: Path) -> None:
    write_file(path, yaml.safe_dump_all(stages(), sort_keys=False))


def stages() -> list[dict[str, object]]:
    """What KWOK does with which object, as its own Stage objects."""
    not_ready = {
        "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
        "operator": "NotIn",
        "values": ["True"],
    }
    alive = {"key": _IS_DELETED, "operator": "DoesNotExist"}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    deleted = {"key": _IS_DELETED, "operator": "Exists"}
    return [
        _stage("node-ready", "Node", [not_ready], {"statusTemplate": _NODE_READY}),
        _stage("pod-running", "Pod", [alive, pending], {"statusTemplate": _POD_RUNNING}),
        _stage("pod-gone", "Pod", [deleted], {"finalizers": {"empty": True}, "delete": True}),
    ]


def _stage(name: str, kind: str, when: Sequence[Mapping[str, object]], then: Mapping[str, object]) -> dict[str, object]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": then,
        },
    }

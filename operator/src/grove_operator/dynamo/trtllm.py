"""TensorRT-LLM over several nodes: mpirun on the leader, an SSH server on each worker (dynamo reference 2.8).

The key pair lies in a Secret (`private.key`, `private.key.pub`) of the graph's namespace. The leader starts after the
workers, since mpirun gives up on a host that doesn't answer. $HOME is used, not ~: the image may set it differently.
"""

from __future__ import annotations

from collections.abc import Sequence

from grove_operator.api.dynamo_podtemplate import by_name, joined
from grove_operator.api.kinds import Json
from grove_operator.dynamo.command import shell_line

SSH_PORT = 2222
KEYS = "/ssh-pk"
PASSED = (
    *(
        "CUDA_VISIBLE_DEVICES",
        "HF_DATASETS_CACHE",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_TOKEN",
        "HOME",
        "HUGGING_FACE_HUB_TOKEN",
    ),
    *("LD_LIBRARY_PATH", "MODEL_PATH", "NCCL_DEBUG", "NCCL_IB_DISABLE", "NCCL_P2P_DISABLE", "PATH", "PYTHONPATH"),
    *("TENSORRT_LLM_CACHE_DIR", "TOKENIZERS_PARALLELISM", "TRANSFORMERS_CACHE", "TRTLLM_USE_UCX_KVCACHE", "USER"),
)
"""Variables of the image that every rank needs, beside the container's own."""
_KEY_SETUP = (
    "mkdir -p $HOME/.ssh",
    f"cp {KEYS}/private.key $HOME/.ssh/id_rsa",
    f"cp {KEYS}/private.key.pub $HOME/.ssh/id_rsa.pub",
    f"cp {KEYS}/private.key.pub $HOME/.ssh/authorized_keys",
    "chmod 600 $HOME/.ssh/id_rsa $HOME/.ssh/authorized_keys",
    f"printf 'Host *\\nIdentityFile %s/.ssh/id_rsa\\nStrictHostKeyChecking no\\nPort {SSH_PORT}\\n' \"$HOME\" "
    "> $HOME/.ssh/config",
)
_HOST_KEYS = ("rsa", "ecdsa", "ed25519")


def adapt(pod_spec: Json, hosts: Sequence[str], processes: int, secret: str, *, is_leader: bool) -> Json:
    """`hosts` begins with the leader; `processes` is one for each GPU of all of them."""
    main, *others = pod_spec["containers"]
    mount = {"name": secret, "mountPath": KEYS, "readOnly": True}
    env = by_name(main.get("env") or (), [{"name": "OMPI_MCA_orte_keep_fqdn_hostnames", "value": "1"}])
    main = {
        **main,
        "env": sorted(env, key=lambda variable: str(variable["name"])),
        "volumeMounts": joined("mountPath", main.get("volumeMounts") or (), [mount]),
    }
    main = _leader(main, hosts, processes) if is_leader else _worker(main)
    volume = {"name": secret, "secret": {"secretName": secret, "defaultMode": 0o644}}
    return {**pod_spec, "containers": [main, *others], "volumes": by_name(pod_spec.get("volumes") or (), [volume])}


def _leader(main: Json, hosts: Sequence[str], processes: int) -> Json:
    names = sorted({*PASSED, *(str(variable["name"]) for variable in main["env"])})
    words = [
        'mpirun $([ "$(id -u)" = 0 ] && echo --allow-run-as-root) --oversubscribe',
        f"-n {processes} -H {','.join(hosts)} --mca pml ob1",
        f'--mca plm_rsh_args "-p {SSH_PORT} -o StrictHostKeyChecking=no -i $HOME/.ssh/id_rsa"',
        *(f"-x {name}" for name in names),
        "bash -c " + _single_quoted(f"trtllm-llmapi-launch {shell_line(main)}"),
    ]
    return {**main, "command": ["/bin/sh", "-c"], "args": [" && ".join([*_KEY_SETUP, " ".join(words)])]}


def _worker(main: Json) -> Json:
    steps = [
        *_KEY_SETUP,
        "mkdir -p $HOME/.ssh/host_keys",
        *(f"ssh-keygen -q -t {kind} -f $HOME/.ssh/host_keys/{kind} -N ''" for kind in _HOST_KEYS),
        f"{{ echo 'Port {SSH_PORT}'; "
        + " ".join(f'echo "HostKey $HOME/.ssh/host_keys/{kind}";' for kind in _HOST_KEYS)
        + ' echo "PidFile $HOME/.ssh/sshd.pid"; echo "AuthorizedKeysFile $HOME/.ssh/authorized_keys";'
        " echo 'StrictModes no'; echo 'PermitRootLogin yes'; echo 'PasswordAuthentication no'; }"
        " > $HOME/.ssh/sshd_config",
        "exec /usr/sbin/sshd -D -f $HOME/.ssh/sshd_config",
    ]
    kept = {key: value for key, value in main.items() if key not in ("livenessProbe", "startupProbe")}
    ready = {"tcpSocket": {"port": SSH_PORT}, "initialDelaySeconds": 20, "periodSeconds": 20}
    return {
        **kept,
        "command": ["/bin/sh", "-c"],
        "args": [" && ".join(steps)],
        "readinessProbe": {**ready, "timeoutSeconds": 5, "failureThreshold": 10},
    }


def _single_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"

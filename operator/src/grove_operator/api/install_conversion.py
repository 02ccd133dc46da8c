"""The conversion server's part of the installation: its names, and the specs of its pod and Service.

It has no rights and no token, only its certificate: the operator puts that into the Secret, and until then the kubelet
waits with the container, since the keys that it shall mount are missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from grove_operator.api.constants import CONVERSION_NAME
from grove_operator.api.kinds import Json

CONVERSION_PATH, HEALTH_PATH = "/convert", "/healthz"
CONVERSION_SECRET = "grove-conversion-cert"  # noqa: S105 - a name, not a secret
CERTIFICATE_DIR = "/etc/grove-conversion/certificate"
CERTIFICATE_KEYS = ("tls.crt", "tls.key", "ca.crt")
DEFAULT_PORT = 9448


def conversion_service(namespace: str, port: int) -> Json:
    """How the API server finds it: the `service` of a CRD's conversion webhook."""
    return {"namespace": namespace, "name": CONVERSION_NAME, "path": CONVERSION_PATH, "port": port}


def conversion_pod(
    image: str, pull_policy: str, port: int, secret: str, resources: Mapping[str, Mapping[str, str]]
) -> Json:
    """The pod's spec; `secret` holds its certificate."""
    probe = {"httpGet": {"path": HEALTH_PATH, "port": port, "scheme": "HTTPS"}, "periodSeconds": 2}
    return {
        "serviceAccountName": CONVERSION_NAME,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 10,
        "containers": [
            {
                "name": "conversion",
                "image": image,
                "imagePullPolicy": pull_policy,
                "command": [CONVERSION_NAME],
                "args": ["--certificates", CERTIFICATE_DIR, "--port", str(port)],
                "ports": [{"name": "conversion", "containerPort": port, "protocol": "TCP"}],
                "livenessProbe": {**probe, "initialDelaySeconds": 15, "timeoutSeconds": 5},
                "readinessProbe": {**probe, "initialDelaySeconds": 1},
                "resources": {k: dict(v) for k, v in resources.items()},
                "volumeMounts": [{"name": "certificate", "mountPath": CERTIFICATE_DIR, "readOnly": True}],
            }
        ],
        "volumes": [
            {
                "name": "certificate",
                "secret": {
                    "secretName": secret,
                    "items": [{"key": key, "path": key} for key in CERTIFICATE_KEYS],
                },
            }
        ],
    }

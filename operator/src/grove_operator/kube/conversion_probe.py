"""Whether the conversion server answers as it must answer the API server: through its Service, with our CA."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Callable

import aiohttp

from grove_operator.api.constants import CONVERSION_NAME
from grove_operator.api.dynamo_conversion import ALPHA, BETA
from grove_operator.api.install_conversion import CONVERSION_PATH
from grove_operator.api.kinds import SCALING_ADAPTER, SERVICE, Json
from grove_operator.engine.ports import KubeApi, NotFound

TIMEOUT_S = 3.0


class ConversionProbe:
    """`fault` is one attempt. The Service says where; no DNS is asked, so that it works outside the cluster's, too."""

    def __init__(self, api: KubeApi, namespace: str, port: int, ca: Callable[[], bytes]) -> None:
        self._api, self._namespace, self._port, self._ca = api, namespace, port, ca

    async def fault(self) -> str:
        """Why it doesn't answer, "" when it does. Raises ApiError when the Service can't be read."""
        try:
            host = host_of(await self._api.get(SERVICE, self._namespace, CONVERSION_NAME))
        except NotFound:
            return f"there is no Service {self._namespace}/{CONVERSION_NAME}; install this version's manifests"
        try:
            context = await asyncio.to_thread(ssl.create_default_context, cadata=self._ca().decode())
            async with asyncio.timeout(TIMEOUT_S), aiohttp.ClientSession() as session:
                return await self._ask(session, host, context)
        except aiohttp.ClientConnectorCertificateError as error:
            return f"its certificate is not accepted: {error.certificate_error}"
        except aiohttp.ClientConnectorError as error:
            return f"{host}:{self._port} can't be reached: {error.os_error}"
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"

    async def _ask(self, session: aiohttp.ClientSession, host: str, context: ssl.SSLContext) -> str:
        uid = str(uuid.uuid4())
        name = f"{CONVERSION_NAME}.{self._namespace}.svc"
        url = f"https://{host}:{self._port}{CONVERSION_PATH}"
        async with session.post(url, json=review(uid), ssl=context, server_hostname=name) as response:
            if response.status != 200:
                return f"answers {response.status} {response.reason}"
            told = (await response.json()).get("response") or {}
        is_good = told.get("uid") == uid and [o.get("apiVersion") for o in told.get("convertedObjects") or []] == [BETA]
        return "" if is_good else f"does not convert: {told.get('result')}"


def review(uid: str) -> Json:
    """A question that every conversion server of ours has an answer to."""
    adapter = {
        "apiVersion": ALPHA,
        "kind": SCALING_ADAPTER.kind,
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"replicas": 1, "dgdRef": {"name": "probe", "serviceName": "probe"}},
    }
    request = {"uid": uid, "desiredAPIVersion": BETA, "objects": [adapter]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": request}


def host_of(service: Json) -> str:
    """Where the API server goes for this Service."""
    spec = service.get("spec") or {}
    return str(spec.get("externalName") if spec.get("type") == "ExternalName" else spec.get("clusterIP") or "")

"""Sends planned actions, a bounded number at a time, and feeds every answer back into the cache."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

from grove_operator.api.kinds import BY_KIND, Json, ObjectKey, key_of
from grove_operator.core.objects import controller_uid
from grove_operator.core.observed import OWNERSHIP_CONFLICT, Trouble
from grove_operator.engine.cache import Cache
from grove_operator.engine.plan import Action, Create, Delete, Patch
from grove_operator.engine.ports import AlreadyExists, ApiError, Conflict, KubeApi, NotFound, Overloaded

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """How one action went. `trouble` None and `must_retry` True: somebody was faster, look again.

    `was_gone`: what we meant to change was not there any more.
    """

    action: Action
    trouble: Trouble | None = None
    must_retry: bool = False
    retry_after_s: float = 0.0
    was_gone: bool = False

    @property
    def is_done(self) -> bool:
        return self.trouble is None and not self.must_retry


class Executor:
    """`writes` counts requests by (verb, kind, subresource)."""

    def __init__(self, api: KubeApi, cache: Cache, in_flight: int) -> None:
        self._api, self._cache = api, cache
        self._slots = asyncio.Semaphore(in_flight)
        self._foreign: set[ObjectKey] = set()
        self.writes: Counter[tuple[str, str, str]] = Counter()

    async def run(self, actions: list[Action], owner_uid: str) -> list[Result]:
        """All actions at once; one that fails doesn't stop the others."""
        if len(actions) == 1:
            return [await self._one(actions[0], owner_uid)]
        return await asyncio.gather(*(self._one(action, owner_uid) for action in actions))

    async def _one(self, action: Action, owner_uid: str) -> Result:
        async with self._slots:
            try:
                return await self._send(action, owner_uid)
            except Overloaded as error:
                return Result(action, must_retry=True, retry_after_s=error.retry_after_s)
            except ApiError as error:
                return Result(action, trouble_of(action, str(error)))

    async def _send(self, action: Action, owner_uid: str) -> Result:
        key = action.key
        kind = BY_KIND[key.kind]
        try:
            if isinstance(action, Create):
                if key in self._foreign and (result := await self._still_foreign(action, owner_uid)):
                    return result
                self._count("create", key)
                self._cache.put(_whole(await self._api.create(kind, key.namespace, action.body), key))
            elif isinstance(action, Patch):
                self._count("patch", key, action.subresource)
                subresource = action.subresource or None
                answer = await self._api.patch(kind, key.namespace, key.name, action.body, subresource=subresource)
                self._cache.put(_whole(answer, key))
            else:
                self._count("delete", key)
                await self._api.delete(kind, key.namespace, key.name, uid=action.uid)
                self._cache.mark_deleted(key, action.uid)
            return Result(action)
        except AlreadyExists:
            return await self._still_foreign(action, owner_uid) or Result(action, must_retry=True)
        except Conflict:
            await self._look(key)
            return Result(action, must_retry=True)
        except NotFound as error:
            if isinstance(action, Create):
                return Result(action, trouble_of(action, str(error)))
            self._cache.remove(key, _uid(action))
            return Result(action, must_retry=isinstance(action, Patch), was_gone=isinstance(action, Patch))

    async def look_again(self, owner: Json) -> None:
        """Its child was gone: perhaps the owner is, too, and with it all that we make for it."""
        try:
            if await self._look(key_of(owner)) is None:
                self._cache.remove(key_of(owner), owner["metadata"]["uid"])
        except ApiError as error:
            log.info("%s could not be read: %s", key_of(owner), error)

    async def _still_foreign(self, action: Action, owner_uid: str) -> Result | None:
        """A result when the name is taken: by our own object (look again) or by somebody else's (trouble)."""
        live = await self._look(action.key)
        if live is None:
            self._foreign.discard(action.key)
            return None
        if controller_uid(live) == owner_uid:
            self._foreign.discard(action.key)
            return Result(action, must_retry=True)
        self._foreign.add(action.key)
        text = f"{action.key} exists and is not controlled by this object; delete or rename it"
        return Result(action, Trouble(OWNERSHIP_CONFLICT, text))

    async def _look(self, key: ObjectKey) -> Json | None:
        try:
            live = _whole(await self._api.get(BY_KIND[key.kind], key.namespace, key.name), key)
        except NotFound:
            return None
        self._cache.revive(live)
        return live

    def _count(self, verb: str, key: ObjectKey, subresource: str = "") -> None:
        self.writes[(verb, key.kind, subresource)] += 1


def trouble_of(action: Action, why: str) -> Trouble:
    """Grove's error word for a refused write."""
    verb = {Create: "CREATE", Patch: "UPDATE", Delete: "DELETE"}[type(action)]
    return Trouble(f"ERR_{verb}_{action.key.kind.upper()}", f"{action.key}: {why}")


def _whole(obj: Json, key: ObjectKey) -> Json:
    """Answers to single requests carry kind and apiVersion; items of lists don't, so make sure."""
    obj.setdefault("kind", key.kind)
    obj.setdefault("apiVersion", BY_KIND[key.kind].api_version)
    assert key_of(obj) == key, f"asked for {key}, got {key_of(obj)}"  # noqa: S101 - a broken KubeApi
    return obj


def _uid(action: Patch | Delete) -> str:
    return action.uid if isinstance(action, Delete) else str(action.body["metadata"]["uid"])

"""What a Redis is like as a store, for who looks after it. Nothing is written."""

from contextlib import suppress
from typing import Any

from mcpc.errors import StoreError
from mcpc.stored import StoreReport
from mcpc_stores.redis.engine import Engine
from mcpc_stores.redis.keys import Keys

__all__ = ["OLDEST", "evicts", "inspect_server", "unusable", "version_of"]

OLDEST = (6, 2)
"""The oldest Redis; Valkey began with 7.2."""


def version_of(about: Any) -> str:
    """The version in what `INFO` tells."""
    return str(about.get("valkey_version") or about.get("redis_version") or "0")


def unusable(about: Any) -> str | None:
    """Why the server cannot be used at all."""
    if int(about.get("cluster_enabled", 0)):
        return "this redis is a node of a cluster, which is not spoken to: give it a server that stands alone"
    version = version_of(about)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return f"redis {version} is too old: 6.2 or later is needed"
    return None


def evicts(about: Any) -> str | None:
    """Why the server may forget tasks."""
    policy = str(about.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return None
    return (
        f"this redis may drop tasks when its memory is full (maxmemory-policy {policy}): "
        "set it to noeviction, or pass allow_eviction=1"
    )


async def inspect_server(engine: Engine, keys: Keys, *, allow_eviction: bool) -> StoreReport:
    """The report on a server.

    Raises:
        StoreError: it does not answer.
    """
    about = await engine.command("info")
    is_kept = bool(int(about.get("aof_enabled", 0)))
    evicting = None if allow_eviction else evicts(about)
    lost = None if is_kept else "it keeps no append-only file: what is in it is lost when it ends (appendonly yes)"
    name = "Valkey" if about.get("valkey_version") else "Redis"
    return StoreReport(
        engine=f"{name} {version_of(about)}",
        schema=1,
        settings={
            "prefix": keys.prefix,
            "maxmemory-policy": str(about.get("maxmemory_policy", "noeviction")),
            "appendonly": "yes" if is_kept else "no",
            **await _sync(engine),
            "used memory": str(about.get("used_memory", "")),
            "maxmemory": str(about.get("maxmemory", "")),
        },
        problems=tuple(filter(None, (unusable(about), evicting, lost))),
        notes=(),
        counts=await _counts(engine, keys),
    )


async def _sync(engine: Engine) -> dict[str, str]:
    """How often the append-only file is written to the disk, where we may ask."""
    with suppress(StoreError):
        found = await engine.command("config_get", ["appendfsync"])
        return {_text(name): _text(value) for name, value in found.items()}
    return {}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


async def _counts(engine: Engine, keys: Keys) -> dict[str, int]:
    runners = [_text(name) for name in await engine.command("zrange", keys.runners, 0, -1)]
    held = await engine.commands([("scard", keys.held(runner)) for runner in runners])
    return {
        "channels": int(await engine.command("zcard", keys.channels)),
        "queued": await _queued(engine, keys),
        "running": sum(map(int, held)),
        "ended": int(await engine.command("zcard", keys.ended)),
        "processes": len(runners),
    }


async def _queued(engine: Engine, keys: Keys) -> int:
    """The queues stand under the names of tools, so they are looked for."""
    cursor, found = 0, set[str]()
    while True:
        cursor, names = await engine.command("scan", cursor, match=keys.queue("*"), count=1000)
        found.update(map(_text, names))
        if not int(cursor):
            break
    return sum(map(int, await engine.commands([("zcard", name) for name in found])))

"""The commands that the store uses, through `coredis`: the only file that knows it, so that another client could serve.

Nothing is tried twice here: whether a call that was cut took effect is for the store's caller to settle.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

import anyio
import coredis
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis import exceptions as redis_errors
from coredis.connection import TCPConnection
from coredis.pool import ConnectionPool
from coredis.retry import NoRetryPolicy
from coredis.tokens import PureToken

from mcpc.errors import StoreError, StoreFull, StoreRefused, StoreUnavailable

__all__ = ["Call", "Engine", "Subscription", "connected", "engine_errors", "script"]

Call = tuple[str, Sequence[str], Sequence[str | bytes | int]]
"""A script by name, its keys and its arguments."""

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 10.0
"""Seconds."""
OWN_HEAD = frozenset(("lease", "dead", "bury", "due", "queue", "share"))
"""Scripts that are about no channel."""


@cache
def script(name: str) -> str:
    """The text of a script."""
    folder = files("mcpc_stores.redis") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return text if name in OWN_HEAD else (folder / "common.lua").read_text(encoding="utf-8") + text


@cache
def _digest(name: str) -> str:
    """What the server knows a script by."""
    return sha1(script(name).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def engine_errors() -> Generator[None]:
    """What the client raises, as what a store raises. Most specific first."""
    try:
        yield
    except (redis_errors.AuthenticationError, redis_errors.AuthorizationError) as exc:
        raise StoreRefused(f"redis refuses us: {_text(exc)}") from exc
    except (redis_errors.ConnectionError, redis_errors.ReadOnlyError, TimeoutError, OSError) as exc:
        raise StoreUnavailable(f"redis cannot be reached: {_text(exc)}") from exc
    except redis_errors.RedisError as exc:
        raise _response_error(exc) from exc


def _response_error(exc: Exception) -> StoreError:
    text = _text(exc)
    if isinstance(exc, redis_errors.InvalidResponse):
        return StoreRefused(f"what answers there is no redis: {text}")
    if "OOM" in text:
        return StoreFull(f"redis has no memory left: {text}")
    if re.search(r"LOADING|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|BUSY|READONLY|UNBLOCKED|MISCONF", text):
        return StoreUnavailable(f"redis cannot serve now: {text}")
    if "NOPERM" in text or "NOAUTH" in text:
        return StoreRefused(f"redis refuses us: {text}")
    return StoreError(f"redis answered with an error: {text}")


def _text(exc: BaseException) -> str:
    # A failed command of a pipeline is quoted with its arguments, which are the application's data.
    text = str(exc.args[0]) if exc.args else type(exc).__name__
    return text.rpartition("caused error: ")[2][:300]


class _Connection(TCPConnection):
    """A connection that leaves nothing open where it cannot be made."""

    async def run(self, **options: Any) -> None:
        try:
            await super().run(**options)
        finally:
            for part in vars(self).values():
                if isinstance(part, MemoryObjectSendStream | MemoryObjectReceiveStream):
                    part.close()


class _Pool(ConnectionPool[Any]):
    """The client's pool, with connections of ours, that gets back the place of one that was cut while it was in use.

    The client's own does not: with as many cuts as it has places it would wait for ever.
    """

    def __init__(self, *, connection_class: Any = None, **options: Any) -> None:
        super().__init__(connection_class=_Connection, timeout=ANSWER_TIMEOUT, **options)

    async def get_connection(self, **options: Any) -> Any:
        if self._available_connections.empty() and len(self._online_connections) < self.max_connections:
            self._available_connections.append_nowait(None)
        return await super().get_connection(**options)


@asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncGenerator["Engine"]:
    """A client for that address, closed at the end.

    Raises:
        StoreUnavailable: nobody answers there.
        StoreRefused: the server does not let us in.
    """
    pool = _Pool.from_url(
        address, decode_responses=False, connect_timeout=CONNECT_TIMEOUT, stream_timeout=ANSWER_TIMEOUT, **options
    )
    client: Any = coredis.Redis(connection_pool=pool, decode_responses=False, retry_policy=NoRetryPolicy())
    with engine_errors():
        await client.__aenter__()
    try:
        yield Engine(client)
    finally:
        await client.__aexit__(None, None, None)


class Engine:
    """A connected client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._connection: Any = None
        """Scripts share one. To borrow one for each from the pool costs more than half of what a script costs us."""
        self._connecting = anyio.Lock()

    async def run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int] = ()) -> Any:
        """Run a script."""
        return (await self._run([(name, keys, args)], None))[0]

    async def run_all(self, calls: Sequence[Call], copies: tuple[int, int] | None = None) -> list[Any]:
        """Run scripts one after the other, in one round trip.

        Args:
            calls: The scripts.
            copies: How many replicas must have what they wrote, and the milliseconds to wait for those.

        Raises:
            StoreError: the first that failed; those after it may have run.
        """
        if len(calls) == 1 and copies is None:
            return [await self.run(*calls[0])]
        return await self._run(calls, copies)

    async def _run(self, calls: Sequence[Call], copies: tuple[int, int] | None) -> list[Any]:
        with engine_errors():
            answers = await self._ask(calls, copies)
            missing = [n for n, answer in enumerate(answers) if isinstance(answer, redis_errors.NoScriptError)]
            if missing:  # a restarted server knows no scripts: none of these has run
                for name in {calls[n][0] for n in missing}:
                    await self._client.script_load(script(name))
                for n, answer in zip(missing, await self._ask([calls[n] for n in missing], copies), strict=True):
                    answers[n] = answer
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _ask(self, calls: Sequence[Call], copies: tuple[int, int] | None) -> list[Any]:
        """Send scripts at once; the answer of each, which may be an error."""
        if copies is None:
            connection = await self._connected()
            return await _answers(connection, _sent(connection, calls))
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # nobody else waits behind this
        try:
            asked = _sent(connection, calls, disconnect_on_cancellation=True)
            # In the same connection: it waits for what this one has written.
            asked.append(_request(connection, b"WAIT", *copies, disconnect_on_cancellation=True))
            return (await _answers(connection, asked))[:-1]
        finally:
            pool.release(connection)

    async def _connected(self) -> Any:
        """The connection of scripts, made anew where it was cut."""
        if self._connection is None or not self._connection.usable:
            async with self._connecting:
                if self._connection is None or not self._connection.usable:
                    self._connection = await self._client.connection_pool.get_connection()
        return self._connection

    async def command(self, name: str, *args: Any, **options: Any) -> Any:
        """Run one command, by the name that the client has for it."""
        with engine_errors():
            return await getattr(self._client, name)(*args, **options)

    async def set_new(self, key: str, value: str, seconds: int) -> bool:
        """Set a key for so many seconds, if it is not there; whether it was not."""
        return bool(await self.command("set", key, value, ex=seconds, condition=PureToken.NX))

    async def scored_below(self, key: str, score: int) -> list[bytes]:
        """The members of a sorted set with at most that score."""
        return list(await self.command("zrange", key, 0, score, sortby=PureToken.BYSCORE))

    async def commands(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands (a name and arguments each) in one round trip."""
        if not calls:
            return []
        with engine_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for name, *args in calls:
                    getattr(pipe, name)(*args)
            return list(pipe.results or ())

    @asynccontextmanager
    async def subscribed(self, channels: Sequence[str]) -> AsyncGenerator["Subscription"]:
        """Listen to pub/sub channels, until the connection is cut.

        Raises:
            StoreUnavailable: it was, or there was none.
        """
        try:
            async with self._client.pubsub(channels=list(channels), retry_policy=NoRetryPolicy()) as pubsub:
                yield Subscription(pubsub)
        except (redis_errors.RedisError, OSError) as exc:
            raise StoreUnavailable(f"the bells of redis cannot be heard: {_text(exc)}") from exc
        except BaseExceptionGroup as group:  # what the client runs in the background fails in a group
            cut, other = group.split((redis_errors.RedisError, OSError, StoreUnavailable))
            if other is not None:  # trio: the cut may come beside the cancellation of whoever listens
                raise other from cut
            raise StoreUnavailable("the bells of redis cannot be heard: the connection was cut") from cut


def _request(connection: Any, command: bytes, *args: str | bytes | int, **options: Any) -> Any:
    return connection.create_request(command, *args, raise_exceptions=False, **options)


def _sent(connection: Any, calls: Sequence[Call], **options: Any) -> list[Any]:
    """Scripts that were sent, and are not answered yet."""
    return [
        _request(connection, b"EVALSHA", _digest(name), len(keys), *keys, *args, **options)
        for name, keys, args in calls
    ]


async def _answers(connection: Any, asked: Sequence[Any]) -> list[Any]:
    """An answer each, or an error. A connection that has none for us in time is not asked again."""
    answers = [await each for each in asked]
    if any(isinstance(answer, TimeoutError) for answer in answers):
        connection.invalidate()
    return answers


class Subscription:
    """What is heard on pub/sub channels: None for each subscription that begins, else the text of a message."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub

    async def add(self, channel: str) -> None:
        """Listen to one more."""
        await self._pubsub.subscribe(channel)

    async def __aiter__(self) -> AsyncIterator[bytes | None]:
        async for message in self._pubsub:
            found: Mapping[str, Any] = message
            if found["type"] == "message":
                yield found["data"]
            elif found["type"] == "subscribe":
                yield None

"""From a URI to a handle: connect, and refuse a server that may lose what it is given."""

import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio

from mcpc.errors import StoreError, StoreRefused, URIError
from mcpc.logs import logger_of
from mcpc.stored import StoreLimits, StoreReport
from mcpc.transport import URI
from mcpc_stores.redis.bells import Bells
from mcpc_stores.redis.engine import Engine, connected
from mcpc_stores.redis.inspecting import evicts, inspect_server, unusable
from mcpc_stores.redis.keys import PREFIX, Keys
from mcpc_stores.redis.store import RedisStore

__all__ = ["RedisStores"]

logger: logging.Logger = logger_of(__name__)


class RedisStores:
    """Serves `redis:` and `rediss:` (TLS). `redis://user:password@host:6379/0`; the path is the database's number."""

    def open(
        self,
        uri: URI,
        /,
        *,
        limits: StoreLimits,
        wait: int = 0,
        poll: float = 5.0,
        allow_eviction: bool = False,
        prefix: str = PREFIX,
        ssl_context: ssl.SSLContext | None = None,
    ) -> AbstractAsyncContextManager[RedisStore]:
        """A handle.

        Args:
            uri: The address.
            limits: The bounds.
            wait: Replicas that must have an end or a checkpoint before it is acknowledged, if they answer in a second.
            poll: Seconds after which other processes' doings are looked for, if no bell was heard.
            allow_eviction: Use a server that may drop keys when its memory is full.
            prefix: What every key begins with.
            ssl_context: For `rediss:`.

        Raises:
            URIError: the address or an option cannot be used.
            StoreUnavailable, StoreRefused: (on entering) the server cannot be reached, or is not set up to keep data.
        """
        _check_address(uri)
        if wait < 0 or poll <= 0:
            raise URIError(f"{uri.scheme}: wait must not be negative, and poll must be more than 0")
        options: dict[str, Any] = {} if ssl_context is None else {"ssl_context": ssl_context}
        return self._open(uri, limits, wait, poll, allow_eviction, Keys(prefix), options)

    async def inspect(
        self,
        uri: URI,
        /,
        *,
        limits: StoreLimits,
        allow_eviction: bool = False,
        prefix: str = PREFIX,
        ssl_context: ssl.SSLContext | None = None,
        **options: Any,
    ) -> StoreReport:
        """What the server is like as a store; takes what `open` takes, and writes nothing.

        Raises:
            URIError, StoreError: it cannot be read.
        """
        _check_address(uri)
        given: dict[str, Any] = {} if ssl_context is None else {"ssl_context": ssl_context}
        async with connected(uri.reveal(), **given) as engine:
            return await inspect_server(engine, Keys(prefix), allow_eviction=allow_eviction)

    @asynccontextmanager
    async def _open(
        self, uri: URI, limits: StoreLimits, wait: int, poll: float, allow_eviction: bool, keys: Keys, options: Any
    ) -> AsyncGenerator[RedisStore]:
        async with connected(uri.reveal(), **options) as engine:
            await _check(engine, allow_eviction)
            bells = Bells(engine, keys, poll)
            store = RedisStore(engine, keys, limits, bells, wait)
            group = await anyio.create_task_group().__aenter__()
            group.start_soon(bells.listen_for_ever)
            group.start_soon(bells.look_for_ever)
            try:
                yield store
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True), suppress(StoreError):
                    await store.close()
                # The group is not told of the caller's exception: it would wrap it in a group.
                await group.__aexit__(None, None, None)


def _check_address(uri: URI) -> None:
    if not uri.rest.startswith("//") or not uri.host:
        raise URIError(f"{uri.scheme}: write {uri.scheme}://host:6379/0; the path is the number of the database")
    if uri.path.strip("/") and not uri.path.strip("/").isdigit():
        raise URIError(f"{uri.scheme}: the path is the number of the database, not {uri.path!r}")


async def _check(engine: Engine, allow_eviction: bool) -> None:
    """Refuse what may forget tasks; warn of what may lose them.

    Raises:
        StoreRefused: it is too old, a cluster's, or evicts keys.
    """
    about = await engine.command("info")  # more than one section at once is for Redis 7
    refusal = unusable(about) or (None if allow_eviction else evicts(about))
    if refusal is not None:
        raise StoreRefused(refusal)
    if not int(about.get("aof_enabled", 0)):
        logger.warning("this redis keeps no append-only file: what is in it is lost when it ends (appendonly yes)")

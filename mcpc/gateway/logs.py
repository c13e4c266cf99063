"""Log entries of a server behind a gateway, each told to the caller of the call that it belongs to, in order.

Knows nothing of whose call an entry belongs to, nor of how callers are told.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import anyio

from mcpc.logs import logger_of
from mcpc.wire.jsontext import json_size

__all__ = ["CallLog", "Logs"]

logger: logging.Logger = logger_of(__name__)

MAX_ENTRIES = 1000
"""Entries of one call that may wait for its caller to read; later ones are left out."""
MAX_BYTES = 1024 * 1024
"""Bytes of them; a single larger one still may wait."""
MAX_EARLY = 1000
"""Entries that are held while it is not yet known which call has which id."""

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class CallLog:
    """The entries of one call.

    Args:
        send: Tells its caller of one.
        spawn: Runs an async function in the background.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], spawn: Spawn) -> None:
        self._send = send
        self._spawn = spawn
        self._entries: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._one_at_a_time = anyio.Lock()
        self._scope: anyio.CancelScope | None = None

    def put(self, entry: dict[str, Any]) -> None:
        """Tell the caller of an entry soon."""
        size = json_size(entry)
        if len(self._entries) >= MAX_ENTRIES or (self._entries and self._bytes + size > MAX_BYTES):
            logger.debug("a log entry was left out: its caller has not read %d others", len(self._entries))
            return
        self._entries.append((entry, size))
        self._bytes += size
        if self._scope is None:
            self._scope = anyio.CancelScope()
            self._spawn(self._run)

    async def flush(self) -> None:
        """Tell the caller of all that wait. Raises nothing: who cannot be told is gone."""
        async with self._one_at_a_time:
            while self._entries:
                entry, size = self._entries.popleft()
                self._bytes -= size
                try:
                    await self._send(entry)
                except Exception as exc:
                    logger.debug("a caller could not be told of a log entry: %s", exc)

    def close(self) -> None:
        """Tell the caller of nothing more."""
        self._entries.clear()
        self._bytes = 0
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        assert self._scope is not None
        with self._scope:
            await self.flush()
        self._scope = None


class Logs:
    """The logs of the calls that are open at one server, by the ids of their tasks."""

    def __init__(self) -> None:
        self._calls: dict[str, CallLog] = {}
        self._early: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MAX_EARLY)
        self._starts = 0

    @contextmanager
    def starting(self) -> Generator[None]:
        """While a call is begun: it has an id, and may log, before that is known here."""
        self._starts += 1
        try:
            yield
        finally:
            self._starts -= 1
            if not self._starts:
                self._early.clear()

    def take(self, task_id: str, entry: dict[str, Any]) -> CallLog | None:
        """An entry has come; the log that it is in, where there is one."""
        log = self._calls.get(task_id)
        if log is not None:
            log.put(entry)
        elif self._starts:
            self._early.append((task_id, entry))
        return log

    def add(self, task_id: str, log: CallLog) -> None:
        """A call has an id."""
        self._calls[task_id] = log
        for known, entry in self._early:
            if known == task_id:
                log.put(entry)

    def remove(self, task_id: str) -> None:
        """A call has ended."""
        self._calls.pop(task_id, None)

"""Ends that a store may have lost: each is kept for one lease, and told again to a store that knows nothing of it.

A store that was restored, or whose copy took its place, may lack its newest entries. A task whose end was among them
would be running for ever in the store's eyes; one that was begun then is not known there at all, and its client would
wait for ever.
"""

import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import anyio

from mcpc.errors import MCPCError
from mcpc.logs import logger_of
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import interrupted_message
from mcpc.store import Store
from mcpc.stored import Claim

__all__ = ["Endings"]

logger: logging.Logger = logger_of(__name__)

MAX_KEPT = 10_000
"""Ends that are kept; beyond it the first goes."""


class Endings:
    """The ends of one process.

    Args:
        store: Gives the store.
        keep: Seconds for which an end is kept.
        journal: Gives the journal of a channel, if it is here.
        spawn: Runs something in the background.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        keep: float,
        journal: Callable[[str], StoredJournal | None],
        spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
    ) -> None:
        self._store = store
        self._keep = keep
        self._journal = journal
        self._spawn = spawn
        self._ended: dict[Claim, tuple[StoredExecution, float]] = {}

    def note(self, running: StoredExecution) -> None:
        """A task has ended here, or has left."""
        claim = running.line.claim
        if claim is None or running.lost or running.state.ending is None:
            return
        if len(self._ended) >= MAX_KEPT:
            del self._ended[next(iter(self._ended))]
        self._ended[claim] = (running, anyio.current_time() + self._keep)

    def claims(self) -> Collection[Claim]:
        """The claims of ended tasks whose end has landed a while ago: the store should know that they are nobody's."""
        now = anyio.current_time()
        self._ended = {claim: kept for claim, kept in self._ended.items() if kept[1] > now}
        return [claim for claim, (running, _) in self._ended.items() if not running.line.is_dirty]

    def told(self, held: Collection[str]) -> None:
        """These tasks run here, as far as the store knows: it is told again of those that have ended."""
        for claim, (running, _) in self._ended.items():
            if claim.task_id in held and not running.line.is_dirty:
                running.tell_end()

    def lost(self, running: StoredExecution) -> None:
        """The store lets nothing more of a task through: it is run elsewhere, has ended, or is not known at all."""
        was_running = not running.ended.is_set()
        running.lose()
        if was_running:
            self._spawn(lambda: self._tell_if_unknown(running))

    async def _tell_if_unknown(self, running: StoredExecution) -> None:
        """A task that was begun and that the store has forgotten since: its client is told that it is over."""
        claim = running.line.claim
        if claim is None:
            return
        try:
            known = await self._store().task(claim.task_id)
        except MCPCError as exc:
            logger.warning("whether a task of %s is known cannot be told: %s", running.state.tool_name, exc)
            return
        journal = self._journal(claim.channel)
        if known is None and journal is not None:
            journal.post(interrupted_message(running.state))

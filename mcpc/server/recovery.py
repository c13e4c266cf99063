"""Who is alive: this process says that it is, looks after the tasks of others that are not, and takes some over.

A process that cannot say so for most of its lease gives its tasks up by itself:
somebody else may run them by then.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Collection

import anyio

from mcpc.errors import StoreError
from mcpc.logs import logger_of
from mcpc.server.endings import Endings
from mcpc.server.stored_execution import StoredExecution
from mcpc.store import Store
from mcpc.stored import Claim, StoredTask

__all__ = ["Recovery"]

logger: logging.Logger = logger_of(__name__)

PAUSE = 1.0
"""Seconds before the next task is taken, where one could not be begun."""

Begin = Callable[[Claim, StoredTask], Awaitable[None]]


class Recovery:
    """The watch of one process.

    Args:
        store: Gives the store.
        runner: The process, as the store knows it.
        running: Gives what runs here.
        tools: Gives the names of the tools whose tasks may be taken now.
        begin: Runs a task that was taken.
        endings: What has ended here.
        lease: Seconds for which a process that says nothing is taken to be alive.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        runner: str,
        running: Callable[[], Collection[StoredExecution]],
        tools: Callable[[], Collection[str]],
        begin: Begin,
        endings: Endings,
        lease: float,
    ) -> None:
        self._store = store
        self._runner = runner
        self._running = running
        self._tools = tools
        self._begin = begin
        self._endings = endings
        self._lease = lease
        self._given_up: list[StoredExecution] = []
        """What was given up here, and perhaps was nobody else's since."""
        self._beaten_at = anyio.current_time()
        self._wanted = anyio.Event()

    async def beat_for_ever(self) -> None:
        """Say that this process is alive, and give up what is no longer its own."""
        while True:
            await anyio.sleep(self._lease / 3)
            with anyio.move_on_after(self._lease / 3):
                try:
                    await self.beat()
                except StoreError as exc:
                    logger.warning("the store was not told that this process is alive: %s", exc)
            if anyio.current_time() - self._beaten_at > self._lease * 2 / 3:
                for running in list(self._running()):
                    logger.warning("a task of %s is given up: the store was not reached", running.state.tool_name)
                    self._given_up.append(running)
                    running.lose()

    async def beat(self) -> None:
        """Say it once.

        Raises:
            StoreError: it was not heard.
        """
        running = list(self._running())
        began = anyio.current_time()
        claims = {r.line.claim: r for r in running if r.line.claim is not None}
        held = await self._store().beat(self._runner, self._lease, [*claims, *self._endings.claims()])
        self._beaten_at = began
        for claim, execution in claims.items():
            if claim.task_id not in held and not execution.ended.is_set():
                execution.lose()
        self._endings.told(held)
        await self._settle_given_up()

    async def _settle_given_up(self) -> None:
        """The store is there again: what was given up ends, or waits for whoever runs it next.

        Raises:
            StoreError: it is gone again.
        """
        while self._given_up:
            running = self._given_up[-1]
            if running.may_run_again and running.line.claim is not None:
                await self._store().release(running.line.claim)
            else:
                running.interrupt()
            self._given_up.pop()

    async def look_for_ever(self) -> None:
        """Look after the tasks of processes that are gone, and take what may run again."""
        while True:
            try:
                await self._store().reap()
                self.wake()
            except StoreError as exc:
                logger.warning("the tasks of other processes could not be looked after: %s", exc)
            await anyio.sleep(self._lease / 2 * random.uniform(0.8, 1.2))

    def wake(self) -> None:
        """There may be tasks to take, or room for one more."""
        self._wanted.set()

    async def claim_for_ever(self) -> None:
        """Take what waits for this process, as often as there is a reason to look."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            try:
                await self._claim()
            except StoreError as exc:
                logger.warning("what waits for a worker could not be looked for: %s", exc)

    async def _claim(self) -> None:
        """Take every task that this process may take now."""
        while (tools := self._tools()) and (claimed := await self._store().claim(self._runner, tools)) is not None:
            try:
                await self._begin(*claimed)
            except Exception:
                logger.exception("a task of %s could not be run", claimed[1].tool_name)
                await self._store().release(claimed[0])
                await anyio.sleep(PAUSE)

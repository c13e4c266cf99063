"""`ThreadUpdates`: what threads have sent of one task, on its way into the event loop.

A thread encodes its update, leaves it here and goes on; the event loop is woken once for all that has come. A thread
waits here while the loop is far behind, or while the task's outlet has no room. Knows no worker and no caller.
"""

import threading
from collections import deque
from typing import Any

import anyio

from mcpc.detached import soon_from_anywhere, spawn_detached
from mcpc.errors import TaskEnded, TaskStopped
from mcpc.server.execution import Execution

__all__ = ["ThreadUpdates"]

MAX_WAITING = 512
"""Updates of a task that may wait for the event loop; over it the thread waits."""
MAX_WAITING_BYTES = 1024 * 1024
"""Bytes of them. A single larger update still waits here, alone."""


class ThreadUpdates:
    """The updates of one task that come from threads. Made in the event loop; closed when the worker has ended.

    Args:
        running: The task.
    """

    def __init__(self, running: Execution) -> None:
        self._running = running
        self._waiting: deque[bytes] = deque()
        """Encoded. Threads put under the lock, the loop takes."""
        self._came = 0
        self._went = 0
        """Bytes that were put by threads, and taken by the loop: each number has one writer."""
        self._changed = threading.Condition(threading.Lock())
        """Tells threads of room, and of the end."""
        self._is_woken = False
        """Whether the loop has been told of what waits."""
        self._refused: bytes | None = None
        """An update that is being awaited: the others come after it."""
        self._pushing = anyio.CancelScope()
        self._is_closed = False
        self._soon = soon_from_anywhere()
        running.post_waiting = self.post

    # --- in threads ---

    def put(self, result: Any) -> None:
        """Send an update; waits while there is no room.

        Raises:
            MessageError: the value is not JSON; nothing was sent.
            TaskStopped: the task has ended.
        """
        data = self._running.phrasing.encode("update", result)
        with self._changed:
            while self._is_full and not self._has_ended:
                self._changed.wait()
            if self._has_ended:
                raise TaskStopped("the task was stopped", task_id=self._running.state.task_id)
            self._waiting.append(data)
            self._came += len(data)
            if self._is_woken:
                return
            self._is_woken = True
        self._soon(self._take)

    def flush(self) -> None:
        """Wait until all that was put has been posted, or the task has ended."""
        with self._changed:
            while (self._waiting or self._refused is not None) and not self._has_ended:
                self._changed.wait()

    @property
    def _has_ended(self) -> bool:
        return self._is_closed or self._running.state.ended

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING or self._came - self._went > MAX_WAITING_BYTES

    # --- in the event loop ---

    def close(self) -> None:
        """The worker has ended: nothing more is taken, and nobody waits here."""
        self._is_closed = True
        self._pushing.cancel()
        self._tell_threads()

    def post(self) -> None:
        """Post what waits, without waiting for room: something else of the task is to come after it."""
        running, refused = self._running, self._refused
        if refused is not None:
            self._refused = None
            self._pushing.cancel()
            running.outlet.post(refused)
        while (data := self._next()) is not None:
            running.outlet.post(data)
        self._tell_threads()

    def _take(self) -> None:
        """Threads have put something: post it, as long as nobody has to wait for that."""
        self._is_woken = False  # first: what is put from now on is told of again
        if self._refused is None and not self._is_closed:
            self._offer_each()
            if self._refused is not None:
                self._pushing = anyio.CancelScope()
                spawn_detached(self._push)
            self._tell_threads()

    def _offer_each(self) -> None:
        """Post what waits, up to an update that has to be awaited."""
        offer = self._running.outlet.offer
        while (data := self._next()) is not None:
            if not offer(data):
                self._refused = data
                return

    def _next(self) -> bytes | None:
        """Take the next update, which is then the task's state; None where none waits, or the task has ended."""
        if not self._waiting:
            return None
        data = self._waiting.popleft()
        self._went += len(data)
        try:
            self._running.remember(data)
        except TaskEnded:
            self._waiting.clear()
            return None
        return data

    async def _push(self) -> None:
        """Post an update for which somebody has to wait, and what comes after it."""
        with self._pushing:
            while self._refused is not None:
                await self._running.outlet.update(self._refused, None)
                self._refused = None
                self._offer_each()
                self._tell_threads()

    def _tell_threads(self) -> None:
        with self._changed:
            self._changed.notify_all()

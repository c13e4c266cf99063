"""The threads of sync workers: bounded, and none of them keeps the process alive.

A thread cannot be stopped. Who waits for one may be cancelled all the same: then the thread is left to itself, and what
it returns is dropped. anyio's own threads are waited for when the interpreter exits, so a blocked worker would hold
the process for ever; these are not.
"""

import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio._core._eventloop import claim_worker_thread  # what makes `anyio.from_thread` work in a thread

__all__ = ["Threads"]

T = TypeVar("T")


class Threads:
    """Threads for functions that block.

    Args:
        max_running: How many are waited for at once; a further function waits for its turn.
    """

    def __init__(self, max_running: int) -> None:
        self.running: set[threading.Thread] = set()
        """Those that have not ended, whether somebody still waits for them or not."""
        self._max_running = max_running
        self._limiter: anyio.CapacityLimiter | None = None

    def reset(self) -> None:
        """Another event loop begins: a limiter belongs to its own."""
        self._limiter = None

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` in a thread, in a copy of this context, and return what it returns.

        Raises:
            BaseException: what it raised, whatever that is. It is carried here as a value: an event loop's future
                takes neither `StopIteration` nor `GeneratorExit`, nor a cancellation, for what they are.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._max_running)
        async with self._limiter:
            call = _Call(function, self.running)
            call.start()
            try:
                await call.done.wait()
            except BaseException:
                call.leave()
                raise
        return call.outcome()


class _Call:
    """One function in one thread."""

    def __init__(self, function: Callable[[], Any], running: set[threading.Thread]) -> None:
        self.done = anyio.Event()
        self.is_left = False
        """Whether nobody waits for it any more, though it runs."""
        self._function = function
        self._running = running
        self._token = anyio.lowlevel.current_token()
        self._context = contextvars.copy_context()
        self._value: Any = None
        self._raised: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="mcpc worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._running.add(self._thread)
        self._thread.start()

    def _main(self) -> None:
        try:
            backend: Any = _Backend(self, self._token)
            with claim_worker_thread(backend, self._token.native_token):
                self._value = self._context.run(self._function)
        except BaseException as exc:
            self._raised = exc
        if self.is_left:
            self._forget()
        self._running.discard(self._thread)
        with contextlib.suppress(Exception):  # the event loop may be gone
            anyio.from_thread.run_sync(self.done.set, token=self._token)

    def leave(self) -> None:
        """Nobody waits any more, and nobody takes what comes of it, be it done (in the same turn) or not."""
        self.is_left = True
        self._forget()

    def _forget(self) -> None:
        """Drop what nobody will take: the frames of what was raised hold this call, which would hold them."""
        self._value = self._raised = None

    def outcome(self) -> Any:
        """What the function returned.

        Raises:
            BaseException: what it raised.
        """
        raised, self._raised = self._raised, None
        if raised is None:
            return self._value
        try:
            raise raised
        finally:
            del raised  # or this frame and the error would keep each other alive


class _Backend:
    """The event loop's backend, as code in our thread finds it through `anyio.from_thread`.

    To trio anyio hands no token from a thread that it holds for its own, and trio knows its own threads only.
    """

    def __init__(self, call: _Call, token: anyio.lowlevel.EventLoopToken) -> None:
        self._call = call
        self._token = token

    def __getattr__(self, name: str) -> Any:
        return getattr(self._token.backend_class, name)

    def run_async_from_thread(self, func: Any, args: Any, token: object) -> Any:
        return self._token.backend_class.run_async_from_thread(func, args, token=self._token.native_token)

    def run_sync_from_thread(self, func: Any, args: Any, token: object) -> Any:
        backend = self._token.backend_class
        return backend.run_sync_from_thread(func, args, token=cast("Any", self._token.native_token))

    def check_cancelled(self) -> None:
        if self._call.is_left:
            raise concurrent.futures.CancelledError("nobody waits for this thread any more")

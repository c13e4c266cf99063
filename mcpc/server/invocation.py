"""One call of a background tool, run to its end whoever waits for it.

The whole call runs here, the server's own handling of it included: its middleware, its injected dependencies, its
conversion of the result. So what a server opens for a call stays open until the worker has ended, and a result is
what the server makes of it. Knows no caller: `callers` says how a task is entered and what is answered.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from mcpc.errors import MCPCError, TaskStopped
from mcpc.foreign import is_closed
from mcpc.latch import Latch
from mcpc.logs import logger_of
from mcpc.server.answers import error_result, kept_answer, made_result, to_be_kept
from mcpc.server.entrance import Entrance
from mcpc.server.execution import Execution
from mcpc.server.failures import failure_of, holds_cancellation
from mcpc.server.outcome import concluded
from mcpc.server.stubborn import left_alone_if_stubborn
from mcpc.tasks import Status
from mcpc.wire.jsontext import as_object
from mcpc.wire.reasons import refusal_meta

__all__ = ["Invocation"]

logger: logging.Logger = logger_of(__name__)


class Invocation:
    """A call on its way.

    Args:
        entrance: Where its tool's function enters the task.
    """

    __slots__ = ("_entrance", "_error", "_result", "_tell", "begun", "is_awaited", "over", "scope")

    def __init__(self, entrance: Entrance) -> None:
        self.begun: Latch = entrance.begun
        """Set when the worker has its task, or when the call ended before."""
        self.scope: anyio.CancelScope = entrance.scope
        """Cancelled to cancel the call, its worker included."""
        self.over: Latch = Latch()
        """Set when the call has ended, and its task with it."""
        self._entrance = entrance
        self._tell: list[Callable[[], None]] = []
        self._result: HandlerResult = None
        self._error: BaseException | None = None
        self.is_awaited: bool = True
        """Whether somebody asks how it ended. Where nobody does, what it ended with is dropped once it is over."""

    @property
    def running(self) -> Execution | None:
        """The task; None while there is none."""
        return self._entrance.running

    # --- in the host ---

    async def run(self, proceed: Callable[[], Awaitable[HandlerResult]]) -> None:
        """Let the server handle the call. Raises nothing but its own end: a cancellation, or a `GeneratorExit`."""
        try:
            with self.scope, left_alone_if_stubborn("a background tool"):
                try:
                    self._result = await proceed()  # by no function of its own, whose frame a running task would hold
                except GeneratorExit:
                    raise
                except BaseException as exc:  # of a middleware, say, or of what was injected
                    await self._failed(exc)
            if self.running is not None:
                await self._conclude(self.running)
        except GeneratorExit as exc:  # perhaps of a thread that the call waited for: nothing may be waited for now
            self._closed(exc)
            raise
        finally:
            if self.running is not None:
                self.running.stopped()
            self.begun.set()
            self.over.set()
            for tell in self._tell:
                tell()
            self._forget()

    async def _failed(self, exc: BaseException) -> None:
        if holds_cancellation(exc):
            await checkpoint_if_cancelled()  # raises where it is we who are cancelled; else it was a stray one
        self._error = exc

    def _closed(self, exc: GeneratorExit) -> None:
        if is_closed():
            return
        self._error = self._error or exc
        if self.running is not None:
            self.running.fail(self._entrance.failure or self._error)

    async def _conclude(self, running: Execution) -> None:
        if self.scope.cancelled_caught:
            return
        running.started.set()
        running.scope = anyio.CancelScope()
        await running.run(self._outcome)

    async def _outcome(self) -> Any:
        """What the task ends with."""
        if self._entrance.failure is not None:
            raise self._entrance.failure
        if self._error is not None:
            raise self._error
        return concluded(as_object(self._result), self._entrance.value, self._keep)

    def _keep(self, answer: dict[str, Any]) -> None:
        assert self.running is not None
        self._result = answer
        self.running.state.answer = to_be_kept(answer)

    # --- for who waits ---

    def let_go(self) -> None:
        """Nobody asks any more how it ended.

        Its result is dropped then, or its errors with what the frames of its worker hold: a call is kept for long, as
        the context of whatever the worker began.
        """
        self.is_awaited = False
        self._forget()

    def _forget(self) -> None:
        if self.over.is_set() and not self.is_awaited:
            self._result = self._error = None
            self._entrance.forget()

    def when_over(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the call is over."""
        self._tell.append(tell)

    def returned(self) -> Any:
        """What the worker returned.

        Raises:
            MCPCError: there was no task, or it was stopped.
            Exception: what the worker raised.
        """
        error = self._entrance.refusal or self._entrance.failure or self._error
        if error is not None:
            raise _harmless(error)
        if self.running is not None and self.running.state.status is not Status.COMPLETE:
            raise TaskStopped("the task was stopped", task_id=self.running.state.task_id)
        return self._entrance.value

    def answer(self) -> HandlerResult:
        """What an ordinary call answers, once it is over.

        Raises:
            MCPError: the call, or its worker, ended with an error of the protocol.
            Exception: what the server raised before there was a task.
        """
        if self._entrance.refusal is not None:
            return error_result(str(self._entrance.refusal), refusal_meta(self._entrance.refusal))
        if self.running is not None and self.running.state.status is not Status.COMPLETE:
            return self._failed_answer(self.running)
        if self._error is not None:
            raise _answered(self._error)
        return self._result

    def _failed_answer(self, running: Execution) -> HandlerResult:
        if isinstance(self._entrance.failure, MCPError):
            # The frames that it has left so far have been told of; a caller's middleware may keep it.
            raise self._entrance.failure.with_traceback(None)
        answer = kept_answer(running.state)
        return made_result(running.state) if answer is None else answer


def _harmless(error: BaseException) -> Exception:
    """What may be raised through whoever waits: it must not end more than their call."""
    if isinstance(error, Exception):
        return error
    made = MCPCError(f"the call raised {type(error).__name__}")
    made.__cause__ = error
    return made


def _answered(error: BaseException) -> Exception:
    """What the caller is answered with where the server's handling of the call raised that."""
    if isinstance(error, Exception):
        return error
    logger.error("the handling of a call raised %s", type(error).__name__, exc_info=error)
    told = failure_of(error).result
    return MCPError(INTERNAL_ERROR, f"{told['error']}: {told['message']}")

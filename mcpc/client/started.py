"""`StartedCall`: one tool call made for a handle. It runs beside its starter until it is known what the tool is.

A background tool's call is answered at once, and its task goes on over the channel. An ordinary tool's call goes on:
it is the handle's task then, its progress the updates, its result the end. Knows nothing of connections.
"""

import contextvars
import uuid
import weakref
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from mcpc.client.handle import TaskHandle, result_value
from mcpc.client.requests import typed
from mcpc.client.router import Router
from mcpc.client.steering import CallSteering
from mcpc.errors import ConnectionLost
from mcpc.wire.reasons import error_of, refusal_in
from mcpc.wire.results import failure
from mcpc.wire.standard import PROGRESS_TOKEN

__all__ = ["Made", "StartedCall", "started_call"]

_asking: contextvars.ContextVar["weakref.ref[StartedCall] | None"] = contextvars.ContextVar("mcpc_asking", default=None)
"""Held weakly: the SDK's HTTP streams keep the context of the last message, and with it whatever is in it."""


def started_call() -> "StartedCall | None":
    """The call that is being made, for a handle; what its server asks meanwhile is asked by it."""
    held = _asking.get()
    return None if held is None else held()


Made = Callable[["StartedCall"], Awaitable[CallToolResult | None]]
"""Makes the call. None where its answer was that a task has begun, whose messages come by another way."""


class StartedCall:
    """One call.

    Args:
        handle: Whose call it is.
        router: Where its messages go.
    """

    def __init__(self, handle: TaskHandle, router: Router) -> None:
        self.handle = handle
        self.router = router
        self.steering: CallSteering = CallSteering(handle.tool_name)
        """How it is reached once it is known to be an ordinary tool's."""
        self.given = handle
        """What the starter gets: another handle where the task was begun before."""
        self._token = str(uuid.uuid4())
        self.is_ordinary: bool = False
        """Whether it has shown to be an ordinary tool's, which goes on."""
        self._failure: Exception | None = None
        self._settled = anyio.Event()

    def goes_on(self) -> None:
        """It is an ordinary tool's, and runs: from now on it looks like a task from outside."""
        if self.is_ordinary or self._settled.is_set():
            return
        self.is_ordinary = True
        self.handle.steering = self.steering
        self.router.emit(self.handle, "created", f"{self.handle.tool_name} was called")
        self._settled.set()

    @property
    def token(self) -> dict[str, Any]:
        """The `_meta` member of the call that asks for its progress."""
        return {PROGRESS_TOKEN: self._token}

    def _progress(self, params: dict[str, Any]) -> None:
        """A progress notification: an update. A bare 0 that comes first says that the tool runs, and no more."""
        progress, total, message = params.get("progress"), params.get("total"), params.get("message")
        if not self.is_ordinary:
            self.goes_on()
            if progress == 0 and total is None and message is None:
                return
        update = {"progress": progress, "total": total, "status": message}
        shown = {name: value for name, value in update.items() if value is not None}
        self.router.emit(self.handle, "update", shown)

    async def settled(self) -> None:
        """Wait until it is known what the tool is.

        Raises:
            MCPCError, MCPError: the call was refused before it was.
        """
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    async def run(self, make: Made) -> None:
        """Make the call, and end the handle with what becomes of it. Raises nothing but cancellation."""
        try:
            with self._as_the_asker(), self.steering.scope:
                self._ended(await make(self))
        except Exception as exc:
            self._failed(typed(exc) if isinstance(exc, MCPError) else exc)
        except BaseException:
            self._failed(ConnectionLost("the client was closed"))
            raise
        finally:
            self._settled.set()
        if self.steering.scope.cancelled_caught and self.is_ordinary:
            self.router.emit(self.handle, "failed", failure("stopped", "the call was cancelled"))

    @contextmanager
    def _as_the_asker(self) -> Generator[None]:
        token = _asking.set(weakref.ref(self))
        self.router.progress[self._token] = self._progress
        try:
            yield
        finally:
            del self.router.progress[self._token]
            _asking.reset(token)

    def _ended(self, result: CallToolResult | None) -> None:
        if result is None:
            return
        self.handle.call_result = result
        refusal = error_of(f"{result_value(result)}", refusal_in(result.meta)) if result.is_error else None
        if isinstance(refusal, ConnectionLost):  # nothing was begun, so nothing has failed
            self._failed(refusal)
        else:
            self.router.finish(self.handle, result)

    def _failed(self, exc: Exception) -> None:
        if self.is_ordinary:
            self.router.fail(self.handle, exc)
        else:
            self._failure = exc

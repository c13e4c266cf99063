"""Workers in the style of mcpc 0.2: any function, handed nothing; it sends by the helper, or yields its messages."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

from mcpc.errors import MessageError
from mcpc.messages import MCPCMessage, check_message
from mcpc.server.execution import Execution

__all__ = ["run_plain"]


async def run_plain(
    running: Execution,
    worker: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    threads: Callable[[], anyio.CapacityLimiter],
) -> Any:
    """Run a coroutine function, a plain function (in a thread), or a generator of either kind.

    Raises:
        Exception: what the worker raised.
        MessageError: a generator yielded something else than a message.
    """
    if inspect.isasyncgenfunction(worker):
        async for message in worker(*args, **kwargs):
            await _post(running, _yielded(message))
        return None
    if inspect.iscoroutinefunction(worker):
        return await worker(*args, **kwargs)
    if inspect.isgeneratorfunction(worker):
        messages = iter(worker(*args, **kwargs))
        end = object()
        while (message := await anyio.to_thread.run_sync(next, messages, end, limiter=threads())) is not end:
            await _post(running, _yielded(message))
        return None
    call = functools.partial(worker, *args, **kwargs)
    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=threads())


async def _post(running: Execution, message: MCPCMessage) -> None:
    """Send a message that the application made, on its task's behalf."""
    if message.event == "update":
        await running.update(message.result)
    else:
        running.send_nowait(message.event, message.result)


def _yielded(message: Any) -> MCPCMessage:
    if not isinstance(message, MCPCMessage):
        raise MessageError("a worker that is a generator must yield MCPCMessage objects")
    return check_message(message)

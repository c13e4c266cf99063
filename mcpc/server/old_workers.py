"""Workers in the style of mcpc 0.2: any function, handed nothing; it sends by the helper, or yields its messages."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import anyio.from_thread
import anyio.lowlevel
from anyio.lowlevel import EventLoopToken

from mcpc.errors import MessageError
from mcpc.messages import MCPCMessage, check_message
from mcpc.server.execution import Execution
from mcpc.server.thread_updates import ThreadUpdates
from mcpc.server.threads import Threads

__all__ = ["run_plain"]


async def run_plain(
    running: Execution,
    worker: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    threads: Threads,
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
        with contextlib.closing(ThreadUpdates(running)) as updates:
            post = functools.partial(_post_from_thread, running, updates, anyio.lowlevel.current_token())
            return await threads.run(lambda: _post_each(post, worker(*args, **kwargs), updates))
    return await threads.run(functools.partial(worker, *args, **kwargs))


def _post_each(post: Callable[[MCPCMessage], None], messages: Iterable[Any], updates: ThreadUpdates) -> None:
    try:
        for message in messages:
            post(_yielded(message))
    finally:
        updates.flush()


def _post_from_thread(running: Execution, updates: ThreadUpdates, token: EventLoopToken, message: MCPCMessage) -> None:
    if message.event == "update" and running.outlet.is_log:
        updates.put(message.result)
    else:
        anyio.from_thread.run(_post, running, message, token=token)


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

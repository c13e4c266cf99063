"""Running a worker: on the event loop or in a thread, until it returns or its last value was yielded."""

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from mcpc.server.execution import Execution
from mcpc.server.signature import WorkerSignature
from mcpc.server.task import SyncTask, Task
from mcpc.server.thread_updates import ThreadUpdates
from mcpc.server.threads import Threads

__all__ = ["run_worker"]


async def run_worker(
    signature: WorkerSignature,
    arguments: dict[str, Any],
    threads: Threads,
    running: Execution,
) -> Any:
    """Run a worker with its task, and return its result.

    What an async worker calls may be wrapped in anything: a thread that comes back with an awaitable has only made
    it, so it is awaited here. Each value of a generator is an update; what a generator returns is its result.

    Args:
        signature: The worker.
        arguments: What the caller gave, checked.
        threads: Where a sync worker runs.
        running: Its task.

    Raises:
        Exception: what the worker raised.
    """
    if signature.on_loop:
        value = signature.bind(arguments, Task(running))()
    else:
        value = await _run_in_thread(signature, running, arguments, threads)
    if inspect.isasyncgen(value):
        return await _follow(value, Task(running))
    return await value if inspect.isawaitable(value) else value


async def _run_in_thread(
    signature: WorkerSignature, running: Execution, arguments: dict[str, Any], threads: Threads
) -> Any:
    updates = ThreadUpdates(running)
    task = SyncTask(running, updates)
    call = signature.bind(arguments, task if signature.task_type is SyncTask else Task(running))
    with contextlib.closing(updates):
        return await threads.run(functools.partial(_call_in_thread, call, task, updates))


async def _follow(values: AsyncGenerator[Any, Any], task: Task) -> None:
    async with contextlib.aclosing(values):
        async for value in values:
            await task.update(value)


def _call_in_thread(call: Callable[[], Any], task: SyncTask, updates: ThreadUpdates) -> Any:
    try:
        value = call()
        return _follow_in_thread(value, task) if inspect.isgenerator(value) else value
    finally:
        updates.flush()


def _follow_in_thread(values: Generator[Any, Any, Any], task: SyncTask) -> Any:
    with contextlib.closing(values):
        while True:
            try:
                value = next(values)
            except StopIteration as end:
                return end.value
            task.update(value)

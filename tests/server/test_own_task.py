"""What is called in a task of its own: its outcome, its cancellation and its context are as in the caller's."""

import asyncio
import contextvars

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from mcpc.server.own_task import in_own_task

pytestmark = pytest.mark.anyio

ERRORS = [ValueError, SystemExit, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt]


async def test_it_returns_what_the_call_returns_which_sees_the_callers_context() -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark")
    mark.set("ours")

    async def look() -> str:
        await anyio.lowlevel.checkpoint()
        return mark.get()

    assert await in_own_task(look) == "ours"


@pytest.mark.parametrize("kind", ERRORS)
async def test_it_raises_what_the_call_raised_whatever_it_is(kind: type[BaseException]) -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise kind("here")

    with pytest.raises(kind, match="here"):
        await in_own_task(fail)


async def test_what_a_thread_raises_closes_only_what_waits_for_it() -> None:
    def fail() -> None:
        raise GeneratorExit("in a thread")

    async def wait() -> None:
        await anyio.to_thread.run_sync(fail)

    with pytest.raises(GeneratorExit, match="in a thread"):
        await in_own_task(wait)
    await anyio.lowlevel.checkpoint()  # on asyncio a coroutine that was closed could not wait any more


async def test_its_cancellation_cancels_the_call_and_waits_for_its_end() -> None:
    seen: list[str] = []
    begun = anyio.Event()

    async def work() -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                seen.append("cleaned up")

    async def call() -> None:
        await in_own_task(work)
        seen.append("went on")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await begun.wait()
            group.cancel_scope.cancel()
    assert seen == ["cleaned up"]

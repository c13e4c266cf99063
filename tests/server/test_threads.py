"""The threads of sync workers: as many as may run, each outcome carried over whatever it is, none waited for."""

import concurrent.futures
import contextvars
import gc
import threading
import weakref

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from mcpc.server.threads import Threads

pytestmark = pytest.mark.anyio


async def test_a_function_runs_in_a_daemon_thread_in_a_copy_of_this_context() -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark")
    mark.set("ours")

    def look() -> tuple[str, bool, bool]:
        found = mark.get(), threading.current_thread().daemon, threading.current_thread() is threading.main_thread()
        mark.set("theirs")
        return found

    assert await Threads(1).run(look) == ("ours", True, False)
    assert mark.get() == "ours"


@pytest.mark.parametrize("kind", [ValueError, StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit])
async def test_what_it_raises_is_raised_whatever_it_is(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("here")

    outcome: list[BaseException] = []
    with anyio.fail_after(60):
        try:
            await Threads(1).run(fail)
        except BaseException as exc:
            outcome.append(exc.__cause__ if isinstance(exc, RuntimeError) and exc.__cause__ is not None else exc)
    assert type(outcome[0]) is kind


async def test_no_more_run_at_once_than_may() -> None:
    threads, going, most = Threads(2), list[int](), list[int]()
    release = threading.Event()

    def work() -> None:
        going.append(1)
        most.append(len(going))
        release.wait(60)
        going.pop()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(threads.run, work)
            while len(most) < 2:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert len(most) == 2
            release.set()
    assert (len(most), max(most)) == (4, 2)


async def test_who_is_cancelled_leaves_the_thread_to_itself() -> None:
    threads, release = Threads(1), threading.Event()
    with anyio.fail_after(60):
        with anyio.move_on_after(0):
            await threads.run(lambda: release.wait(60))
        release.set()
        assert await threads.run(lambda: "the next") == "the next"


async def test_it_may_call_the_event_loop_as_any_thread_of_anyio_may() -> None:
    async def here() -> int:
        await anyio.lowlevel.checkpoint()
        return threading.get_ident()

    def there() -> tuple[int, int]:
        anyio.from_thread.check_cancelled()
        return anyio.from_thread.run(here), anyio.from_thread.run_sync(threading.get_ident)

    with anyio.fail_after(60):
        assert await Threads(1).run(there) == (threading.get_ident(),) * 2


async def test_who_is_left_alone_learns_it_by_asking() -> None:
    running, left, learned = anyio.Event(), threading.Event(), anyio.Event()

    def work() -> None:
        anyio.from_thread.run_sync(running.set)
        assert left.wait(60)
        try:
            anyio.from_thread.check_cancelled()
        except concurrent.futures.CancelledError:
            anyio.from_thread.run_sync(learned.set)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Threads(1).run, work)
            await running.wait()
            tasks.cancel_scope.cancel()
        left.set()
        await learned.wait()


class Large:
    """Something that a thread holds in its frame."""


async def test_what_it_raised_when_nobody_waited_any_more_is_dropped_however_close_the_two_were() -> None:
    threads, held = Threads(1), list[weakref.ref[Large]]()

    async def leave_it_when_it_fails() -> None:
        running, failing = anyio.Event(), threading.Event()

        def fail() -> None:
            large = Large()
            held.append(weakref.ref(large))
            anyio.from_thread.run_sync(running.set)
            assert failing.wait(60)
            raise ValueError("nobody's")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(threads.run, fail)
            await running.wait()
            failing.set()
            tasks.cancel_scope.cancel()

    gc.disable()  # what goes in here goes because nothing holds it
    try:
        with anyio.fail_after(60):
            for _ in range(100):
                await leave_it_when_it_fails()
            while threads.running or any(large() is not None for large in held):
                await anyio.lowlevel.checkpoint()
    finally:
        gc.enable()

"""The garbage collector rests while a batch is handed on, and is never left off: not by errors, nesting or threads."""

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.garbage import collection_paused
from mcpc.taps import MANY, CallbackTap
from support import make_server


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    assert gc.isenabled()
    yield
    is_on = gc.isenabled()
    gc.enable()
    assert is_on, "it was left off"


def test_it_rests_until_the_outermost_block_ends() -> None:
    with collection_paused:
        with collection_paused:
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_error_ends_every_block_that_it_leaves(error: type[BaseException]) -> None:
    with pytest.raises(error), collection_paused, collection_paused:
        raise error
    assert gc.isenabled()


def test_one_who_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with collection_paused:
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_blocks_of_several_threads_overlap_and_the_last_one_ends_the_rest() -> None:
    first_ends, second_is_in, second_ends = threading.Event(), threading.Event(), threading.Event()
    after_first: list[bool] = []

    def first() -> None:
        with collection_paused:
            second_is_in.wait(60)
        after_first.append(gc.isenabled())
        first_ends.set()

    def second() -> None:
        with collection_paused:
            second_is_in.set()
            second_ends.wait(60)

    threads = [threading.Thread(target=one) for one in (first, second)]
    for thread in threads:
        thread.start()
    assert first_ends.wait(60)
    assert after_first == [False]
    second_ends.set()
    for thread in threads:
        thread.join(60)
    assert gc.isenabled()


def test_many_threads_at_once_leave_it_on() -> None:
    def main() -> None:
        for _ in range(2000):
            with collection_paused:
                pass

    threads = [threading.Thread(target=main) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process is a copy of another here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_in_a_block_has_it_on() -> None:
    with collection_paused:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert gc.isenabled()


def test_a_sink_that_raises_leaves_it_on() -> None:
    tap = CallbackTap()
    states: list[bool] = []

    def sink(message: dict[str, Any], size: int) -> None:
        states.append(gc.isenabled())
        raise RuntimeError("no")

    tap.sink = sink
    frame = b'{"jsonrpc":"2.0","method":"notifications/mcpc/messages","params":{"x":"%s"}}'
    for size in (MANY - len(frame) + 1, MANY - len(frame) + 2):  # one byte less than it rests for, and just that
        with pytest.raises(RuntimeError):
            tap(frame % (b"x" * size))
    assert states == [True, False]
    assert gc.isenabled()


@pytest.mark.parametrize("scheme", ["memory", "tcp", "ws", "http", "sse+http"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_listener_is_called_while_it_rests_whatever_it_raises(scheme: str) -> None:
    states: list[bool] = []

    def listener(message: mcpc.MCPCMessage) -> None:
        states.append(gc.isenabled())
        raise SystemExit

    address = f"{scheme}://127.0.0.1:0/mcp" if scheme not in ("memory", "tcp") else f"{scheme}://127.0.0.1:0"
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), address) as listener_at, mcpc.Client(listener_at.uri) as client:
            client.add_event_listener(listener, event="update")
            task = await client.start_task("wait_for_input")
            await task.send("x" * MANY)  # which comes back as an update
            await task.send("done")
            await task.result()
            assert gc.isenabled()
    assert states[-1] is False


@pytest.mark.anyio
async def test_several_event_loops_in_a_process_leave_it_on() -> None:
    ended: list[int] = []

    async def one() -> None:
        server = MCPServer[Any]("loop", log_level="WARNING")
        callbacks = mcpc.MCPCHelper(server)

        @callbacks.tool()
        async def count(task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
            for number in range(1000):
                await task.update(number)
            return 1000

        async with mcpc.Client(server) as client:
            ended.append(await (await client.start_task("count")).result())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for backend in ("asyncio", "trio", "asyncio"):
                group.start_soon(
                    lambda backend=backend: anyio.to_thread.run_sync(lambda: anyio.run(one, backend=backend))
                )
    assert ended == [1000] * 3
    assert gc.isenabled()

"""A client is entered and left by whoever holds it: in other tasks, in any order, at a bad moment."""

import contextvars
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

import mcpc
from mcpc.client.background import Background
from support import TEMPLATES, make_server, serving

pytestmark = pytest.mark.anyio


async def in_a_task(function: Any, *args: Any) -> None:
    """Run it in a task of its own, to its end."""
    async with anyio.create_task_group() as group:
        group.start_soon(function, *args)


@pytest.mark.parametrize("scheme", [scheme for scheme in TEMPLATES if scheme not in ("wss", "https", "sse+https")])
async def test_a_client_is_entered_in_one_task_and_left_in_another(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path) as served:
            client = mcpc.Client(served.uri, **served.options)
            await in_a_task(client.__aenter__)
            task = await client.start_task("count", {"n": 3})
            assert await task.result() == {"rows": 3}
            await in_a_task(client.__aexit__, None, None, None)
            with pytest.raises(RuntimeError):
                await client.list_tools()


async def test_clients_are_left_in_the_order_in_which_they_were_entered(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving("tcp", tmp_path) as served:
            clients = [mcpc.Client(served.uri) for _ in range(3)]
            for client in clients:
                await client.__aenter__()
            for number, client in enumerate(clients):
                await client.__aexit__(None, None, None)
                for other in clients[number + 1 :]:
                    assert (await other.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


async def test_a_client_is_entered_again_after_it_was_left() -> None:
    with anyio.fail_after(60):
        client = mcpc.Client(make_server())
        for _ in range(2):
            async with client:
                assert await (await client.start_task("count", {"n": 1})).result() == {"rows": 1}
                with pytest.raises(RuntimeError, match="already entered"):
                    await client.__aenter__()


async def test_an_error_in_the_body_comes_out_as_it_is() -> None:
    with anyio.fail_after(60), pytest.raises(KeyError, match="mine"):
        async with mcpc.Client(make_server()):
            raise KeyError("mine")


async def test_a_client_whose_entering_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    connected, ended = anyio.Event(), anyio.Event()

    async def silent(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            connected.set()
            try:
                while True:
                    await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                ended.set()

    async def enter() -> None:
        await mcpc.Client(f"tcp://127.0.0.1:{port}").__aenter__()

    with anyio.fail_after(60):
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, silent)
            async with anyio.create_task_group() as entering:
                entering.start_soon(enter)
                await connected.wait()
                entering.cancel_scope.cancel()
            await ended.wait()
            group.cancel_scope.cancel()


async def test_a_client_that_is_left_by_its_own_listener_does_not_wait_for_itself() -> None:
    with anyio.fail_after(60):
        client = mcpc.Client(make_server())
        left = anyio.Event()

        async def leave(message: mcpc.MCPCMessage) -> None:
            if message.event == "complete":
                await client.__aexit__(None, None, None)
                left.set()

        await client.__aenter__()
        client.add_event_listener(leave)
        await client.start_task("count", {"n": 1})
        await left.wait()


async def test_listeners_see_the_context_in_which_the_client_was_entered() -> None:
    user = contextvars.ContextVar("user", default="nobody")
    seen: list[str] = []
    with anyio.fail_after(60):
        user.set("ann")
        async with mcpc.Client(make_server()) as client:
            client.add_event_listener(lambda message: seen.append(user.get()), event="complete")
            await (await client.start_task("count", {"n": 1})).result()
    assert seen == ["ann"]


async def test_what_crashes_in_the_background_is_told_and_ends_it() -> None:
    crashed = anyio.Event()
    background = Background(crashed.set)

    async def crash() -> None:
        raise ValueError("a bug")

    async def main(status: anyio.abc.TaskStatus[None]) -> None:
        status.started()

    with anyio.fail_after(60):
        await background.start(main)
        background.spawn(crash)
        await crashed.wait()
        await background.end()
        assert not background.runs


async def test_what_fails_before_it_has_begun_is_raised_where_it_was_started() -> None:
    async def main(status: anyio.abc.TaskStatus[None]) -> None:
        raise ValueError("no")

    background = Background(lambda: None)
    with anyio.fail_after(60), pytest.raises(ValueError, match="no"):
        await background.start(main)
    assert not background.runs


# --- places to serve in -----------------------------------------------------------------------------------------


def test_run_serves_in_a_thread_that_is_not_the_main_one() -> None:
    heard: list[str] = []
    listening = threading.Event()

    def told(uri: str) -> None:
        heard.append(uri)
        listening.set()

    threading.Thread(
        target=mcpc.run, args=(make_server(), "tcp://127.0.0.1:0"), kwargs={"on_listening": told}, daemon=True
    ).start()
    assert listening.wait(30)

    async def use() -> Any:
        with anyio.fail_after(60):
            async with mcpc.Client(heard[0]) as client:
                return await (await client.start_task("count", {"n": 2})).result()

    assert anyio.run(use) == {"rows": 2}


async def test_run_in_a_running_loop_says_what_to_write() -> None:
    with pytest.raises(RuntimeError, match=r"one runs here already .*write `await mcpc\.serve\(server, uri\)`"):
        mcpc.run(make_server(), "tcp://127.0.0.1:0")


@asynccontextmanager
async def client_fixture(uri: str) -> AsyncGenerator[mcpc.Client]:
    """As a test suite writes one."""
    async with mcpc.Client(uri) as client:
        yield client


async def test_a_generator_that_holds_a_client_is_closed_in_another_task(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving("ws", tmp_path) as served:
            fixture = client_fixture(served.uri)
            client = await fixture.__aenter__()
            assert (await client.list_tools()).tools
            await in_a_task(fixture.__aexit__, None, None, None)

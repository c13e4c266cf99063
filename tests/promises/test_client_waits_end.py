"""What a client waits for has an end: a silent peer, a refusal, a start that nobody waits for any more."""

from pathlib import Path

import anyio
import anyio.abc
import pytest
from mcp.server import MCPServer

import mcpc
from http_kit import scripted_server
from relay import relay_to
from support import make_server, serving

pytestmark = pytest.mark.anyio


async def test_a_peer_that_says_nothing_fails_the_connection_in_the_stated_time(tmp_path: Path) -> None:
    async def say_nothing(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    listener = await anyio.create_unix_listener(tmp_path / "s.sock")
    with anyio.fail_after(60):
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, say_nothing)
            with pytest.raises(mcpc.ConnectFailed, match="did not answer"):
                async with mcpc.Client(f"unix://{tmp_path}/s.sock", open_timeout=0.2):
                    pytest.fail("nobody answered")
            group.cancel_scope.cancel()


@pytest.fixture(params=["ws", "http", "sse+http"])
def scheme_of_web(request: pytest.FixtureRequest, anyio_backend_name: str) -> str:
    if anyio_backend_name == "trio" and request.param != "ws":
        pytest.skip("uvicorn serves on asyncio")
    return request.param


async def test_a_refusal_has_a_type_of_its_own(scheme_of_web: str, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving(scheme_of_web, tmp_path) as served:
            with pytest.raises(mcpc.ConnectRefused, match="404"):
                async with mcpc.Client(f"{served.uri.rpartition('/')[0]}/elsewhere"):
                    pytest.fail("there is nothing at this path")
            with pytest.raises(mcpc.ConnectRefused, match="403"):
                async with mcpc.Client(served.uri, headers={"Origin": "http://elsewhere.example"}):
                    pytest.fail("a page of elsewhere may not come in")


@pytest.mark.parametrize("status", ["403", "404"])  # 401 is `test_tokens`'
async def test_a_refusal_is_not_tried_again_and_the_handles_say_so(
    scheme_of_web: str, status: str, tmp_path: Path
) -> None:
    """As when the server has gone, and another one has its port."""
    refusal = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    async with serving(scheme_of_web, tmp_path, make_server()) as served:
        with anyio.fail_after(60), relay_to(served.uri, tmp_path) as relay, scripted_server(refusal) as port:
            async with mcpc.Client(relay.uri, reconnect_timeout=None) as client:
                task = await client.start_task("ask")
                relay.lead_to(port)
                relay.cut_all()
                with pytest.raises(mcpc.ConnectRefused, match=status):
                    await task.result()


@pytest.mark.parametrize("scheme", ["memory", "unix"])
async def test_a_start_that_is_cancelled_stops_its_task(scheme: str, tmp_path: Path) -> None:
    server = MCPServer[None]("s", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)
    ended = anyio.Event()

    @callbacks.tool()
    async def work(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, server) as served:
            async with mcpc.Client(served.uri) as client:
                scope = anyio.CancelScope()
                client.add_event_listener(lambda _: scope.cancel(), event="created")
                with scope:
                    await client.start_task("work")
                    pytest.fail("the start was not cancelled")
                await ended.wait()


async def test_prompts_that_a_handler_answered_are_open_no_more(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving("unix", tmp_path, make_server()) as served:
            async with mcpc.Client(served.uri) as client:
                client.on_prompt(lambda prompt: "a")
                task = await client.start_task("ask")
                assert await task.result() == {"answer": "a"}
                assert task.prompts == {}

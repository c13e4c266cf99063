"""A message over a listener's limit costs that message alone: what is larger is a gap of one, what follows comes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

import mcpc

pytestmark = pytest.mark.anyio

LIMIT = 20_000

ADDRESSES: dict[str, Callable[[Path], str]] = {
    "memory": lambda folder: f"memory://{folder.name}",
    "tcp": lambda folder: "tcp://127.0.0.1:0",
    "unix": lambda folder: f"unix://{folder}/s",
    "ws": lambda folder: "ws://127.0.0.1:0/mcp",
    "http": lambda folder: "http://127.0.0.1:0/mcp",
    "sse+http": lambda folder: "sse+http://127.0.0.1:0/sse",
}


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend_name: str) -> str:
    if anyio_backend_name == "trio" and request.param in ("http", "sse+http"):
        pytest.skip("uvicorn serves on asyncio")
    return ADDRESSES[request.param](tmp_path)


def server() -> MCPServer[Any]:
    made = MCPServer[Any]("sizes", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(made)

    @callbacks.tool()
    async def speak(sizes: list[int], task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        for number, size in enumerate(sizes):
            await task.update({"number": number, "text": "x" * size})
        return len(sizes)

    @callbacks.tool()
    async def hold(text: str, task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        async for said in task.inputs():
            return str(said)
        return text

    @callbacks.tool()
    async def large(size: int, task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        return "x" * size

    @made.tool()
    def echo(text: str) -> int:  # pyright: ignore[reportUnusedFunction]
        return len(text)

    return made


async def test_a_message_over_the_listeners_limit_is_a_gap_of_one_and_the_next_ones_come(address: str) -> None:
    seen: list[mcpc.MCPCMessage] = []
    states: list[str] = []
    async with mcpc.listen(server(), address) as listener:
        client = mcpc.Client(listener.uri, max_message_size=LIMIT, on_connection=states.append)
        with anyio.fail_after(60):
            async with client:
                client.add_event_listener(seen.append)
                task = await client.start_task("speak", {"sizes": [10, 15_000, 15_000, 30_000, 10, 40_000, 20]})
                assert await task.result() == 7
    numbers = [message.result["number"] for message in seen if message.event == "update"]
    assert numbers == [0, 1, 2, 4, 6]
    gaps = [message.result for message in seen if message.event == "gap"]
    assert [gap["last"] - gap["first"] for gap in gaps] == [0, 0]
    assert all(gap["tasks"][0]["taskId"] == task.task_id for gap in gaps)
    assert "lost" not in states


async def test_a_request_over_the_servers_limit_fails_its_own_call_and_nothing_else(address: str) -> None:
    states: list[str] = []
    async with mcpc.listen(server(), address, max_message_size=LIMIT) as listener:
        client = mcpc.Client(listener.uri, on_connection=states.append)
        with anyio.fail_after(60):
            async with client:
                task = await client.start_task("hold", {"text": ""})
                forget_limit(client)
                with pytest.raises(MCPError, match=r"limit of 20000 bytes|413"):
                    await client.call_tool("hold", {"text": "x" * LIMIT})
                await task.send("go on")
                assert await task.result() == "go on"
                assert (await client.call_tool("echo", {"text": "x" * (LIMIT - 1000)})).is_error is False
    assert "lost" not in states


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_does_not_send_what_is_over_the_limit_that_the_server_told(address: str, mode: Any) -> None:
    states: list[str] = []
    seen: list[str] = []
    made = server()

    @made.tool()
    def note(text: str) -> int:  # pyright: ignore[reportUnusedFunction]
        seen.append(text)
        return len(text)

    async with mcpc.listen(made, address, max_message_size=LIMIT) as listener:
        with anyio.fail_after(60):
            async with mcpc.Client(listener.uri, on_connection=states.append, mode=mode) as client:
                task = await client.start_task("hold", {"text": ""})
                asks: list[Callable[[], Any]] = [
                    lambda: client.call_tool("note", {"text": "x" * LIMIT}),
                    lambda: client.start_task("hold", {"text": "x" * LIMIT}),
                    lambda: task.send("x" * LIMIT),
                    lambda: task.answer("some", "x" * LIMIT),
                ]
                for ask in asks:
                    with pytest.raises(mcpc.LimitReached, match="limit of 20000 bytes") as refused:
                        await ask()
                    assert (refused.value.limit, refused.value.value) == ("max_message_size", LIMIT)
                assert (await client.call_tool("note", {"text": "small"})).is_error is False
                await task.send("go on")
                assert await task.result() == "go on"
    assert seen == ["small"]
    assert "lost" not in states


async def test_a_request_at_the_limit_is_sent_and_one_past_it_is_not(address: str) -> None:
    async with mcpc.listen(server(), address, max_message_size=LIMIT) as listener:
        with anyio.fail_after(60):
            async with mcpc.Client(listener.uri) as client:
                with pytest.raises(mcpc.LimitReached) as refused:
                    await client.call_tool("echo", {"text": "x" * LIMIT})
                size = int(str(refused.value).split()[3])
                fits = LIMIT - (size - LIMIT)  # what is left of the limit once the envelope has its part
                assert (await client.call_tool("echo", {"text": "x" * fits})).is_error is False
                with pytest.raises(mcpc.LimitReached):
                    await client.call_tool("echo", {"text": "x" * (fits + 1)})


def forget_limit(client: mcpc.Client) -> None:
    """Make a client one of a server that has not told its limit."""
    assert client.server_information is not None
    client.server_information.mcpc_max_message_size = None


async def test_batches_stay_under_the_listeners_limit(address: str) -> None:
    seen: list[mcpc.MCPCMessage] = []
    states: list[str] = []
    async with mcpc.listen(server(), address) as listener:
        client = mcpc.Client(listener.uri, max_message_size=LIMIT, on_connection=states.append)
        with anyio.fail_after(60):
            async with client:
                client.add_event_listener(seen.append)
                task = await client.start_task("speak", {"sizes": [500] * 400})
                assert await task.result() == 400
    assert [message.result["number"] for message in seen if message.event == "update"] == list(range(400))
    assert [message for message in seen if message.event == "gap"] == []
    assert "lost" not in states


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_result_over_the_clients_limit_ends_its_handle_and_nothing_else(address: str, mode: Any) -> None:
    states: list[str] = []
    async with mcpc.listen(server(), address) as listener:
        client = mcpc.Client(listener.uri, max_message_size=LIMIT, on_connection=states.append, mode=mode)
        with anyio.fail_after(60):
            async with client:
                task = await client.start_task("large", {"size": 30_000})
                with pytest.raises(mcpc.ConnectionLost, match=r"complete.* of 30\d\d\d bytes, is over our limit"):
                    await task.result()
                other = await client.start_task("large", {"size": 10_000})
                assert len(await other.result()) == 10_000
    assert "lost" not in states

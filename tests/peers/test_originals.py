"""The original mcpc 0.2.1 and 0.2.6 as peers, each in an environment of its own, over stdio, in both directions."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest

import mcpc
from peers_kit import ORIGINALS, original
from support import HERE as KITS

HERE = Path(__file__).parent
UPDATES = 200


@pytest.fixture(scope="session", params=ORIGINALS, name="original")
def _original(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A version, and the Python of an environment that has it."""
    return request.param, original(request.param)


async def _lines(command: list[str]) -> list[dict[str, Any]]:
    result = await anyio.run_process(command, check=False, cwd=HERE)
    text = result.stdout.decode()
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.anyio
async def test_an_original_client_gets_every_callback_of_our_server(original: tuple[str, str]) -> None:
    version, python = original
    ours = [sys.executable, str(KITS / "stdio_server.py")]
    with anyio.fail_after(60):
        lines = await _lines([python, "originals/client.py", version, str(UPDATES), *ours])
    supported, tools, *rest = lines
    assert supported["supported"] is True
    assert not {"_mcpc_init", "is_mcpc_enabled"} & set(tools["tools"])
    assert {"answer": "created"} in rest
    assert {"sum": "3"} in rest
    callbacks = [line for line in rest if "event" in line]
    # The original starts a task for each callback and awaits none, so its listener may see them out of order.
    assert sorted(callback["event"] for callback in callbacks) == ["complete", "created", *["update"] * UPDATES]
    progress = sorted(callback["result"]["progress"] for callback in callbacks if callback["event"] == "update")
    assert progress == list(range(1, UPDATES + 1))
    assert len({callback["task_id"] for callback in callbacks}) == 1


@pytest.mark.anyio
async def test_our_client_gets_every_callback_of_an_original_server(original: tuple[str, str]) -> None:
    version, python = original
    server = HERE / "originals" / f"server_{version.replace('.', '_')}.py"
    with anyio.fail_after(60):
        async with mcpc.Client(f"stdio:{python} {server}") as client:
            assert client.supports_mcpc
            seen: list[mcpc.MCPCMessage] = []
            client.add_event_listener(seen.append)
            task = await client.start_task("count", {"n": UPDATES}, session_id="chat-1")
            assert await task.result() == {"rows": UPDATES}
            messages = [message async for message in task]
            with pytest.raises(mcpc.UnknownTask):
                await task.state()
    assert [m.event for m in messages] == ["created", *["update"] * UPDATES, "complete"]
    assert [m.result["progress"] for m in messages[1:-1]] == list(range(1, UPDATES + 1))
    assert seen == messages


@pytest.mark.anyio
async def test_the_handler_of_mcpc_0_2_style_works_with_an_original_server(original: tuple[str, str]) -> None:
    version, python = original
    server = HERE / "originals" / f"server_{version.replace('.', '_')}.py"
    handler = mcpc.MCPCHandler("ours")
    seen: list[mcpc.MCPCMessage] = []
    done = anyio.Event()

    async def listener(message: mcpc.MCPCMessage) -> None:
        seen.append(message)
        if message.terminal:
            done.set()

    handler.add_event_listener(listener)
    with anyio.fail_after(60):
        async with (
            mcpc.connect(f"stdio:{python} {server}") as streams,
            mcp.ClientSession(*await handler.wrap_streams(*streams)) as session,
        ):
            await session.initialize()
            assert await handler.check_mcpc_support(session)
            await session.call_tool("count", handler.add_metadata({"n": 5}, "chat-1"))
            await done.wait()
    assert [m.event for m in seen] == ["created", *["update"] * 5, "complete"]


@pytest.mark.anyio
async def test_a_plain_client_of_an_original_server_gets_an_ordinary_answer(original: tuple[str, str]) -> None:
    version, python = original
    server = HERE / "originals" / f"server_{version.replace('.', '_')}.py"
    with anyio.fail_after(60):
        async with mcp.Client(mcpc.connect(f"stdio:{python} {server}"), mode="legacy") as client:
            answer = await client.call_tool("count", {"n": 2})
            assert not answer.is_error

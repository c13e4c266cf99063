"""Delivery over connections that are cut: each message once, in order, and one terminal."""

import random
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp.shared.exceptions
import pytest

import mcpc
from mcpc.server import streams
from relay import After, Cut, Relay, relay_to
from support import HERE, make_server, serving

pytestmark = pytest.mark.anyio

UPDATES = 200
SCHEMES = ["unix", "tcp", "ws", "http"]
MESSAGES_END = b"]}}"
"""What a `notifications/mcpc/messages` frame ends with on a framed transport."""
EVENT_END = b"]}}\r\n\r\n"
"""What ends it in an event stream: before the blank line the client has no message, and the cut is none between two."""


def _expected() -> list[Any]:
    steps = [{"status": f"step {i}/{UPDATES}", "progress": i, "total": UPDATES} for i in range(1, UPDATES + 1)]
    return [*(("update", step) for step in steps), ("complete", {"rows": UPDATES})]


async def _start(client: mcpc.Client) -> mcpc.TaskHandle:
    """Start the task; a call whose answer was cut off is made again."""
    while True:
        try:
            return await client.start_task("count", {"n": UPDATES})
        except mcpc.ConnectionLost:
            await anyio.lowlevel.checkpoint()


async def _follow(relay: Relay, mode: str = "auto") -> list[Any]:
    """One task of 200 updates; what a listener saw of it after `created`."""
    seen: list[mcpc.MCPCMessage] = []
    reconnect = mcpc.Backoff(first=0.002, maximum=0.05)
    async with mcpc.Client(relay.uri, mode=mode, reconnect=reconnect) as client:
        client.add_event_listener(seen.append)
        task = await _start(client)
        await task.result()
        # Another round trip, so that a second terminal would have come by now.
        while True:
            try:
                await client.call_tool("add", {"a": 1, "b": 2})
                break
            except (mcpc.ConnectionLost, mcp.shared.exceptions.MCPError):
                await anyio.lowlevel.checkpoint()
    return [(m.event, m.result) for m in seen if m.task_id == task.task_id and m.event != "created"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_cut_at_random_bytes_each_message_comes_once_in_order(scheme: str, mode: str, tmp_path: Path) -> None:
    async with serving(scheme, tmp_path, make_server()) as served:
        for seed in range(4):
            chance = random.Random(seed)
            cuts: list[Cut] = [chance.randrange(1500, 12_000) for _ in range(6)]
            with anyio.fail_after(60), relay_to(served.uri, tmp_path, cuts) as relay:
                assert await _follow(relay, mode) == _expected(), f"seed {seed}"
                assert relay.cut_count >= 1


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_cut_at_every_message_boundary_each_message_comes_once_in_order(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BATCH_MESSAGES", 1)  # a boundary behind each message
    cuts: list[Cut] = [After(EVENT_END if scheme == "http" else MESSAGES_END)] * (4 * UPDATES)
    async with serving(scheme, tmp_path, make_server()) as served:
        with anyio.fail_after(250), relay_to(served.uri, tmp_path, cuts) as relay:
            assert await _follow(relay) == _expected()
            assert relay.cut_count >= UPDATES


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_two_drops_with_no_traffic_between_bring_nothing_twice(scheme: str, tmp_path: Path) -> None:
    states: list[str] = []
    again = anyio.Event()

    def on_connection(state: str) -> None:
        nonlocal again
        states.append(state)
        again.set()
        again = anyio.Event()

    async def connected(times: int) -> None:
        while states.count("connected") < times:
            await again.wait()

    async with serving(scheme, tmp_path, make_server()) as served:
        with anyio.fail_after(60), relay_to(served.uri, tmp_path) as relay:
            async with mcpc.Client(relay.uri, on_connection=on_connection) as client:
                seen: list[mcpc.MCPCMessage] = []
                client.add_event_listener(seen.append)
                task = await client.start_task("wait_for_input")
                await task.send("one")
                while len(seen) < 3:
                    await anyio.lowlevel.checkpoint()
                for drop in (1, 2):
                    relay.cut_all()
                    if scheme != "http":  # over HTTP there is no connection to lose, only the stream
                        await connected(drop + 1)
                await _until_it_works(task, "two")
                await _until_it_works(task, "done")
                assert await task.result() == ["one", "two"]
    assert [(m.event, m.result) for m in seen[1:]] == [
        ("update", "ready"),
        ("update", {"got": "one"}),
        ("update", {"got": "two"}),
        ("complete", ["one", "two"]),
    ]
    if scheme != "http":
        assert states[:5] == ["connected", "lost", "connected", "lost", "connected"]
    assert states[-1] == "closed"


async def _until_it_works(task: mcpc.TaskHandle, value: Any) -> None:
    while True:
        try:
            await task.send(value)
            return
        except (mcpc.ConnectionLost, mcp.shared.exceptions.MCPError):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("scheme", ["unix", "tcp", "ws", "http"])
async def test_a_server_killed_in_mid_task_fails_pending_calls_at_once(scheme: str, tmp_path: Path) -> None:
    address = {"unix": f"unix://{tmp_path}/s.sock", "http": "http://127.0.0.1:0/mcp"}.get(
        scheme, f"{scheme}://127.0.0.1:0"
    )
    command = [sys.executable, str(HERE / "socket_server.py"), address]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        uri = (await process.stdout.receive()).decode().strip()
        with anyio.fail_after(60):
            async with mcpc.Client(uri, reconnect=False) as client:
                task = await client.start_task("wait_for_input")
                failed_after: list[float] = []

                async def pending() -> None:
                    with pytest.raises(mcp.shared.exceptions.MCPError):
                        await client.call_tool("sleep_for_ever", {})
                    failed_after.append(anyio.current_time() - killed_at)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pending)
                    await task.send("x")  # the call is on its way by now
                    killed_at = anyio.current_time()
                    process.kill()
                assert failed_after[0] < 30  # no timeout of ours is shorter
                with pytest.raises(mcpc.ConnectionLost):
                    await task.result()


async def test_a_restarted_server_is_a_gap_and_the_task_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "socket_server.py"), f"unix://{tmp_path}/s.sock"]
    with anyio.fail_after(60):
        async with await anyio.open_process(command, stderr=None) as first:
            assert first.stdout is not None
            uri = (await first.stdout.receive()).decode().strip()
            async with mcpc.Client(uri, reconnect=mcpc.Backoff(first=0.01, maximum=0.1)) as client:
                gaps: list[mcpc.MCPCMessage] = []
                client.add_event_listener(gaps.append, event="gap")
                task = await client.start_task("wait_for_input")
                first.kill()
                await first.wait()
                async with await anyio.open_process(command, stderr=None) as second:
                    with pytest.raises(mcpc.ConnectionLost, match="restarted"):
                        await task.result()
                    assert [gap.result["tasks"] for gap in gaps] == [[]]
                    again = await client.start_task("count", {"n": 2})
                    assert await again.result() == {"rows": 2}
                    second.terminate()

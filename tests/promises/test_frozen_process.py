"""A server that stands still beyond its lease (SIGSTOP), and goes on: its tasks are others', and it is fenced."""

import os
import signal
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import mcpc
from cli_kit import served

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops processes"),
]

APP = """
import os
import sys
from functools import partial

import anyio
import mcpc
from mcp.server import MCPServer

NAME = os.environ["NAME"]
server = MCPServer("frozen", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server, lease=float(os.environ["LEASE"]))

async def work(policy: str, task: mcpc.Task) -> str:
    try:
        await task.update(f"{NAME} works")
        while NAME == "one":
            await anyio.sleep(0.02)
            await task.update(f"{NAME} works")
            await task.checkpoint(1)
        return f"done by {NAME}, resumed {task.resumed}"
    finally:
        print(f"{NAME} is out of {policy}", file=sys.stderr, flush=True)

for policy in ("fail", "restart", "resume"):
    def tool(policy: str):
        async def named(task: mcpc.Task) -> str:
            return await work(policy, task)
        callbacks.tool(policy, on_interrupt=policy)(named)
    tool(policy)
"""


def stand_still(pid: int, path: Path) -> None:
    """Stop a process where it does not hold the lock on the file, with which it would stop everybody."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
            else:
                return


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_stood_still_beyond_its_lease_is_fenced_when_it_goes_on(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    arguments = [f"{app}:server", "tcp://127.0.0.1:0", "--store", f"sqlite:{tmp_path}/tasks.db"]
    seen: list[mcpc.MCPCMessage] = []
    with (
        ExitStack() as stack,
        anyio.fail_after(280),
        served(*arguments, env={"NAME": "one", "LEASE": "4"}) as (one, (at_one,)),
    ):
        ids: dict[str, str] = {}
        async with mcpc.Client(at_one, channel_file=tmp_path / "channel") as client:
            client.add_event_listener(seen.append)
            for policy in ("fail", "restart", "resume"):
                task = await client.start_task(policy)
                ids[policy] = task.task_id
                updates = 0
                async for message in task:
                    updates += message.event == "update"
                    if updates == 3:
                        break
        stand_still(one.process.pid, tmp_path / "tasks.db")
        try:
            # The other comes only now: before, a busy machine may have let the first one's lease end.
            _, (at_two,) = stack.enter_context(served(*arguments, env={"NAME": "two", "LEASE": "4"}))
            client = mcpc.Client(at_two, channel_file=tmp_path / "channel")
            client.add_event_listener(seen.append)
            async with client:
                with pytest.raises(mcpc.TaskInterrupted):
                    await client.task(ids["fail"]).result()
                assert await client.task(ids["restart"]).result() == "done by two, resumed None"
                assert await client.task(ids["resume"]).result() == "done by two, resumed 1"
                os.kill(one.process.pid, signal.SIGCONT)
                for policy in ids:
                    await anyio.to_thread.run_sync(one.read_until, f"one is out of {policy}\n")
                after = await client.start_task("resume")
                assert await after.result() == "done by two, resumed None"
        finally:
            os.kill(one.process.pid, signal.SIGCONT)
    assert not [m for m in seen if m.event == "gap"]
    assert Counter(m.task_id for m in seen if m.terminal and m.task_id in ids.values()) == dict.fromkeys(
        ids.values(), 1
    )
    for policy in ("restart", "resume"):
        said = [m.result.split()[0] for m in seen if m.task_id == ids[policy] and m.event == "update"]
        assert said == sorted(said, key=["one", "two"].index), "nothing of the first comes after the second has begun"
        assert said.count("two") == 1

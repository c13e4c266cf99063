"""Servers on one Redis, while it dies, is cut off, forgets or is replaced by a copy that lacks the newest."""

import re
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from mcpc.store_uri import open_store
from mcpc.stored import Signal
from redis_kit import RedisServer, redis_server
from replicas_kit import Collected, Replica, caller_without_ears, front_of, next_update, served, until, until_true

pytestmark = pytest.mark.anyio

LEASE = 3.0
"""Seconds: a busy machine tells a Redis within a third of them that a process is alive."""


@pytest.fixture
def redis(tmp_path: Path) -> Generator[RedisServer]:
    with redis_server("valkey", tmp_path) as running:
        yield running


async def stepped(task: mcpc.TaskHandle, numbers: range) -> list[Any]:
    """Let a task take these steps; what it said of them."""
    said: list[Any] = []
    for number in numbers:
        await task.send(number)
        said.append(await next_update(task))
    return said


async def test_a_redis_that_is_killed_and_started_again_loses_nothing_of_a_task(redis: RedisServer) -> None:
    one, two = Replica(redis.uri), Replica(redis.uri)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen = Collected(there)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 20_000}, "a-task")
                await until(lambda: len(seen.results) >= 1000)
                redis.kill()
                await anyio.sleep(0.2)
                redis.start()
                await seen.ended.wait()
    assert seen.results == [*range(20_000), {"rows": 20_000}]


async def test_scripts_forgotten_and_bells_cut_in_mid_stream_are_no_loss(redis: RedisServer) -> None:
    one, two = Replica(redis.uri), Replica(redis.uri)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen = Collected(there)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 10_000}, "a-task")
                for command in ("SCRIPT FLUSH", "CLIENT KILL TYPE pubsub") * 3:
                    reached = len(seen.results)
                    redis.say(command)
                    await until(lambda reached=reached: len(seen.results) > reached or seen.ended.is_set())
                await seen.ended.wait()
    assert seen.results == [*range(10_000), {"rows": 10_000}]


async def test_a_process_that_is_cut_off_beyond_its_lease_gives_its_tasks_up_and_each_ends_once(
    redis: RedisServer,
) -> None:
    with front_of(redis) as front, anyio.fail_after(60):
        one = Replica(front.uri, lease=LEASE)
        two = Replica(redis.uri, lease=LEASE)
        async with served(one, two):
            async with mcpc.Client(one.uri) as here:
                for tool, name in (("steps", "once"), ("steps_again", "again")):
                    await here.call_tool(tool, {"n": 5}, meta={"mcpc/channel": here.channel, "mcpc/taskId": name})
            there = mcpc.Client(two.uri, channel=here.channel)
            seen: list[mcpc.MCPCMessage] = []
            there.add_event_listener(seen.append)
            once, again = there.task("once"), there.task("again")
            async with there, caller_without_ears(one, there.channel) as call:
                assert await stepped(again, range(1, 4)) == [1, 2, 3]
                assert await stepped(once, range(1, 4)) == [1, 2, 3]
                front.cut_off()
                with pytest.raises(mcpc.TaskInterrupted):
                    await once.result()
                await one.left.wait()  # the loser's worker does not go on
                assert await stepped(again, range(4, 6)) == [4, 5]
                assert await again.result() == 5
                front.heal()
                # The loser is of use again, once it has reached the store.
                await until_true(lambda: call("count", {"n": 3}, "after"), lambda answer: not answer.is_error)
                await until(lambda: "after" in {m.task_id for m in seen if m.terminal})
    assert Counter(m.task_id for m in seen if m.terminal) == {"once": 1, "again": 1, "after": 1}
    assert [m.result for m in seen if m.task_id == "again" and m.event == "update"] == [1, 2, 3, 4, 5]
    assert not [m for m in seen if m.event == "gap"]


async def test_a_copy_that_lacks_the_newest_takes_over_and_no_number_means_two_things(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        redis_server("valkey", tmp_path_factory.mktemp("copy"), "--replicaof", f"127.0.0.1 {redis.port}") as copy,
        front_of(redis) as front,
        anyio.fail_after(60),
    ):
        one = Replica(front.uri, lease=LEASE)
        async with served(one), mcpc.Client(one.uri) as client:
            seen: list[mcpc.MCPCMessage] = []
            client.add_event_listener(seen.append)
            task = await client.start_task("steps", {"n": 9})
            ended = await client.start_task("steps", {"n": 1})
            assert await stepped(task, range(1, 4)) == [1, 2, 3]
            await until(lambda: are_in_step(redis, copy))
            copy.say("REPLICAOF NO ONE")
            assert await stepped(task, range(4, 7)) == [4, 5, 6]  # the copy does not know of these
            await ended.send(1)
            assert await ended.result() == 1  # nor of this end
            async with open_store(copy.uri) as another:  # a server that has found the copy before the runner has
                await another.signal(task.task_id, Signal("input", b"[null,7]"))
            front.fail_over_to(copy)
            await until_true(ended.state, lambda state: state["status"] == "complete")  # its runner tells the copy
            assert await next_update(task) == 7
            assert await stepped(task, range(8, 10)) == [8, 9]
            assert await task.result() == 9
        assert [m.result for m in seen if m.task_id == task.task_id][1:] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
        again: list[mcpc.MCPCMessage] = []
        two = Replica(front.uri)
        async with served(two):
            late = mcpc.Client(two.uri, channel=client.channel)
            late.add_event_listener(again.append)
            handle = late.task(task.task_id)
            async with late:
                assert await handle.result() == 9
        shown = [m.result for m in again if m.task_id == task.task_id and m.event in ("update", "complete")]
        assert shown == [7, 8, 9, 9]  # what is left of the log begins behind the hole
        assert [m.event for m in again].count("gap") == 1


def are_in_step(primary: RedisServer, copy: RedisServer) -> bool:
    """Whether the copy has all that the primary has."""
    offsets = {_offset(primary), _offset(copy)}
    return len(offsets) == 1 and b"0" not in offsets and b"master_link_status:up" in copy.say("INFO replication")


def _offset(server: RedisServer) -> bytes:
    found = re.search(rb"master_repl_offset:(\d+)", server.say("INFO replication"))
    assert found is not None
    return found[1]

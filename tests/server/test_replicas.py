"""Two servers on one store: either answers for any task, and a client gets its messages wherever it listens.

One suite, over every store that several processes can share.
"""

from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from mcpc.testing import FaultyStore
from relay import relay_to
from replicas_kit import Collected, Replica, asked_by, caller_without_ears, next_update, served
from sep2663_kit import by_hand

pytestmark = pytest.mark.anyio


async def test_messages_of_a_task_reach_a_client_that_listens_at_the_other(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen = Collected(there)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 500}, "a-task")
                await seen.ended.wait()
            assert seen.results == [*range(500), {"rows": 500}]


async def test_inputs_answers_and_stops_reach_a_task_from_the_other_server(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as client:
            task = await client.start_task("gather")
            waiting = await client.start_task("wait")
            prompt_id = await asked_by(task)
            there = mcpc.Client(two.uri, channel=client.channel)
            handle, stopped = there.task(task.task_id), there.task(waiting.task_id)
            async with there:
                assert (await handle.state())["status"] == "waiting"
                with pytest.raises(mcpc.PromptError):
                    await handle.answer(prompt_id, "c")
                await handle.answer(prompt_id, "b")
                await handle.send({"more": 1})
                await handle.send("done")
                assert await handle.result() == ["b", {"more": 1}]
                await stopped.stop()
                with pytest.raises(mcpc.TaskStopped):
                    await stopped.result()


async def test_of_two_answers_at_two_servers_one_wins_and_the_other_is_told(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as client:
            task = await client.start_task("gather")
            prompt_id = await asked_by(task)
            there = mcpc.Client(two.uri, channel=client.channel)
            handle = there.task(task.task_id)
            outcomes: dict[str, str] = {}

            async def answer(task: mcpc.TaskHandle, value: str) -> None:
                try:
                    await task.answer(prompt_id, value)
                    outcomes[value] = "taken"
                except mcpc.PromptError:
                    outcomes[value] = "refused"

            async with there:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(answer, task, "a")
                    tasks.start_soon(answer, handle, "b")
                assert sorted(outcomes.values()) == ["refused", "taken"]
                await handle.send("done")
                (taken,) = (value for value, outcome in outcomes.items() if outcome == "taken")
                assert await handle.result() == [taken]


async def test_a_server_event_reaches_clients_of_both_servers(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as here, mcpc.Client(two.uri) as there:
            seen: dict[str, list[str]] = {"here": [], "there": []}
            last = {"here": anyio.Event(), "there": anyio.Event()}

            def listen(name: str, message: mcpc.MCPCMessage) -> None:
                seen[name].append(message.event)
                if message.event == "last":
                    last[name].set()

            here.add_event_listener(lambda message: listen("here", message), type="server_event")
            there.add_event_listener(lambda message: listen("there", message), type="server_event")
            await (await here.start_task("count", {"n": 0}, session_id="s1")).result()
            await (await there.start_task("count", {"n": 0}, session_id="s2")).result()
            assert await one.callbacks.emit("news", {"x": 1}, session_id="s2") == 1
            assert await two.callbacks.emit("news", {"x": 1}, session_id="s1") == 1
            assert await one.callbacks.emit("nobody", session_id="s3") == 0
            assert await one.callbacks.emit("last") == 2
            for event in last.values():
                await event.wait()
            assert seen == {"here": ["news", "last"], "there": ["news", "last"]}


async def test_a_fast_worker_never_outruns_a_listener_at_the_other_server(store: str) -> None:
    one, two = (Replica(store, max_messages=100, stall_timeout=60.0) for _ in range(2))
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen = Collected(there)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 3000}, "fast")
                await seen.ended.wait()
            assert seen.results == [*range(3000), {"rows": 3000}]


async def test_a_client_that_moves_in_mid_stream_sees_every_number_once(store: str, tmp_path: Path) -> None:
    one, two = Replica(store), Replica(store)
    seen: list[mcpc.MCPCMessage] = []
    with anyio.fail_after(60):
        async with served(one, two):
            with relay_to(one.uri, tmp_path, others=[two.uri]) as balancer:
                async with mcpc.Client(balancer.uri) as client:
                    client.add_event_listener(seen.append)
                    task = await client.start_task("steps", {"n": 60})
                    for number in range(1, 61):
                        await sent_at_last(task, number)
                        assert await next_update(task) == number
                        if number % 10 == 0 and number < 60:
                            balancer.cut_all()  # the next connection leads to the other server
                    assert await task.result() == 60
                assert balancer.connections >= 6
    assert [m.event for m in seen] == ["created", *["update"] * 60, "complete"]
    assert [m.result for m in seen[1:]] == [*range(1, 61), 60]


async def sent_at_last(task: mcpc.TaskHandle, value: Any) -> None:
    """Send an input to a task over a connection that was cut a moment ago, so that nothing went over it."""
    while True:
        try:
            return await task.send(value)
        except mcpc.ConnectionLost:
            await anyio.sleep(0.01)


async def test_inputs_from_both_servers_are_taken_in_the_order_in_which_they_were_sent(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as client:
            task = await client.start_task("steps", {"n": 30})
            there = mcpc.Client(two.uri, channel=client.channel)
            other = there.task(task.task_id)
            async with there:
                for number in range(1, 31):
                    await (task if number % 2 else other).send(number)
                assert await other.result() == 30
                shown = [message.result async for message in other if message.event == "update"]
            assert shown == [*range(1, 31)]


async def test_a_listener_that_hears_no_bell_is_shown_everything_all_the_same(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcpc.server.tail.LOOK_INTERVAL", 0.2)
    scheme, _, rest = store.partition(":")
    deaf = FaultyStore(scheme)
    deaf.lost_bells = 1.0
    mcpc.register_store("deaf", deaf, replace=True)
    one, two = Replica(store), Replica(f"deaf:{rest}")
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen = Collected(there)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 500}, "a-task")
                await seen.ended.wait()
            assert seen.results == [*range(500), {"rows": 500}]


async def test_a_task_of_the_extension_is_got_answered_cancelled_and_pushed_at_either_server(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), by_hand(one.uri) as here, by_hand(two.uri) as there:
            gathering = (await here.call("gather"))["taskId"]
            waiting = (await here.call("wait"))["taskId"]
            stream = await there.listen(gathering, waiting)
            state = await there.until(gathering, "input_required")
            (key,) = state["inputRequests"]
            response = {"action": "accept", "content": {"answer": "b"}}
            await there.ask("tasks/update", {"taskId": gathering, "inputResponses": {key: response}})
            await here.until(gathering, "working")
            await there.ask("tasks/cancel", {"taskId": waiting})
            await here.until(waiting, "cancelled")
            await there.ask("tasks/cancel", {"taskId": gathering})
            pushed: dict[str, list[str]] = {gathering: [], waiting: []}
            while [states[-1:] for states in pushed.values()] != [["cancelled"], ["cancelled"]]:
                message = await stream.next()
                if message["method"] == "notifications/tasks":
                    pushed[message["params"]["taskId"]].append(message["params"]["status"])
            for task_id, states in pushed.items():
                assert states[0] in ("working", "input_required")
                assert states.count("cancelled") == 1, task_id

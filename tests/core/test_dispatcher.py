"""Delivery to listeners: in order, bounded by a stated policy, and each for itself."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, get_args

import anyio
import anyio.abc
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.dispatcher import Dispatcher, Registration
from mcpc.flow import Flow
from mcpc.listener_states import ListenerState
from mcpc.messages import MCPCMessage
from mcpc.queue import ListenerStats, Overflow, Queue, TaskQueue

POLICIES: tuple[Overflow, ...] = get_args(Overflow)


def update(result: Any, task_id: str = "t", event: str = "update") -> MCPCMessage:
    return MCPCMessage(event=event, session_id="s", task_id=task_id, tool_name="n", result=result)


def server_event(result: Any) -> MCPCMessage:
    return MCPCMessage(type="server_event", event="news", session_id="s", result=result)


def prompt(result: Any) -> MCPCMessage:
    return update({"prompt": {"id": str(result), "message": "?"}})


def spawner(group: anyio.abc.TaskGroup) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    def spawn(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        group.start_soon(main)

    return spawn


@asynccontextmanager
async def dispatching(on_room: Callable[[], None] | None = None) -> AsyncGenerator[Dispatcher]:
    flow = Flow()
    flow.on_room = on_room
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            yield Dispatcher(spawner(group), flow)
            group.cancel_scope.cancel()


@asynccontextmanager
async def workers_end() -> AsyncGenerator[Dispatcher]:
    """A dispatcher whose workers must end by themselves."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            yield Dispatcher(spawner(group), Flow())


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await checkpoint()


async def settle() -> None:
    """Let everybody run who can."""
    for _ in range(20):
        await checkpoint()


class Gated:
    """An async listener that is busy with each message until it is let go on."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.done: list[Any] = []
        self.gate = anyio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, message: MCPCMessage) -> None:
        self.begun.append(message.result)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await self.gate.wait()
        self.at_once -= 1
        self.done.append(message.result)


async def busy(dispatcher: Dispatcher, capacity: int, overflow: Overflow) -> tuple[Gated, Registration]:
    """A listener in the middle of message 0, with nothing waiting."""
    listener = Gated()
    registration = dispatcher.add(listener, capacity=capacity, overflow=overflow)
    assert dispatcher.deliver(server_event(0))
    await until(lambda: listener.begun == [0])
    return listener, registration


# --- order ------------------------------------------------------------------------------------------------------


def no_spawn(main: Any) -> None:
    raise AssertionError("a sync listener needs no worker")


def test_sync_listeners_are_called_at_once_and_in_order() -> None:
    dispatcher = Dispatcher(no_spawn, Flow())
    first: list[int] = []
    second: list[int] = []
    dispatcher.add(lambda message: first.append(message.result))
    dispatcher.add(lambda message: second.append(message.result))
    for number in range(100):
        assert dispatcher.deliver(update(number))
        assert first[-1] == number
    assert first == second == list(range(100))
    assert len(dispatcher) == 2


def test_without_listeners_everything_is_taken() -> None:
    assert Dispatcher(no_spawn, Flow()).deliver(update(1))


@pytest.mark.anyio
async def test_async_listeners_each_get_every_message_once_and_in_order() -> None:
    async with dispatching() as dispatcher:
        got: dict[int, list[int]] = {n: [] for n in range(3)}

        async def listen(name: int, message: MCPCMessage) -> None:
            for _ in range(name):
                await checkpoint()
            got[name].append(message.result)

        registrations = [dispatcher.add(partial(listen, name)) for name in got]
        for number in range(50):
            assert dispatcher.deliver(update(number))
        await until(lambda: all(r.stats.delivered == 50 for r in registrations))
        assert list(got.values()) == [list(range(50))] * 3


@pytest.mark.anyio
async def test_an_async_listener_has_one_message_at_a_time() -> None:
    async with dispatching() as dispatcher:
        listener, registration = await busy(dispatcher, 10, "block")
        for number in (1, 2, 3):
            dispatcher.deliver(update(number))
        await settle()
        assert listener.begun == [0]
        assert registration.stats.waiting == 3
        listener.gate.set()
        await until(lambda: len(listener.done) == 4)
        assert (listener.done, listener.most_at_once) == ([0, 1, 2, 3], 1)
        assert registration.stats == ListenerStats(delivered=4)


@pytest.mark.anyio
async def test_a_slow_listener_delays_nobody_else() -> None:
    async with dispatching() as dispatcher:
        slow, _ = await busy(dispatcher, 1000, "coalesce")
        inline: list[Any] = []
        own: list[Any] = []

        async def quick(message: MCPCMessage) -> None:
            own.append(message.result)

        dispatcher.add(lambda message: inline.append(message.result))
        dispatcher.add(quick)
        for number in range(1, 100):
            assert dispatcher.deliver(update(number))
        await until(lambda: len(own) == 99)
        assert inline == own == list(range(1, 100))
        assert slow.done == []


@pytest.mark.anyio
async def test_a_listener_may_be_an_object_with_an_async_call_or_a_bound_method() -> None:
    got: list[Any] = []

    class Listener:
        async def take(self, message: MCPCMessage) -> None:
            await checkpoint()
            got.append(message.result)

        async def __call__(self, message: MCPCMessage) -> None:
            await self.take(message)

    async with dispatching() as dispatcher:
        listener = Listener()
        dispatcher.add(listener)
        dispatcher.add(listener.take)
        dispatcher.deliver(update(1))
        await until(lambda: got == [1, 1])
        dispatcher.remove(listener.take)
        dispatcher.deliver(update(2))
        await until(lambda: got == [1, 1, 2])
        assert len(dispatcher) == 1


# --- a plain function that returns an awaitable -----------------------------------------------------------------


@pytest.mark.anyio
async def test_a_plain_function_that_returns_an_awaitable_is_awaited() -> None:
    async with dispatching() as dispatcher:
        listener = Gated()
        registration = dispatcher.add(lambda message: listener(message))
        assert dispatcher.deliver(update(1))
        await until(lambda: listener.begun == [1])
        for number in (2, 3):
            assert dispatcher.deliver(update(number))
        await settle()
        assert listener.begun == [1]
        listener.gate.set()
        await until(lambda: listener.done == [1, 2, 3])
        assert listener.most_at_once == 1
        assert registration.stats == ListenerStats(delivered=3)


@pytest.mark.anyio
async def test_a_function_that_returns_awaitables_has_one_at_a_time_from_the_first_on() -> None:
    async with dispatching() as dispatcher:
        listener = Gated()
        dispatcher.add(lambda message: listener(message))
        for number in (1, 2, 3):
            dispatcher.deliver(update(number))
        await settle()
        begun = list(listener.begun)
        listener.gate.set()
        await until(lambda: sorted(listener.done) == [1, 2, 3])
        assert begun == [1]


@pytest.mark.anyio
async def test_an_awaitable_that_fails_counts_as_an_error_only() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async with dispatching() as dispatcher:
        registration = dispatcher.add(lambda _: fail())
        dispatcher.deliver(update(1))
        dispatcher.deliver(update(2))
        await until(lambda: registration.stats.errors == 2)
        assert registration.stats.delivered == 0


# --- isolation --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_listener_that_raises_is_logged_counted_and_called_again(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    def fail(message: MCPCMessage) -> None:
        calls.append(message.result)
        raise ValueError("listener's own fault")

    async def fail_later(message: MCPCMessage) -> None:
        await checkpoint()
        fail(message)

    async with dispatching() as dispatcher:
        good: list[Any] = []
        registration = dispatcher.add(fail_later if is_async else fail)
        dispatcher.add(lambda message: good.append(message.result))
        with caplog.at_level(logging.ERROR, logger="mcpc"):
            for number in range(3):
                assert dispatcher.deliver(update(number))
            await until(lambda: len(calls) == 3)
            await until(lambda: registration.stats.errors == 3)
        assert good == calls == [0, 1, 2]
        assert registration.stats == ListenerStats(errors=3)
        assert [record.exc_info is not None for record in caplog.records] == [True] * 3


def test_a_listener_may_remove_itself_and_others_still_get_the_message() -> None:
    dispatcher = Dispatcher(no_spawn, Flow())
    got: list[tuple[str, Any]] = []

    def once(message: MCPCMessage) -> None:
        got.append(("once", message.result))
        registration.remove()

    registration = dispatcher.add(once)
    dispatcher.add(lambda message: got.append(("always", message.result)))
    dispatcher.deliver(update(1))
    dispatcher.deliver(update(2))
    assert got == [("once", 1), ("always", 1), ("always", 2)]


def test_a_listener_that_another_removes_is_not_called_any_more() -> None:
    dispatcher = Dispatcher(no_spawn, Flow())
    got: list[Any] = []
    dispatcher.add(lambda _: second.remove())
    second = dispatcher.add(lambda message: got.append(message.result))
    dispatcher.deliver(update(1))
    assert got == []


def test_a_listener_added_by_a_listener_gets_the_next_message_first() -> None:
    dispatcher = Dispatcher(no_spawn, Flow())
    got: list[Any] = []

    def add(message: MCPCMessage) -> None:
        if message.result == 1:
            dispatcher.add(lambda later: got.append(later.result))

    dispatcher.add(add)
    dispatcher.deliver(update(1))
    assert got == []
    dispatcher.deliver(update(2))
    assert got == [2]


def test_removing_takes_every_registration_of_a_listener_and_needs_none() -> None:
    dispatcher = Dispatcher(no_spawn, Flow())
    got: list[Any] = []
    listener = got.append
    dispatcher.remove(listener)
    for _ in range(2):
        dispatcher.add(listener)
    dispatcher.deliver(update(1))
    assert len(got) == 2
    dispatcher.remove(listener)
    dispatcher.deliver(update(2))
    assert (len(got), len(dispatcher)) == (2, 0)


@pytest.mark.anyio
async def test_what_waits_for_a_removed_listener_is_dropped_and_its_worker_ends() -> None:
    async with workers_end() as dispatcher:
        listener, registration = await busy(dispatcher, 10, "block")
        dispatcher.deliver(update(1))
        registration.remove()
        dispatcher.deliver(update(2))
        listener.gate.set()
        await settle()
        assert listener.begun == listener.done == [0]


@pytest.mark.anyio
async def test_an_idle_worker_ends_with_its_listener() -> None:
    async with workers_end() as dispatcher:
        listener, registration = await busy(dispatcher, 10, "block")
        listener.gate.set()
        await until(lambda: listener.done == [0])
        await settle()
        registration.remove()


# --- filters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"task_id": "a"}, [1, 3]),
        ({"task_id": "b"}, [2]),
        ({"event": "complete"}, [3]),
        ({"task_id": "a", "event": "update"}, [1]),
        ({"type": "server_event"}, [4]),
        ({"session_id": "s"}, [1, 2, 3, 4]),
        ({"session_id": "other"}, []),
        ({"tool_name": "n"}, [1, 2, 3]),
        ({"task_id": None, "type": "task"}, [1, 2, 3]),
    ],
    ids=repr,
)
def test_a_listener_gets_what_matches_all_it_asks_for(matches: dict[str, Any], expected: list[int]) -> None:
    dispatcher = Dispatcher(no_spawn, Flow())
    got: list[Any] = []
    dispatcher.add(lambda message: got.append(message.result), **matches)
    for message in (update(1, "a"), update(2, "b"), update(3, "a", "complete"), server_event(4)):
        dispatcher.deliver(message)
    assert got == expected


@pytest.mark.anyio
async def test_a_full_listener_stops_only_what_it_wants() -> None:
    async with dispatching() as dispatcher:
        listener = Gated()
        dispatcher.add(listener, capacity=1, overflow="block", task_id="a")
        assert dispatcher.deliver(update(0, "a"))
        await until(lambda: listener.begun == [0])
        assert dispatcher.deliver(update(1, "a"))
        assert not dispatcher.deliver(update(2, "a"))
        assert dispatcher.deliver(update(3, "b"))


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(TypeError, match="taskid"):
        Dispatcher(no_spawn, Flow()).add(print, taskid="x")  # pyright: ignore[reportCallIssue]


# --- what happens at the bound ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1])
def test_a_queue_needs_room_for_a_byte(size: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        Dispatcher(no_spawn, Flow()).add(print, capacity_bytes=size)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_queue_needs_room_for_one(capacity: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Dispatcher(no_spawn, Flow()).add(print, capacity=capacity)


def test_an_unknown_policy_is_refused() -> None:
    unknown: Any = "drop_newest"
    with pytest.raises(ValueError, match="drop_newest"):
        Dispatcher(no_spawn, Flow()).add(print, overflow=unknown)


@pytest.mark.anyio
@pytest.mark.parametrize("overflow", POLICIES)
async def test_no_policy_does_anything_up_to_the_bound(overflow: Overflow) -> None:
    async with dispatching() as dispatcher:
        listener, registration = await busy(dispatcher, 3, overflow)
        for number in (1, 2, 3):
            assert dispatcher.deliver(update(number))
        assert registration.stats == ListenerStats(waiting=3)
        listener.gate.set()
        await until(lambda: listener.done == [0, 1, 2, 3])


@pytest.mark.anyio
async def test_drop_oldest_lets_the_oldest_waiting_message_go() -> None:
    async with dispatching() as dispatcher:
        listener, registration = await busy(dispatcher, 3, "drop_oldest")
        for number in range(1, 6):
            assert dispatcher.deliver(update(number))
        assert registration.stats == ListenerStats(dropped=2, waiting=3)
        listener.gate.set()
        await until(lambda: listener.done == [0, 3, 4, 5])


@pytest.mark.anyio
async def test_disconnect_removes_the_listener_one_past_the_bound_and_nobody_else() -> None:
    async with dispatching() as dispatcher:
        listener, registration = await busy(dispatcher, 2, "disconnect")
        others: list[Any] = []
        dispatcher.add(lambda message: others.append(message.result))
        for number in (1, 2, 3, 4):
            assert dispatcher.deliver(update(number)), "for the others it goes on"
        assert others == [1, 2, 3, 4]
        assert registration.stats.disconnected
        assert len(dispatcher) == 1
        listener.gate.set()
        await settle()
        assert listener.begun == [0]


@pytest.mark.anyio
async def test_block_takes_nothing_for_anybody_until_there_is_room() -> None:
    drained: list[None] = []
    async with dispatching(lambda: drained.append(None)) as dispatcher:
        listener, registration = await busy(dispatcher, 2, "block")
        others: list[Any] = []
        dispatcher.add(lambda message: others.append(message.result))
        assert [dispatcher.deliver(update(number)) for number in (1, 2, 3)] == [True, True, False]
        assert not dispatcher.deliver(update(3))
        assert others == [1, 2], "all or none"
        assert (registration.stats.waiting, registration.stats.dropped, drained) == (2, 0, [])
        listener.gate.set()
        await until(lambda: drained)
        assert dispatcher.deliver(update(3))
        await until(lambda: listener.done == [0, 1, 2, 3])
        assert (others, len(drained)) == ([1, 2, 3], 1), "told once, not for each message"


@pytest.mark.anyio
async def test_removing_the_listener_that_blocks_lets_the_flow_go_on() -> None:
    drained: list[None] = []
    async with dispatching(lambda: drained.append(None)) as dispatcher:
        _, registration = await busy(dispatcher, 1, "block")
        assert [dispatcher.deliver(update(number)) for number in (1, 2)] == [True, False]
        registration.remove()
        assert len(drained) == 1
        assert dispatcher.deliver(update(2))


@pytest.mark.anyio
async def test_coalesce_keeps_the_newest_waiting_update_of_each_task() -> None:
    async with dispatching() as dispatcher:
        listener, registration = await busy(dispatcher, 4, "coalesce")
        for message in (update("a1", "a"), update("b1", "b"), update("a2", "a"), update("a3", "a")):
            assert dispatcher.deliver(message)
        assert registration.stats.dropped == 0
        assert dispatcher.deliver(update("b2", "b"))
        assert registration.stats == ListenerStats(dropped=2, waiting=3)
        listener.gate.set()
        await until(lambda: len(listener.done) == 4)
        assert listener.done == [0, "b1", "a3", "b2"]


@pytest.mark.anyio
async def test_coalesce_drops_nothing_but_updates_and_blocks_where_that_frees_nothing() -> None:
    async with dispatching() as dispatcher:
        listener, registration = await busy(dispatcher, 6, "coalesce")
        waiting = [
            update("created", event="created"),
            prompt(1),
            update("u1"),
            server_event("e"),
            update("u2"),
            update("done", event="complete"),
        ]
        for message in waiting:
            assert dispatcher.deliver(message)
        assert dispatcher.deliver(server_event("e2"))
        assert registration.stats.dropped == 1
        assert not dispatcher.deliver(server_event("e3"))
        assert (registration.stats.dropped, registration.stats.waiting) == (1, 6)
        listener.gate.set()
        await until(lambda: len(listener.done) == 7)
        assert listener.done == [0, "created", prompt(1).result, "e", "u2", "done", "e2"]


@pytest.mark.anyio
async def test_a_message_that_nobody_takes_costs_nobody_a_message() -> None:
    async with dispatching() as dispatcher:
        lossy, registration = await busy(dispatcher, 1, "drop_oldest")
        blocked = Gated()
        dispatcher.add(blocked, capacity=1, overflow="block", event="complete")
        dispatcher.deliver(update("done", event="complete"))
        await until(lambda: blocked.begun == ["done"])
        assert dispatcher.deliver(update("done 2", event="complete"))
        dropped = registration.stats.dropped
        assert not dispatcher.deliver(update("done 3", event="complete"))
        assert registration.stats.dropped == dropped
        lossy.gate.set()
        await until(lambda: lossy.done == [0, "done 2"])


@pytest.mark.anyio
async def test_the_flow_is_not_told_to_go_on_by_a_queue_that_had_room() -> None:
    drained: list[None] = []
    async with dispatching(lambda: drained.append(None)) as dispatcher:
        full, _ = await busy(dispatcher, 1, "block")
        quick: list[Any] = []

        async def listen(message: MCPCMessage) -> None:
            quick.append(message.result)

        dispatcher.add(listen)
        assert [dispatcher.deliver(update(number)) for number in (1, 2)] == [True, False]
        await until(lambda: quick == [1])
        assert drained == []
        full.gate.set()
        await until(lambda: drained)


@settings(max_examples=80, deadline=None, database=None)
@given(
    st.integers(1, 4),
    st.integers(1, 12),
    st.sampled_from(["coalesce", "block", "drop_oldest"]),
    st.lists(
        st.sampled_from(["take", "created", "update", "complete", "event"]).flatmap(
            lambda kind: st.tuples(st.just(kind), st.sampled_from("ab"), st.integers(1, 20))
        ),
        max_size=40,
    ),
)
def test_a_queue_accounts_for_every_message_and_byte(
    capacity: int, capacity_bytes: int, overflow: Overflow, steps: list[tuple[str, str, int]]
) -> None:
    queue = Queue(capacity, overflow, Flow(), capacity_bytes)
    put: list[MCPCMessage] = []
    taken: list[MCPCMessage] = []
    refused = 0
    sizes: dict[int, int] = {}
    for number, (kind, task, size) in enumerate(steps):
        if kind == "take":
            if len(queue):
                taken.append(queue.get())
            continue
        message = server_event(number) if kind == "event" else update(number, task, kind)
        sizes[number] = size
        if queue.has_room(size):
            assert queue.put(message, size)
            put.append(message)
        else:
            refused += 1
            assert len(queue), "an empty queue takes any message"
        assert len(queue) <= capacity
        assert queue.size <= capacity_bytes or len(queue) == 1
    waited = queue.size
    rest = [queue.get() for _ in range(len(queue))]
    assert waited == sum(sizes[message.result] for message in rest)
    assert queue.size == 0
    taken.extend(rest)
    order = [message.result for message in taken]
    assert order == sorted(order)
    assert len(taken) + queue.stats.dropped == len(put)
    if overflow == "drop_oldest":
        assert refused == 0
    if overflow == "block":
        assert queue.stats.dropped == 0
    if overflow == "coalesce":
        lost = [message for message in put if message not in taken]
        assert all(message.event == "update" for message in lost)


@given(
    st.integers(1, 5),
    st.integers(1, 30),
    st.sampled_from(POLICIES),
    st.lists(
        st.tuples(
            st.sampled_from(["update", "prompt", "created", "event", "get", "let go", "row"]), st.integers(1, 20)
        ),
        max_size=40,
    ),
)
def test_a_queue_of_one_task_keeps_what_any_queue_would_keep(
    capacity: int, capacity_bytes: int, overflow: Overflow, steps: list[tuple[str, int]]
) -> None:
    def kept(queue: Queue) -> list[Any]:
        found: list[Any] = []
        for number, (step, size) in enumerate(steps):
            if step == "get":
                found.append(queue.get().result if queue else None)
            elif step == "let go":
                queue.let_go(size)
            elif step == "row":
                row = [update(number), prompt(number), update(number)][: queue.room(size)]
                if isinstance(queue, TaskQueue):
                    queue.put_task_row(row, len(row) > 1, size)
                else:
                    queue.put_row(row, size)
            elif queue.has_room(size):
                kinds = {"prompt": prompt(number), "event": server_event(number)}
                found.append(queue.put(kinds.get(step) or update(number, event=step), size))
            assert queue.size <= capacity_bytes or len(queue) <= 1
        return [*found, *(queue.get().result for _ in range(len(queue))), queue.stats]

    flow = Flow()
    one_task, any_queue = (make(capacity, overflow, flow, capacity_bytes) for make in (TaskQueue, Queue))
    assert kept(one_task) == kept(any_queue)


def test_a_row_waits_up_to_its_last_byte_and_not_one_further() -> None:
    queue = Queue(100, "block", Flow(), capacity_bytes=1000)
    assert queue.room(100) == 10
    queue.put_row([update(number) for number in range(10)], 100)
    assert queue.room(1) == 0
    assert not queue.has_room(1)
    queue.get()
    assert (queue.size, queue.room(100), queue.room(101)) == (900, 1, 0)


def test_a_message_over_the_bound_waits_alone() -> None:
    queue = Queue(100, "block", Flow(), capacity_bytes=1000)
    assert queue.has_room(100_000)
    assert queue.put(update(1), 100_000)
    assert not queue.has_room(1)
    queue.get()
    assert queue.has_room(1)


@pytest.mark.parametrize("overflow", ["coalesce", "block"])
def test_a_result_that_is_waited_for_needs_no_room_for_what_was_refused(overflow: Overflow) -> None:
    flow = Flow()
    queue = Queue(100, overflow, flow, capacity_bytes=1000)
    for number in range(4):
        queue.put(prompt(number), 200)
    assert not queue.takes(500)
    assert flow.stopped
    queue.get()  # it is not half empty yet
    assert flow.stopped
    queue.let_go()
    assert not flow.stopped
    assert queue.takes(500)
    assert queue.stats.dropped == 1


# --- messages in a row ------------------------------------------------------------------------------------------

Deliver = Callable[[Dispatcher, list[MCPCMessage]], None]
ACTIONS = ("take", "raise", "remove", "add", "add filtered")


def one_by_one(dispatcher: Dispatcher, messages: list[MCPCMessage]) -> None:
    for message in messages:
        assert dispatcher.deliver(message)


def in_a_row(dispatcher: Dispatcher, messages: list[MCPCMessage]) -> None:
    assert dispatcher.deliver_all(messages) == len(messages)


def traced(deliver: Deliver, script: list[str]) -> tuple[list[tuple[int, int]], list[ListenerStats]]:
    """Who got what, and the counts, where the first listener does with each message what the script says."""
    dispatcher = Dispatcher(no_spawn, Flow())
    calls: list[tuple[int, int]] = []
    registrations: list[Registration] = []

    def add(name: int, task_id: str | None = None) -> None:
        def listener(message: MCPCMessage) -> None:
            calls.append((name, message.result))
            action = script[int(message.result)] if name == 0 else "take"
            if action == "raise":
                raise ValueError
            if action == "remove":
                registrations[0].remove()
            elif action != "take":
                add(len(registrations), task_id="even" if action == "add filtered" else None)

        registrations.append(dispatcher.add(listener, task_id=task_id))

    add(0)
    deliver(dispatcher, [update(number, "odd" if number % 2 else "even") for number in range(len(script))])
    return calls, [registration.stats for registration in registrations]


@given(st.lists(st.sampled_from(ACTIONS), max_size=20))
def test_messages_in_a_row_go_to_the_same_listeners_as_one_by_one(script: list[str]) -> None:
    assert traced(in_a_row, script) == traced(one_by_one, script)


WAYS: list[dict[str, Any]] = [
    {},
    {"task_id": "even"},
    {"task_id": "odd", "event": "update"},
    {"is_async": True},
    {"is_async": True, "task_id": "even"},
    {"is_async": True, "capacity": 2, "overflow": "coalesce"},
    {"is_async": True, "capacity": 2, "overflow": "drop_oldest"},
    {"is_async": True, "capacity": 2, "overflow": "disconnect"},
    {"is_async": True, "capacity": 3, "overflow": "block", "task_id": "odd"},
]
"""How one listens."""


def told(rows: list[int], ways: list[dict[str, Any]], script: dict[tuple[int, int], tuple[str, int]]) -> list[Any]:
    """What becomes of messages that come in rows of these lengths, where listeners do what the script says."""
    dispatcher = Dispatcher(lambda main: None, Flow())
    told: list[Any] = []
    registrations: list[Registration] = []

    def add(way: dict[str, Any]) -> None:
        name, options = len(registrations), dict(way)

        async def waits(message: MCPCMessage) -> None: ...

        def called(message: MCPCMessage) -> None:
            told.append((name, message.result))
            action, whom = script.get((name, message.result), ("", 0))
            if action == "raise":
                raise ValueError
            if action == "remove":
                registrations[whom % len(registrations)].remove()
            elif action == "add" and len(registrations) < 12:
                add(WAYS[whom % len(WAYS)])

        registrations.append(dispatcher.add(waits if options.pop("is_async", False) else called, **options))

    for way in ways:
        add(way)
    messages = [update(number, "odd" if number % 2 else "even") for number in range(sum(rows))]
    begin = 0
    for length in rows:
        given = dispatcher.deliver_all(messages[begin : begin + length])
        begin += given
        if given < length:
            break
    return [begin, told, [registration.stats for registration in registrations], len(dispatcher)]


@given(
    rows=st.lists(st.integers(1, 9), max_size=6),
    ways=st.lists(st.sampled_from(WAYS), max_size=5),
    script=st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 30)),
        st.tuples(st.sampled_from(["raise", "remove", "add"]), st.integers(1, 20)),
        max_size=6,
    ),
)
def test_how_messages_are_put_into_rows_makes_no_difference_to_any_kind_of_listener(
    rows: list[int], ways: list[dict[str, Any]], script: dict[tuple[int, int], tuple[str, int]]
) -> None:
    assert told(rows, ways, script) == told([1] * sum(rows), ways, script)


def test_a_listener_that_is_added_at_the_last_message_that_another_wants_gets_the_rest_of_the_row() -> None:
    script = {(0, 1): ("add", 0)}
    assert told([3], [WAYS[2]], script) == told([1, 1, 1], [WAYS[2]], script)


@pytest.mark.anyio
async def test_a_listener_that_turns_out_async_in_the_middle_of_a_row_gets_the_rest_in_order() -> None:
    async with dispatching() as dispatcher:
        got: list[int] = []

        async def listen(message: MCPCMessage) -> None:
            await checkpoint()
            got.append(message.result)

        registration = dispatcher.add(
            lambda message: listen(message) if message.result > 2 else got.append(message.result)
        )
        assert dispatcher.deliver_all([update(number) for number in range(6)]) == 6
        assert got == [0, 1, 2]
        await until(lambda: got == list(range(6)))
        assert registration.stats.delivered == 6


@pytest.mark.anyio
async def test_a_row_stops_where_a_listener_has_no_room() -> None:
    async with dispatching() as dispatcher:
        await busy(dispatcher, 2, "block")
        assert dispatcher.deliver_all([update(number) for number in range(1, 6)]) == 2


# --- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_workers_end_after_close_once_their_queues_are_empty() -> None:
    async with workers_end() as dispatcher:
        listener, _ = await busy(dispatcher, 10, "block")
        dispatcher.add(lambda _: None)
        dispatcher.deliver(update(1))
        dispatcher.close()
        await settle()
        listener.gate.set()
        await until(lambda: listener.done == [0, 1])


@pytest.mark.anyio
async def test_a_message_after_close_starts_the_worker_anew() -> None:
    async with dispatching() as dispatcher:
        listener, _ = await busy(dispatcher, 10, "block")
        listener.gate.set()
        await until(lambda: listener.done == [0])
        dispatcher.close()
        await settle()
        for number in (1, 2):
            dispatcher.deliver(update(number))
        await until(lambda: listener.done == [0, 1, 2])
        dispatcher.deliver(update(3))
        await until(lambda: listener.done == [0, 1, 2, 3])


LEAVING: list[Callable[[], BaseException]] = [
    lambda: SystemExit(3),
    lambda: GeneratorExit(),
    lambda: asyncio.CancelledError(),
    lambda: BaseExceptionGroup("both", [SystemExit(1), ValueError("x")]),
]


@pytest.mark.anyio
@pytest.mark.parametrize("leaving", LEAVING)
@pytest.mark.parametrize("is_async", [False, True])
async def test_whatever_leaves_a_listener_harms_nobody_else(
    is_async: bool, leaving: Callable[[], BaseException]
) -> None:
    good: list[Any] = []

    def fail(message: MCPCMessage) -> None:
        raise leaving()

    async def fail_later(message: MCPCMessage) -> None:
        await checkpoint()
        raise leaving()

    async with dispatching() as dispatcher:
        registration = dispatcher.add(fail_later if is_async else fail)
        dispatcher.add(lambda message: good.append(message.result))
        for number in range(3):
            assert dispatcher.deliver(update(number))
        await until(lambda: registration.stats.errors == 3)
        assert good == [0, 1, 2]


@pytest.mark.anyio
async def test_a_listener_ends_with_its_client_though_it_was_cancelled_in_mid_message() -> None:
    began = anyio.Event()

    async def sleeps(message: MCPCMessage) -> None:
        began.set()
        await anyio.sleep_forever()

    async with dispatching() as dispatcher:
        registration = dispatcher.add(sleeps)
        dispatcher.deliver(update(1))
        await began.wait()
    assert registration.stats.errors == 0


# --- a registration under whatever happens to it ----------------------------------------------------------------


class Watched:
    """A dispatcher with one async listener; what its workers do is counted."""

    def __init__(self, group: anyio.abc.TaskGroup) -> None:
        self.got: list[Any] = []
        self.offered = 0
        self.working = 0
        self._group = group
        self._workers: list[anyio.CancelScope] = []
        self.dispatcher = Dispatcher(self._spawn, Flow())
        self.registration = self.dispatcher.add(self._listen)

    async def _listen(self, message: MCPCMessage) -> None:
        await checkpoint()
        self.got.append(message.result)

    def _spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def worker() -> None:
            self.working += 1
            try:
                with anyio.CancelScope() as scope:
                    self._workers.append(scope)
                    await main()
            finally:
                self.working -= 1

        self._group.start_soon(worker)

    async def offer(self) -> None:
        if self.registration.state is not ListenerState.REMOVED:
            self.offered += 1
        self.dispatcher.deliver(server_event(self.offered))

    async def close(self) -> None:
        self.dispatcher.close()

    async def remove(self) -> None:
        self.registration.remove()

    async def cancel(self) -> None:
        """The worker is cancelled while it has nothing to do: with a message, that one would be lost."""
        await self.settle()
        for scope in self._workers:
            scope.cancel()
        await self.settle()

    async def settle(self) -> None:
        """Until the worker has nothing to do."""
        await anyio.wait_all_tasks_blocked()
        assert self.registration.state not in (ListenerState.WORKING, ListenerState.CLOSING)
        assert self.working == int(self.registration.state is ListenerState.WAITING)


WORDS = ("offer", "close", "remove", "cancel", "settle")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(WORDS), max_size=15))
def test_whatever_happens_to_a_registration_it_has_one_worker_and_loses_nothing(words: list[str]) -> None:
    async def main() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                watched = Watched(group)
                for word in words:
                    await getattr(watched, word)()
                    assert watched.working <= 1
                await watched.settle()
                if "remove" in words:
                    assert watched.registration.state is ListenerState.REMOVED
                    assert watched.got == list(range(1, len(watched.got) + 1))
                else:
                    assert watched.got == list(range(1, watched.offered + 1))
                group.cancel_scope.cancel()

    anyio.run(main)

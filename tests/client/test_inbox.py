"""What arrives for a channel: each message once, in order, nothing missing without a word."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.client.backlog import MAX_BACKLOG_BYTES
from mcpc.client.inbox import GAP_EVENT, Inbox
from mcpc.client.stats import read_stats
from mcpc.client.under_way import MAX_UNDER_WAY
from mcpc.flow import Flow
from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE
from mcpc.wire.callbacks import encode_message
from mcpc.wire.originals import encode_direct
from mcpc.wire.rpc import decode_frame


def news(number: Any) -> dict[str, Any]:
    return {"type": "server_event", "event": "news", "session_id": "s", "result": number}


def of_task(result: Any, task_id: str = "t", event: str = "update") -> dict[str, Any]:
    return {"event": event, "session_id": "s", "task_id": task_id, "tool_name": "n", "result": result}


def messages(first: Any, values: Any) -> dict[str, Any]:
    params = {"first": first, "messages": values, "_meta": stamp()}
    return {"method": "notifications/mcpc/messages", "params": params}


LISTEN_ID = 5


def stamp(listen_id: int = LISTEN_ID) -> dict[str, Any]:
    """What ties a notification to its listen request."""
    return {"io.modelcontextprotocol/subscriptionId": listen_id}


def numbered(first: int, last: int) -> dict[str, Any]:
    """Messages `first` to `last` of a log in which every message's result is its number."""
    return messages(first, [news(number) for number in range(first, last + 1)])


def listening(epoch: Any = "e", oldest: Any = 1, head: int = 99, **more: Any) -> dict[str, Any]:
    return {
        "method": "notifications/mcpc/listening",
        "params": {"epoch": epoch, "oldest": oldest, "head": head, "_meta": stamp(), **more},
    }


class Receiver:
    """What stands behind an inbox: takes messages while it has room."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.got: list[MCPCMessage] = []
        self.sizes: list[int] = []
        self.pauses = 0
        self.flow = Flow()
        self.flow.on_stop = self.pause
        self.inbox = Inbox(self.deliver, self.flow)
        self.inbox.listen_sent(LISTEN_ID)
        self.inbox.take(listening())

    def deliver(self, messages: Sequence[MCPCMessage], each: int) -> int:
        taken = messages[: max(0, self.room)]
        self.room -= len(taken)
        self.got.extend(taken)
        self.sizes.extend(each for _ in taken)
        if len(taken) < len(messages):
            self.flow.full(self)
        return len(taken)

    def __len__(self) -> int:
        return len(self.got)

    def pause(self) -> None:
        self.pauses += 1

    def go_on(self, room: int = 10**9) -> None:
        """There is room again."""
        self.room = room
        self.flow.drained(self)

    @property
    def results(self) -> list[Any]:
        return [message.result for message in self.got if message.event != GAP_EVENT]

    @property
    def gaps(self) -> list[tuple[int, int | None]]:
        return [(m.result["first"], m.result["last"]) for m in self.got if m.event == GAP_EVENT]


# --- numbers ----------------------------------------------------------------------------------------------------


def test_messages_are_handed_on_in_order_and_the_last_number_is_kept() -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 3))
    to.inbox.take(numbered(4, 4))
    assert (to.results, to.inbox.last, to.gaps) == ([1, 2, 3, 4], 4, [])


def test_what_was_seen_before_is_ignored() -> None:
    to = Receiver()
    for _ in range(3):
        to.inbox.take(numbered(1, 3))
    to.inbox.take(numbered(2, 2))
    assert (to.results, to.inbox.last, to.inbox.gaps) == ([1, 2, 3], 3, 0)


def test_an_overlap_is_trimmed() -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 3))
    to.inbox.take(numbered(2, 5))
    assert (to.results, to.gaps) == ([1, 2, 3, 4, 5], [])


def test_a_jump_is_reported_once_before_what_follows_it() -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 2))
    to.inbox.take(numbered(6, 7))
    to.inbox.take(numbered(6, 8))
    assert [m.event for m in to.got] == ["news", "news", "gap", "news", "news", "news"]
    assert (to.results, to.gaps, to.inbox.gaps) == ([1, 2, 6, 7, 8], [(3, 5)], 1)


def test_an_empty_batch_says_nothing() -> None:
    to = Receiver()
    to.inbox.take(messages(1, []))
    to.inbox.take(messages(9, []))
    assert (to.got, to.inbox.last, to.inbox.bad_messages) == ([], 0, 0)


@settings(max_examples=150, deadline=None, database=None)
@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 8), st.integers(0, 10)), max_size=30),
)
def test_every_message_comes_once_and_in_order_however_often_it_is_sent(
    length: int, deliveries: list[tuple[int, int, int]]
) -> None:
    to = Receiver()
    for back, count, room in deliveries:
        to.room = room or 10**9  # every so often the listener has had enough in the middle of a batch
        first = max(1, to.inbox.last + 1 - back)
        to.inbox.take(numbered(first, min(first + count, length)))
        assert to.results == list(range(1, to.inbox.last + 1))
        if to.flow.stopped:
            to.inbox.take(numbered(to.inbox.last + 1, length))
            to.go_on()
    to.room = 10**9
    to.inbox.take(numbered(to.inbox.last + 1, length))
    assert (to.results, to.gaps) == (list(range(1, length + 1)), [])


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 5)), max_size=20))
def test_numbers_rise_and_all_that_is_missing_is_reported_whatever_comes(batches: list[tuple[int, int]]) -> None:
    to = Receiver()
    for first, count in batches:
        to.inbox.take(numbered(first, first + count))
    assert to.results == sorted(set(to.results))
    missing = set(range(1, to.inbox.last + 1)) - set(to.results)
    reported = [number for first, last in to.gaps for number in range(first, (last or 0) + 1)]
    assert sorted(missing) == reported


# --- bad input --------------------------------------------------------------------------------------------------


def test_a_bad_message_costs_its_own_place_only(caplog: pytest.LogCaptureFixture) -> None:
    to = Receiver()
    with caplog.at_level(logging.WARNING, logger="mcpc"):
        to.inbox.take(messages(1, [news(1), {"event": "nonsense"}, news(3), None]))
    to.inbox.take(numbered(5, 5))
    assert (to.results, to.inbox.last, to.inbox.bad_messages, to.gaps) == ([1, 3, 5], 5, 2, [])
    assert "message 2 " in caplog.text
    assert "message 4 " in caplog.text


@pytest.mark.parametrize("first", [None, 0, -1, 1.0, "1", True, [], {}])
def test_a_batch_without_a_sound_number_is_bad(first: Any) -> None:
    to = Receiver()
    to.inbox.take(messages(first, [news(1)]))
    assert (to.got, to.inbox.bad_messages, to.inbox.last) == ([], 1, 0)
    to.inbox.take(numbered(1, 1))
    assert to.results == [1]


@pytest.mark.parametrize(
    "message",
    [
        {"method": "notifications/mcpc/messages"},
        {"method": "notifications/mcpc/messages", "params": None},
        {"method": "notifications/mcpc/messages", "params": []},
        {"method": "notifications/mcpc/messages", "params": {}},
        messages(1, None),
        messages(1, {}),
        messages(1, "text"),
        {"method": "notifications/mcpc/listening"},
        {"method": "notifications/mcpc/listening", "params": {}},
        listening(epoch=None),
        listening(epoch=5),
        listening(oldest=None),
        listening(oldest="1"),
        listening(oldest=True),
        listening(oldest=1.0),
    ],
    ids=repr,
)
def test_a_bad_callback_is_counted_and_forgotten(message: dict[str, Any]) -> None:
    to = Receiver()
    to.inbox.take(message)
    assert (to.inbox.bad_messages, to.inbox.epoch, to.got) == (1, "e", [])
    to.inbox.take(numbered(1, 2))
    assert to.results == [1, 2]


def test_a_callback_of_a_later_protocol_is_ignored() -> None:
    to = Receiver()
    to.inbox.take({"method": "notifications/mcpc/other", "params": {"first": 1, "_meta": stamp()}})
    assert (to.got, to.inbox.bad_messages) == ([], 0)


# --- announcements ----------------------------------------------------------------------------------------------


def test_listening_is_confirmed_by_the_announcement_and_anew_each_time() -> None:
    inbox = Inbox(lambda messages, _: len(messages), Flow())
    assert not inbox.listening.is_set()
    inbox.listen_sent(LISTEN_ID)
    inbox.take(listening())
    assert inbox.listening.is_set()
    inbox.stopped_listening()
    assert not inbox.listening.is_set()
    inbox.listen_sent(LISTEN_ID)
    inbox.take(listening())
    assert inbox.listening.is_set()


def test_what_the_server_no_longer_has_is_reported_once_with_the_tasks_as_they_stand() -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 2))
    states = [{"taskId": "t", "status": "running"}]
    for _ in range(2):
        to.inbox.take(listening(oldest=6, tasks=states))
    to.inbox.take(numbered(6, 7))
    assert (to.results, to.gaps) == ([1, 2, 6, 7], [(3, 5)])
    gap = next(message for message in to.got if message.event == GAP_EVENT)
    assert gap.type == "server_event"
    assert gap.result == {"first": 3, "last": 5, "epoch": "e", "tasks": states}


def test_messages_kept_from_before_an_announced_gap_are_still_handed_on() -> None:
    to = Receiver()
    to.inbox.take(listening(oldest=10))
    for number in (3, 7):
        to.inbox.take(numbered(number, number))
    to.inbox.take(numbered(10, 11))
    assert (to.results, to.gaps) == ([3, 7, 10, 11], [(1, 9)])


@pytest.mark.parametrize("oldest", [1, 2, 3])
def test_no_gap_is_reported_where_the_log_begins_at_or_before_what_is_wanted(oldest: int) -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 2))
    to.inbox.take(listening(oldest=oldest))
    assert to.gaps == []


def test_a_new_epoch_begins_the_numbers_again_and_is_reported_as_a_gap_without_an_end() -> None:
    to = Receiver()
    lost: list[set[str]] = []
    to.inbox.on_lost_tasks = lost.append
    to.inbox.take(numbered(1, 5))
    to.inbox.take(listening("later", 1, tasks=[{"taskId": "a"}, {"taskId": 5}, "junk", {}, {"taskId": "b"}]))
    to.inbox.take(numbered(1, 2))
    assert (to.results, to.gaps, to.inbox.epoch) == ([1, 2, 3, 4, 5, 1, 2], [(6, None)], "later")
    assert lost == [{"a", "b"}]


@pytest.mark.parametrize("tasks", [None, "text", {}, 5])
def test_a_new_epoch_without_a_list_of_tasks_loses_them_all(tasks: Any) -> None:
    to = Receiver()
    lost: list[set[str]] = []
    to.inbox.on_lost_tasks = lost.append
    to.inbox.take(listening("later", tasks=tasks))
    assert (lost, to.got[-1].result["tasks"]) == ([set()], None)


def test_the_first_epoch_is_no_news() -> None:
    to = Receiver()
    assert (to.inbox.epoch, to.inbox.gaps, to.got) == ("e", 0, [])


# --- no room ----------------------------------------------------------------------------------------------------


def test_what_comes_when_there_is_no_room_waits_and_goes_on_in_order_when_there_is() -> None:
    to = Receiver(room=2)
    to.inbox.take(numbered(1, 4))
    assert (to.results, to.inbox.last, to.flow.stopped, to.pauses) == ([1, 2], 2, True, 1)
    to.room = 10
    to.inbox.take(numbered(5, 6))
    assert (to.results, to.inbox.last, to.inbox.under_way, to.pauses) == ([1, 2], 2, 4, 1)
    to.go_on(room=3)
    assert (to.results, to.inbox.last, to.inbox.under_way, to.pauses) == ([1, 2, 3, 4, 5], 5, 1, 2)
    to.inbox.take(numbered(7, 7))
    to.go_on()
    to.inbox.take(numbered(8, 8))
    assert (to.results, to.gaps, to.inbox.under_way) == ([1, 2, 3, 4, 5, 6, 7, 8], [], 0)


@given(st.lists(st.one_of(st.integers(1, 5), st.just(0), st.just(-1)), max_size=30), st.integers(0, 4))
def test_however_room_comes_and_goes_nothing_is_lost_doubled_or_out_of_order(steps: list[int], room: int) -> None:
    to, sent = Receiver(room), 0
    for step in steps:
        if step > 0:
            to.inbox.take(numbered(sent + 1, sent + step))
            sent += step
        elif step == 0:
            to.inbox.take(listening())  # an announcement without news
        else:
            to.go_on(room=2)
    to.go_on()
    assert (to.results, to.inbox.last, to.gaps) == (list(range(1, sent + 1)), sent, [])


def test_a_bad_message_that_waited_costs_its_own_place_only() -> None:
    to = Receiver(room=1)
    to.inbox.take(messages(1, [news(1), {"no": "message"}, news(3)]))
    to.inbox.take(messages(4, ["neither", news(5)]))
    to.go_on()
    assert (to.results, to.inbox.last, to.inbox.bad_messages, to.gaps) == ([1, 3, 5], 5, 2, [])


@pytest.mark.parametrize("more", [0, 1])
def test_so_much_may_wait_and_what_follows_comes_again_when_we_listen_again(more: int) -> None:
    to = Receiver(room=0)
    overruns: list[int] = []
    to.inbox.on_overrun = lambda: overruns.append(to.inbox.under_way)
    for first in range(1, MAX_UNDER_WAY + 1, 1000):
        to.inbox.take(numbered(first, first + 999))
    if more:
        to.inbox.take(numbered(MAX_UNDER_WAY + 1, MAX_UNDER_WAY + 1))
        to.inbox.take(numbered(MAX_UNDER_WAY + 2, MAX_UNDER_WAY + 3))  # of the stream of which something was refused
    assert overruns == [MAX_UNDER_WAY] * more
    to.go_on()
    to.inbox.stopped_listening()
    to.inbox.listen_sent(LISTEN_ID)
    to.inbox.take(listening())
    to.inbox.take(numbered(to.inbox.last + 1, MAX_UNDER_WAY + 3))
    assert (to.results, to.gaps) == (list(range(1, MAX_UNDER_WAY + 4)), [])


def test_what_is_on_its_way_when_the_stream_ends_is_no_gap() -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 1))
    to.inbox.stopped_listening()
    to.inbox.take(numbered(4, 6))  # sent before the server heard that we stopped
    to.inbox.listen_sent(LISTEN_ID + 1)
    to.inbox.take(numbered(4, 6))  # and here too
    to.inbox.listen_sent(LISTEN_ID)
    to.inbox.take(listening())
    to.inbox.take(numbered(2, 6))
    assert (to.results, to.gaps) == ([1, 2, 3, 4, 5, 6], [])


def test_a_jump_is_reported_once_though_what_follows_it_has_no_room() -> None:
    to = Receiver(room=1)
    to.inbox.take(numbered(5, 6))
    assert to.gaps == [(1, 4)]
    assert to.flow.stopped
    to.inbox.take(numbered(9, 9))
    to.go_on()
    assert (to.results, to.gaps) == ([5, 6, 9], [(1, 4), (7, 8)])


def test_a_gap_waits_for_room_like_a_message() -> None:
    to = Receiver(room=0)
    to.inbox.take(listening(oldest=5))
    to.inbox.take(numbered(5, 5))
    to.inbox.take(listening(oldest=8))
    to.inbox.take(numbered(8, 8))
    to.go_on()
    assert ([m.event for m in to.got], to.gaps) == (["gap", "news", "gap", "news"], [(1, 4), (6, 7)])


def test_the_loss_of_the_log_waits_for_room_like_a_message() -> None:
    to = Receiver(room=0)
    to.inbox.take(listening("later"))
    to.inbox.take(numbered(1, 1))
    to.go_on()
    assert ([m.event for m in to.got], to.gaps) == (["gap", "news"], [(1, None)])


# --- calls ------------------------------------------------------------------------------------------------------


def answer(*values: dict[str, Any]) -> dict[str, Any]:
    found = [encode_message(MCPCMessage.model_validate(value)).decode() for value in values]
    return {"content": [{"type": "text", "text": text} for text in found], "isError": False}


def test_messages_of_a_task_wait_for_the_answer_to_its_call() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    to.inbox.take(messages(1, [of_task("u1"), of_task("other", "x"), of_task("u2"), news("event")]))
    assert (to.results, to.inbox.last) == (["other", "event"], 4)
    to.inbox.call_answered(1, answer(of_task("made", event="created")))
    to.inbox.take(messages(5, [of_task("u3")]))
    assert to.results == ["other", "event", "made", "u1", "u2", "u3"]


@pytest.mark.parametrize("result", [None, {}, {"content": None}, {"content": [{"type": "text", "text": "plain"}]}])
def test_an_answer_without_a_message_lets_what_waited_go(result: dict[str, Any] | None) -> None:
    to = Receiver()
    to.inbox.call_sent("id", "t")
    to.inbox.take(messages(1, [of_task("u1")]))
    to.inbox.call_answered("id", result)
    assert to.results == ["u1"]


def test_when_the_connection_is_gone_nothing_waits_any_longer() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "a")
    to.inbox.call_sent(2, "b")
    to.inbox.take(messages(1, [of_task("b1", "b"), of_task("a1", "a")]))
    to.inbox.abandon_calls()
    assert sorted(to.results) == ["a1", "b1"]
    to.inbox.take(messages(3, [of_task("a2", "a")]))
    assert to.results[-1] == "a2"


def test_a_call_without_a_task_holds_nothing_and_an_unknown_answer_says_nothing() -> None:
    to = Receiver()
    to.inbox.call_sent(1, None)
    to.inbox.take(messages(1, [of_task("u1")]))
    to.inbox.call_answered(1, answer(of_task("made", event="created")))
    to.inbox.call_answered(2, answer(of_task("made", event="created")))
    assert to.results == ["u1"]


def test_what_came_with_and_before_the_answer_waits_for_room_like_any_message() -> None:
    to = Receiver(room=0)
    to.inbox.call_sent(1, "t")
    to.inbox.take(messages(1, [of_task("u1"), of_task("done", event="complete")]))
    to.inbox.call_answered(1, answer(of_task("made", event="created")))
    assert to.results == []
    to.go_on()
    to.inbox.take(messages(3, [news("next")]))
    assert to.results == ["made", "u1", "done", "next"]


def test_a_refused_call_with_an_id_in_use_does_not_let_the_first_ones_messages_go() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    to.inbox.call_sent(2, "t")
    to.inbox.take(messages(1, [of_task("u1")]))
    to.inbox.call_answered(2, None)
    to.inbox.take(messages(2, [of_task("u2")]))
    to.inbox.call_answered(1, answer(of_task("made", event="created")))
    assert to.results == ["made", "u1", "u2"]


def test_what_waits_for_an_answer_is_bounded() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    values = [of_task(number) for number in range(DEFAULT_CAPACITY + 1)]
    to.inbox.take(messages(1, values))
    assert (to.inbox.last, to.flow.stopped, to.results) == (DEFAULT_CAPACITY, True, [])
    to.inbox.call_answered(1, None)
    to.go_on()
    to.inbox.take(messages(DEFAULT_CAPACITY + 1, values[-1:]))
    assert to.results == list(range(DEFAULT_CAPACITY + 1))


# --- the direct form --------------------------------------------------------------------------------------------


def direct(value: dict[str, Any]) -> dict[str, Any]:
    return decode_frame(encode_direct(encode_message(MCPCMessage.model_validate(value))))


def test_the_direct_form_is_handed_on_without_numbers() -> None:
    to = Receiver()
    for _ in range(2):
        to.inbox.take(direct(news("same")))
    assert (to.results, to.inbox.last) == (["same", "same"], 0)


def test_the_direct_form_waits_for_the_answer_too() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    to.inbox.take(direct(of_task("u1")))
    to.inbox.call_answered(1, answer(of_task("made", event="created")))
    assert to.results == ["made", "u1"]


JUNK = [{}, {"content": 5}, {"content": [{"text": "mcpc"}]}, {"content": [{"text": json.dumps({"mcpc": 1})}]}]


@pytest.mark.parametrize("result", JUNK, ids=repr)
def test_junk_in_the_direct_form_is_left_out(result: dict[str, Any]) -> None:
    to = Receiver()
    to.inbox.take({"id": "MCPC_CALLBACK", "result": result})
    assert to.got == []


@pytest.mark.parametrize("result", JUNK, ids=repr)
def test_junk_in_the_direct_form_is_counted(result: dict[str, Any]) -> None:
    to = Receiver()
    to.inbox.take({"id": "MCPC_CALLBACK", "result": result})
    assert to.inbox.bad_messages == 1


# --- in use -----------------------------------------------------------------------------------------------------


def counting_server() -> MCPServer:
    server = MCPServer("counter", log_level="ERROR")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def count(n: int, task: mcpc.Task) -> int:
        for number in range(n):
            await task.update(number)
        return n

    @callbacks.tool()
    async def write(n: int, task: mcpc.Task) -> str:
        await task.update("writing")
        return "x" * n

    @server.tool()
    def write_now(n: int) -> str:
        return "x" * n

    return server


@pytest.mark.anyio
async def test_a_slow_listener_that_blocks_gets_everything_in_order() -> None:
    got: list[Any] = []
    gaps: list[MCPCMessage] = []

    async def slow(message: MCPCMessage) -> None:
        await checkpoint()
        got.append(message.result)

    with anyio.fail_after(60):
        async with mcpc.Client(counting_server()) as client:
            client.add_event_listener(gaps.append, event=GAP_EVENT)
            client.add_event_listener(slow, capacity=3, overflow="block", event="update")
            task = await client.start_task("count", {"n": 2000})
            assert await task.result() == 2000
            while not gaps and len(got) < 2000:
                await checkpoint()
    assert (gaps, got) == ([], list(range(2000)))


@pytest.mark.anyio
async def test_a_task_begins_with_created_though_a_listener_has_no_room() -> None:
    gate = anyio.Event()
    busy = anyio.Event()

    async def stuck(message: MCPCMessage) -> None:
        busy.set()
        await gate.wait()

    with anyio.fail_after(60):
        async with mcpc.Client(counting_server()) as client:
            client.add_event_listener(stuck, capacity=1, overflow="block")
            first = await client.start_task("count", {"n": 3})
            await busy.wait()
            second = await client.start_task("count", {"n": 3})
            gate.set()
            for task in (first, second):
                assert [message.event async for message in task] == ["created", *["update"] * 3, "complete"]


@pytest.mark.anyio
async def test_a_tasks_result_over_the_size_limit_fails_its_caller() -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(counting_server()) as client:
            task = await client.start_task("write", {"n": DEFAULT_MAX_MESSAGE_SIZE + 1})
            with pytest.raises(mcpc.TaskFailed, match="limit"):
                await task.result()


@pytest.mark.anyio
async def test_an_ordinary_result_may_be_larger_than_what_a_server_takes() -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(counting_server()) as client:
            result = await client.call_tool("write_now", {"n": DEFAULT_MAX_MESSAGE_SIZE + 1})
            assert not result.is_error


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["memory://limits", "tcp://127.0.0.1:0", "ws://127.0.0.1:0/mcp"])
async def test_an_ordinary_result_over_the_clients_limit_fails_its_own_call_alone(address: str) -> None:
    states: list[str] = []
    with anyio.fail_after(60):
        async with mcpc.listen(counting_server(), address) as listener:
            client = mcpc.Client(listener.uri, max_message_size=100_000, on_connection=states.append)
            async with client, anyio.create_task_group() as others:
                task = await client.start_task("count", {"n": 50})
                with pytest.raises(MCPError, match="limit of 100000 bytes"):
                    await client.call_tool("write_now", {"n": 100_000})
                others.start_soon(client.call_tool, "write_now", {"n": 10_000})
                assert await task.result() is not None
    assert "lost" not in states


@pytest.mark.anyio
async def test_a_call_that_held_as_much_as_may_be_stops_the_flow_until_it_is_answered() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    held = [of_task(number) for number in range(DEFAULT_CAPACITY + 1)]
    to.inbox.take(messages(1, held))
    assert (to.flow.stopped, to.inbox.last) == (True, DEFAULT_CAPACITY)
    to.inbox.call_answered(1, None)
    assert not to.flow.stopped  # at once, and not when the call happens to be forgotten
    assert to.results == list(range(DEFAULT_CAPACITY + 1))


def test_the_bytes_of_a_frame_are_shared_by_its_messages() -> None:
    to = Receiver()
    to.inbox.take(numbered(1, 4), 1000)
    to.inbox.take(numbered(3, 5), 300)  # of which two came before
    to.inbox.take(direct(news("x")), 70)
    assert to.sizes == [250, 250, 250, 250, 100, 70]


def test_a_call_holds_as_many_bytes_as_may_be_and_not_one_more() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    to.inbox.take(messages(1, [of_task(1), of_task(2)]), DEFAULT_CAPACITY_BYTES)
    assert (to.flow.stopped, to.inbox.last) == (False, 2)
    to.inbox.take(messages(3, [of_task(3)]), 1)
    assert (to.flow.stopped, to.inbox.last) == (True, 2)
    to.inbox.call_answered(1, None)
    assert not to.flow.stopped
    assert to.results == [1, 2, 3]


def test_a_message_over_the_bound_is_held_for_its_call_alone() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    to.inbox.take(messages(1, [of_task(1)]), 2 * DEFAULT_CAPACITY_BYTES)
    assert (to.flow.stopped, to.inbox.last) == (False, 1)
    to.inbox.call_answered(1, None)
    assert to.results == [1]


def test_what_a_call_holds_of_the_direct_form_lets_go_of_the_oldest_by_bytes() -> None:
    to = Receiver()
    to.inbox.call_sent(1, "t")
    for number in range(4):
        to.inbox.take(direct(of_task(number)), DEFAULT_CAPACITY_BYTES // 2)
    assert read_stats(to.inbox).dropped == 2
    to.inbox.call_answered(1, None)
    assert to.results == [2, 3]


def test_the_backlog_is_bounded_in_bytes_and_counted() -> None:
    to = Receiver(room=0)
    part = MAX_BACKLOG_BYTES // 4
    for number in range(4):
        to.inbox.take(direct(news(number)), part)
    stats = read_stats(to.inbox)
    assert (stats.backlog, stats.backlog_bytes, stats.dropped) == (4, 4 * part, 0)
    to.inbox.take(direct(news("one more")), 1)
    stats = read_stats(to.inbox)
    assert (stats.backlog, stats.backlog_bytes, stats.dropped) == (4, 3 * part + 1, 1)
    to.go_on()
    assert to.results == [1, 2, 3, "one more"]
    assert read_stats(to.inbox).backlog_bytes == 0


def test_what_was_missed_while_a_call_was_open_is_looked_after_once_it_is_answered() -> None:
    receiver = Receiver()
    looks: list[int] = []
    receiver.inbox.on_gap = lambda _: looks.append(len(receiver.got))
    receiver.inbox.call_sent(7, "t")
    receiver.inbox.call_sent(8, "u")
    receiver.inbox.take(messages(1, [of_task("first")]))
    receiver.inbox.take(listening(oldest=4))
    assert looks == [1], "the gap was told, and the task's message waits for the answer to its call"
    receiver.inbox.call_sent(9, "later")
    receiver.inbox.call_answered(7, {})
    receiver.inbox.call_answered(8, None)
    receiver.inbox.call_answered(9, {})
    assert [message.event for message in receiver.got] == ["gap", "update"]
    assert looks == [1, 2, 2], "by the messages that waited nobody knows whether the end was missed"

"""A channel is listened to from the last number on, again when the stream ends, and not while there is no room."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, METHOD_NOT_FOUND, EmptyResult, Result

import mcpc
from mcpc.client import backoff, pausing
from mcpc.client import listening as listening_module
from mcpc.client.inbox import Inbox
from mcpc.client.listening import MAX_REFUSALS, Listening
from mcpc.flow import Flow

pytestmark = pytest.mark.anyio

Answer = Callable[[int], Awaitable[None]]


class Place:
    """Something that may be full."""

    waiting = 1

    def __len__(self) -> int:
        return self.waiting


class Server:
    """A session whose server answers each listen request by calling `answer` with its number.

    It does not know `mcpc/pause`, unless `tell` takes it, with its params.
    """

    def __init__(self, answer: Answer, tell: Callable[[str, dict[str, Any]], None] | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.names: list[str] = []
        self._answer = answer
        self._tell = tell

    async def send_request(self, request: Any, *_: Any, **options: Any) -> Any:
        if request.method != "mcpc/listen":
            if self._tell is None:
                raise MCPError(METHOD_NOT_FOUND, "Method not found")
            self._tell(request.method, request.params.model_dump(by_alias=True, exclude_none=True))
            return Result()
        assert options["request_read_timeout_seconds"] > 1e6, "a listen request has no answer until it ends"
        asked = request.params.model_dump(by_alias=True, exclude_none=True)
        self.names.append(asked.pop("listenId"))
        self.asked.append(asked)
        await self._answer(len(self.asked))
        return EmptyResult()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between two streams, which are not waited for."""
    found: list[float] = []

    ours, asleep = threading.get_ident(), anyio.sleep

    async def sleep(seconds: float) -> None:
        if threading.get_ident() != ours:  # a server that another test has left in a thread
            await asleep(seconds)
            return
        found.append(seconds)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(backoff.anyio, "sleep", sleep)
    return found


def listening(max_message_size: int | None = None) -> tuple[Listening, Inbox, Flow]:
    flow = Flow()
    inbox = Inbox(lambda messages, _: len(messages), flow)
    longest = backoff.Backoff(first=1.0, maximum=8.0, random=lambda: 1.0)
    return Listening(inbox, flow, "the-channel", max_message_size, longest), inbox, flow


async def run(listens: Listening, server: Any) -> None:
    with anyio.fail_after(60):
        await listens.run(server)


async def test_it_listens_again_after_the_last_number_when_the_stream_ends() -> None:
    listens, inbox, _ = listening(4096)

    async def answer(count: int) -> None:
        inbox.listening.set()
        inbox.last, inbox.epoch = 10 * count, "e"
        if count == 3:
            raise MCPError(INVALID_PARAMS, "no more")

    server = Server(answer)
    with pytest.raises(MCPError, match="no more"):
        await run(listens, server)
    usual = {"channel": "the-channel", "forms": ["heads"], "maxMessageSize": 4096}
    assert server.asked == [
        {**usual, "after": 0},
        {**usual, "after": 10, "epoch": "e"},
        {**usual, "after": 20, "epoch": "e"},
    ]
    assert len(set(server.names)) == 3


async def test_a_stream_that_was_cut_is_no_error_as_long_as_it_had_begun() -> None:
    listens, inbox, _ = listening()

    async def answer(count: int) -> None:
        inbox.listening.set()
        if count <= 3 * MAX_REFUSALS:
            raise MCPError(CONNECTION_CLOSED, "cut")
        raise MCPError(INVALID_PARAMS, "enough")

    server = Server(answer)
    with pytest.raises(MCPError, match="enough"):
        await run(listens, server)
    assert len(server.asked) == 3 * MAX_REFUSALS + 1


async def _streams_that_are_cut(count: int) -> None:
    """So many streams that begin and are cut, on one connection."""
    listens, inbox, _ = listening()

    async def answer(number: int) -> None:
        inbox.listening.set()
        raise MCPError(CONNECTION_CLOSED, "cut") if number < count else MCPError(INVALID_PARAMS, "enough")

    with pytest.raises(MCPError, match="enough"):
        await run(listens, Server(answer))


async def test_the_wait_grows_while_streams_begin_and_do_not_last(waits: list[float]) -> None:
    await _streams_that_are_cut(7)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


async def test_after_a_stream_that_lasted_the_wait_is_the_first_one_again(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_module, "STABLE", 0.0)
    await _streams_that_are_cut(4)
    assert waits == [1.0, 1.0, 1.0]


async def test_a_stream_that_we_end_ourselves_makes_no_wait_grow(waits: list[float]) -> None:
    listens, inbox, _ = listening()

    async def answer(count: int) -> None:
        inbox.listening.set()
        if count == 5:
            raise MCPError(INVALID_PARAMS, "enough")
        inbox.on_overrun()
        await anyio.sleep_forever()

    with pytest.raises(MCPError, match="enough"):
        await run(listens, Server(answer))
    assert waits == [1.0, 1.0, 1.0, 1.0]


async def test_streams_that_end_before_they_begin_are_given_up_after_a_few(waits: list[float]) -> None:
    listens, inbox, _ = listening()

    async def answer(count: int) -> None:
        await anyio.lowlevel.checkpoint()

    server = Server(answer)
    with pytest.raises(mcpc.ConnectionLost, match="no longer lets us listen"):
        await run(listens, server)
    assert len(server.asked) == MAX_REFUSALS + 2
    assert len(waits) == MAX_REFUSALS + 1
    assert not inbox.listening.is_set()


async def test_a_stream_that_had_begun_sets_the_count_back() -> None:
    listens, inbox, _ = listening()

    async def answer(count: int) -> None:
        if count == MAX_REFUSALS:
            inbox.listening.set()

    server = Server(answer)
    with pytest.raises(mcpc.ConnectionLost):
        await run(listens, server)
    assert len(server.asked) == MAX_REFUSALS + MAX_REFUSALS + 1


async def test_a_server_that_cannot_pause_is_not_listened_to_while_a_place_is_full(
    waits: list[float],
) -> None:
    listens, inbox, flow = listening()
    place, streaming = Place(), [anyio.Event(), anyio.Event()]

    async def answer(count: int) -> None:
        inbox.listening.set()
        streaming[count - 1].set()
        await anyio.sleep_forever()

    server: Any = Server(answer)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(listens.run, server)
            await streaming[0].wait()
            flow.full(place)
            while inbox.listening.is_set():
                await anyio.lowlevel.checkpoint()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert len(server.asked) == 1
            flow.drained(place)
            await streaming[1].wait()
            assert waits == []
            group.cancel_scope.cancel()
    assert len(server.asked) == 2


async def test_while_a_place_is_full_the_server_pauses_and_is_told_of_what_is_worked_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pausing, "RENEWAL", 0.01)
    listens, inbox, flow = listening()
    place, streaming, told = Place(), anyio.Event(), list[str]()

    def tell(method: str, params: dict[str, Any]) -> None:
        assert params == {"channel": "the-channel", "listenId": server.names[0]}
        told.append(method)

    async def answer(count: int) -> None:
        inbox.listening.set()
        streaming.set()
        await anyio.sleep_forever()

    server: Any = Server(answer, tell)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(listens.run, server)
            await streaming.wait()
            for round_ in (1, 2):
                flow.full(place)
                while told.count("mcpc/pause") < 2 * round_:  # once more, as something was taken meanwhile
                    place.waiting += 1
                    await anyio.lowlevel.checkpoint()
                flow.drained(place)
                while told.count("mcpc/resume") < round_:
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert told[0] == "mcpc/pause"
    assert told[-1] == "mcpc/resume"
    assert len(server.asked) == 1


async def test_a_server_that_does_not_answer_whether_it_pauses_is_not_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pausing, "PATIENCE", 0.01)
    listens, inbox, flow = listening()
    place, streaming = Place(), [anyio.Event(), anyio.Event()]

    class Silent(Server):
        async def send_request(self, request: Any, *args: Any, **options: Any) -> Any:
            if request.method != "mcpc/listen":
                await anyio.sleep_forever()
            return await super().send_request(request, *args, **options)

    async def answer(count: int) -> None:
        inbox.listening.set()
        streaming[count - 1].set()
        await anyio.sleep_forever()

    server: Any = Silent(answer)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(listens.run, server)
            await streaming[0].wait()
            flow.full(place)
            while inbox.listening.is_set():
                await anyio.lowlevel.checkpoint()
            flow.drained(place)
            await streaming[1].wait()
            group.cancel_scope.cancel()

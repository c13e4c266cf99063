"""A channel is listened to from the last number on, again when the stream ends, and not while there is no room."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, EmptyResult

import mcpc
from mcpc.client import backoff
from mcpc.client.inbox import Inbox
from mcpc.client.listening import MAX_REFUSALS, Listening
from mcpc.flow import Flow

pytestmark = pytest.mark.anyio

Answer = Callable[[int], Awaitable[None]]


class Place:
    """Something that may be full."""


class Server:
    """A session whose server answers each listen request by calling `answer` with its number."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answer = answer

    async def send_request(self, request: Any, *_: Any, **options: Any) -> EmptyResult:
        assert request.method == "mcpc/listen"
        assert options["request_read_timeout_seconds"] > 1e6, "a listen request has no answer until it ends"
        self.asked.append(request.params.model_dump(by_alias=True, exclude_none=True))
        await self._answer(len(self.asked))
        return EmptyResult()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between two streams, which are not waited for."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(backoff.anyio, "sleep", sleep)
    return found


def listening(max_message_size: int | None = None) -> tuple[Listening, Inbox, Flow]:
    flow = Flow()
    inbox = Inbox(len, flow)
    return Listening(inbox, flow, "the-channel", max_message_size), inbox, flow


async def run(listens: Listening, server: Any) -> None:
    with anyio.fail_after(10):
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


async def test_while_a_place_is_full_it_does_not_listen_and_goes_on_at_once_when_it_has_room(
    waits: list[float],
) -> None:
    listens, inbox, flow = listening()
    place, streaming = Place(), [anyio.Event(), anyio.Event()]

    async def answer(count: int) -> None:
        inbox.listening.set()
        streaming[count - 1].set()
        await anyio.sleep_forever()

    server: Any = Server(answer)
    with anyio.fail_after(10):
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

"""`mcpc.experimental.subscribe`: events of our servers, over cuts and restarts, and of strangers' servers.

Both ways in which events come, where they are to look the same; each alone in `test_event_stream`, `test_event_polls`.
"""

from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer, Server
from mcp_types import RequestParams
from pydantic import ConfigDict

import mcpc
from mcpc.experimental import Delivery, Event, list_events, serve_events, subscribe
from mcpc.testing import FaultyTransport
from mcpc.uri import TRANSPORTS

pytestmark = pytest.mark.anyio

DEADLINE = 60

QUICK: dict[str, Any] = {"min_interval": 0.01}

each_way = pytest.mark.parametrize("delivery", ["push", "poll"])


def bench() -> tuple[MCPServer[Any], mcpc.MCPCHelper]:
    server = MCPServer[Any]("bench", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def square(n: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        return n * n

    serve_events(server, {"file_arrived": "A file has arrived"})
    return server, callbacks


async def some(subscription: Any, count: int) -> list[Any]:
    return [(await anext(subscription)).data["value"] for _ in range(count)]


@each_way
async def test_events_come_in_order_and_a_later_subscription_goes_on_where_an_earlier_was(delivery: Delivery) -> None:
    server, callbacks = bench()
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server) as client:
            assert [each["name"] for each in await list_events(client)] == ["file_arrived", "task.ended"]
            await callbacks.emit("file_arrived", "before")
            events = await subscribe(client, "file_arrived", delivery=delivery, **QUICK)
            for value in range(5):
                await callbacks.emit("file_arrived", value)
            assert await some(events, 5) == [0, 1, 2, 3, 4]
            await callbacks.emit("file_arrived", "later")
            again = await subscribe(client, "file_arrived", cursor=events.cursor, delivery=delivery, **QUICK)
            assert await some(again, 1) == ["later"]


@each_way
async def test_the_end_of_a_task_is_an_event_also_for_who_subscribes_after_it(delivery: Delivery) -> None:
    server, _ = bench()
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server) as client:
            task = await client.start_task("square", {"n": 3})
            await task.result()
            ends = await subscribe(client, "task.ended", {"taskId": task.task_id}, delivery=delivery, **QUICK)
            event = await anext(ends)
            assert (event.data["event"], event.data["result"]) == ("complete", 9)


@each_way
async def test_over_cuts_it_goes_on_by_itself_and_nothing_is_missing_or_comes_twice(delivery: Delivery) -> None:
    server, callbacks = bench()
    with TRANSPORTS.restored(), anyio.fail_after(DEADLINE):
        faulty = FaultyTransport("memory", cuts=[8, 12])
        mcpc.register_transport("faulty", faulty)
        async with mcpc.listen(server, "faulty://subscription") as listener:
            async with mcpc.Client(listener.uri, reconnect=mcpc.Backoff(first=0.01)) as client:
                events = await subscribe(client, "file_arrived", delivery=delivery, **QUICK)
                heard: list[Any] = []
                while faulty.cuts < 2:
                    await callbacks.emit("file_arrived", len(heard))
                    heard += await some(events, 1)
                assert heard == list(range(len(heard)))


@each_way
async def test_who_does_not_dial_again_is_told_of_a_lost_connection_once_all_that_came_is_told(
    delivery: Delivery,
) -> None:
    server, callbacks = bench()
    with anyio.fail_after(DEADLINE):
        async with AsyncExitStack() as life:
            listener = await life.enter_async_context(mcpc.listen(server, "memory://once"))
            async with mcpc.Client(listener.uri, reconnect=False) as client:
                events = await subscribe(client, "file_arrived", delivery=delivery, **QUICK)
                await callbacks.emit("file_arrived", 1)
                assert await some(events, 1) == [1]
                await life.aclose()
                with pytest.raises(mcpc.ConnectionLost):
                    await anext(events)


@each_way
async def test_a_gap_is_told_with_the_event_after_it(delivery: Delivery) -> None:
    server = MCPServer[Any]("small", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, max_messages=2)
    serve_events(server, {"file_arrived": "A file has arrived"})
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server) as client:
            cursor = (await subscribe(client, "file_arrived", delivery="poll")).cursor
            for value in range(3):
                await callbacks.emit("file_arrived", value)
            events = await subscribe(client, "file_arrived", cursor=cursor, delivery=delivery, **QUICK)
            found = [await anext(events), await anext(events)]
            assert [(event.data["value"], event.missed) for event in found] == [(1, True), (2, False)]


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class Stranger:
    """A server of the SDK alone that serves the draft's methods by hand."""

    def __init__(self, listed: list[dict[str, Any]], polls: list[dict[str, Any]]) -> None:
        self.server = Server[Any]("stranger")
        self.asked: list[dict[str, Any]] = []
        self._listed = listed
        self._polls = polls
        self.server.add_request_handler("events/list", _Params, self._list)
        self.server.add_request_handler("events/poll", _Params, self._poll)

    async def _list(self, ctx: Any, params: Any) -> dict[str, Any]:
        return self._listed.pop(0)

    async def _poll(self, ctx: Any, params: Any) -> dict[str, Any]:
        self.asked.append(params.model_extra or {})
        return self._polls.pop(0)


def listing(*delivery: str, **more: Any) -> dict[str, Any]:
    kind: dict[str, Any] = {"name": "mail", "delivery": list(delivery), "inputSchema": {}, "payloadSchema": {}}
    return {"events": [kind], **more}


def mail(number: int) -> dict[str, Any]:
    return {"eventId": f"m{number}", "name": "mail", "timestamp": "2026-02-19T15:30:00Z", "data": {"value": number}}


def page(cursor: Any, *numbers: int, **more: Any) -> dict[str, Any]:
    return {"events": [mail(number) for number in numbers], "cursor": cursor, "nextPollMs": 0, **more}


async def test_a_server_that_is_not_ours_is_listened_to() -> None:
    polls = [page("c0"), page("c1", 1, 2, hasMore=True), page("c2", 2, 3, truncated=True), page(None, 4)]
    stranger = Stranger([listing("webhook", nextCursor="p2"), listing("push", "poll")], polls)
    stranger._listed[0]["events"][0]["name"] = "other"  # pyright: ignore[reportPrivateUsage]
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail", {"from": "*"}, max_age=60, **QUICK)
            found = [await anext(events) for _ in range(4)]
            assert found[0] == Event("m1", "mail", "2026-02-19T15:30:00Z", {"value": 1})
            assert [(event.data["value"], event.missed) for event in found] == [
                (1, False),
                (2, False),
                (3, True),
                (4, False),
            ]
            assert [asked.get("cursor") for asked in stranger.asked] == [None, "c0", "c1", "c2"]
            assert stranger.asked[0]["arguments"] == {"from": "*"}
            assert stranger.asked[0]["maxAgeMs"] == 60_000
            assert events.cursor is None


STRANGE: list[tuple[Any, Any, type[Exception], str]] = [
    ([listing("webhook")], [], mcpc.MCPCError, "cannot be had by push or poll; the server offers webhook"),
    ([listing()], [], mcpc.MCPCError, "the server offers nothing"),
    ([listing("push")], [], mcp.MCPError, "Method not found"),
    ([{"events": []}], [], mcpc.MCPCError, "has no event 'mail'; it has none"),
    ([{"events": 5}], [], mcpc.MessageError, "no list of events"),
    ([{"events": [{}]}], [], mcpc.MessageError, "without a name"),
    ([listing("poll", nextCursor="a"), listing("poll", nextCursor="a")], [], mcpc.MessageError, "does not end"),
    ([listing("poll")], [{"events": [], "cursor": 5}], mcpc.MessageError, "cursor .* is not a text"),
    ([listing("poll")], [{"cursor": "c"}], mcpc.MessageError, "no list of events"),
    ([listing("poll")], [{"events": [{"eventId": "x"}], "cursor": "c"}], mcpc.MessageError, "lacks eventId"),
]


@pytest.mark.parametrize(("listed", "polls", "error", "told"), STRANGE)
async def test_a_server_that_answers_something_else_is_told_as_such(
    listed: Any, polls: Any, error: type[Exception], told: str
) -> None:
    stranger = Stranger(list(listed), list(polls))
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            with pytest.raises(error, match=told):
                await subscribe(client, "mail", **QUICK)


async def test_a_way_that_is_asked_for_and_not_offered_is_refused() -> None:
    stranger = Stranger([listing("push")], [])
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            with pytest.raises(mcpc.MCPCError, match="cannot be had by poll; the server offers push"):
                await subscribe(client, "mail", delivery="poll")


async def test_a_server_without_events_is_told_as_such() -> None:
    server = MCPServer[Any]("plain", log_level="WARNING")
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server) as client:
            with pytest.raises(mcpc.MCPCError, match="serves no events"):
                await subscribe(client, "mail")


@each_way
async def test_what_a_server_refuses_is_raised_and_a_cancelled_iteration_can_be_gone_on_with(
    delivery: Delivery,
) -> None:
    server, callbacks = bench()
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server) as client:
            with pytest.raises(mcp.MCPError, match="takes no arguments"):
                await subscribe(client, "file_arrived", {"path": "x"}, delivery=delivery, **QUICK)
            events = await subscribe(client, "file_arrived", delivery=delivery, **QUICK)
            with anyio.move_on_after(0):
                await anext(events)
            await callbacks.emit("file_arrived", 1)
            assert await some(events, 1) == [1]

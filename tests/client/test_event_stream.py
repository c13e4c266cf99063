"""Events as they are streamed: over what carries them, what a server may say on the way, and who lets go of it."""

import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer, Server
from mcp_types import Notification, RequestParams
from pydantic import ConfigDict

import mcpc
from mcpc.client import event_stream, told_events
from mcpc.experimental import serve_events, subscribe

pytestmark = pytest.mark.anyio

DEADLINE = 30

EVENT, ACTIVE = "notifications/events/event", "notifications/events/active"


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class Stranger:
    """A server of the SDK alone; each stream that it opens is led by the next of `scripts`, the last one again.

    A script is given what tells the client something; what it returns ends the stream.
    """

    def __init__(self, *scripts: Callable[[Any], Any], delivery: tuple[str, ...] = ("push",)) -> None:
        self.server = Server[Any]("stranger")
        self.asked: list[dict[str, Any]] = []
        self.left = anyio.Event()
        """Set when a stream was given up by its client."""
        self.polls = 0
        self._scripts = list(scripts)
        self._delivery = list(delivery)
        self.server.add_request_handler("events/list", _Params, self._list)
        self.server.add_request_handler("events/poll", _Params, self._poll)
        self.server.add_request_handler("events/stream", _Params, self._stream)

    async def _list(self, ctx: Any, params: Any) -> dict[str, Any]:
        return {"events": [{"name": "mail", "delivery": self._delivery, "inputSchema": {}, "payloadSchema": {}}]}

    async def _poll(self, ctx: Any, params: Any) -> dict[str, Any]:
        self.polls += 1
        return {"events": [], "cursor": "polled", "nextPollMs": 0}

    async def _stream(self, ctx: Any, params: Any) -> dict[str, Any]:
        self.asked.append(params.model_extra or {})
        meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": ctx.request_id}}

        async def tell(method: str, **members: Any) -> None:
            notification: Any = Notification[dict[str, Any], str](method=method, params={**members, **meta})
            await ctx.session.send_notification(notification, related_request_id=ctx.request_id)

        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            await script(tell)
        except anyio.get_cancelled_exc_class():
            self.left.set()
            raise
        return {}


def mail(number: int, cursor: Any = ...) -> dict[str, Any]:
    body = {"eventId": f"m{number}", "name": "mail", "timestamp": "2026-02-19T15:30:00Z", "data": {"value": number}}
    return {**body, "cursor": f"c{number}" if cursor is ... else cursor}


def telling(*numbers: int, stays: bool = True) -> Callable[[Any], Any]:
    """A script: it confirms, tells those events, and stays."""

    async def script(tell: Any) -> None:
        await tell(ACTIVE, cursor="c0", truncated=False)
        for number in numbers:
            await tell(EVENT, **mail(number))
        if stays:
            await anyio.sleep_forever()

    return script


async def some(subscription: Any, count: int) -> list[Any]:
    return [(await anext(subscription)).data["value"] for _ in range(count)]


WAYS = [
    ("memory://event-stream", "auto"),
    ("tcp://127.0.0.1:0", "auto"),
    ("ws://127.0.0.1:0/mcp", "auto"),
    ("http://127.0.0.1:0/mcp", "auto"),
    ("http://127.0.0.1:0/mcp", "legacy"),
    ("sse+http://127.0.0.1:0/sse", "legacy"),
]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("uri", "mode"), WAYS)
async def test_events_of_ours_are_streamed_over_every_transport_and_a_later_stream_goes_on_after_the_cursor(
    uri: str, mode: Any
) -> None:
    server = MCPServer[Any]("bench", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)
    serve_events(server, {"file_arrived": "A file has arrived"})
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server, uri) as listener, mcpc.Client(listener.uri, mode=mode) as client:
            async with (
                await subscribe(client, "file_arrived", delivery="push") as events,
                await subscribe(client, "file_arrived", delivery="push") as others,
            ):
                for value in range(120):
                    await callbacks.emit("file_arrived", value)
                assert await some(events, 120) == list(range(120))
                assert await some(others, 120) == list(range(120))
            rest = await subscribe(client, "file_arrived", cursor=others.cursor, delivery="push")
            await callbacks.emit("file_arrived", "rest")
            assert await some(rest, 1) == ["rest"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_http_a_stream_goes_on_after_its_server_was_away() -> None:
    server = MCPServer[Any]("bench", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)
    serve_events(server, {"file_arrived": "A file has arrived"})
    with anyio.fail_after(DEADLINE):
        async with AsyncExitStack() as first:
            listener = await first.enter_async_context(mcpc.listen(server, "http://127.0.0.1:0/mcp"))
            async with mcpc.Client(listener.uri, reconnect=mcpc.Backoff(first=0.01)) as client:
                events = await subscribe(client, "file_arrived", delivery="push")
                await callbacks.emit("file_arrived", 1)
                assert await some(events, 1) == [1]
                await first.aclose()
                await callbacks.emit("file_arrived", 2)
                async with mcpc.listen(server, listener.uri):
                    await callbacks.emit("file_arrived", 3)
                    assert await some(events, 2) == [2, 3]


async def test_where_both_ways_are_offered_nothing_is_polled_and_the_cursor_follows_what_was_taken() -> None:
    async def script(tell: Any) -> None:
        await tell(ACTIVE, cursor="c0", truncated=False)
        await tell(EVENT, **mail(1))
        await tell("notifications/events/error", error={"code": -32603, "message": "upstream is away"})
        await tell(EVENT, **mail(2))
        await tell(EVENT, **mail(2))
        await tell("notifications/events/heartbeat", cursor="c9")
        await tell(ACTIVE, cursor="c20", truncated=True)
        await tell(EVENT, **mail(21))
        await anyio.sleep_forever()

    stranger = Stranger(script, delivery=("poll", "push"))
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail", {"from": "*"}, max_age=60)
            found = [await anext(events), await anext(events), await anext(events)]
            assert [(event.id, event.missed) for event in found] == [("m1", False), ("m2", False), ("m21", True)]
            assert events.cursor == "c21"
    assert stranger.polls == 0
    wanted = {"name": "mail", "arguments": {"from": "*"}, "maxAgeMs": 60_000}
    assert wanted.items() <= stranger.asked[0].items()


async def test_a_stream_that_its_server_ends_is_opened_again_after_the_last_event() -> None:
    stranger = Stranger(telling(1, stays=False), telling(1, 2))
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail")
            assert await some(events, 2) == [1, 2]
    assert [asked.get("cursor") for asked in stranger.asked] == [None, "c1"]


async def test_where_the_server_cannot_go_back_the_event_after_an_interruption_says_so() -> None:
    async def first(tell: Any) -> None:
        await tell(ACTIVE, cursor=None, truncated=False)
        await tell(EVENT, **mail(1, cursor=None))

    async def then(tell: Any) -> None:
        await tell(ACTIVE, cursor=None, truncated=False)
        await tell(EVENT, **mail(3, cursor=None))
        await anyio.sleep_forever()

    stranger = Stranger(first, then)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail")
            found = [await anext(events), await anext(events)]
    assert [(event.id, event.missed) for event in found] == [("m1", False), ("m3", True)]


async def test_a_subscription_that_its_server_terminates_raises_what_it_says() -> None:
    async def script(tell: Any) -> None:
        await tell(ACTIVE, cursor="c0", truncated=False)
        await tell(EVENT, **mail(1))
        await tell("notifications/events/terminated", error={"code": -32012, "message": "Access revoked"})
        await anyio.sleep_forever()

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(Stranger(script).server) as client:
            events = await subscribe(client, "mail")
            assert await some(events, 1) == [1]
            with pytest.raises(mcp.MCPError, match="Access revoked"):
                await anext(events)


@pytest.mark.parametrize("bad", [{"cursor": 5}, {"eventId": "x"}])
async def test_what_is_no_event_is_told_as_such_and_the_next_iteration_goes_on(bad: dict[str, Any]) -> None:
    async def script(tell: Any) -> None:
        await tell(ACTIVE, cursor="c0", truncated=False)
        await tell(EVENT, **bad)
        await anyio.sleep_forever()

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(Stranger(script, telling(1)).server) as client:
            events = await subscribe(client, "mail")
            with pytest.raises(mcpc.MessageError):
                await anext(events)
            assert await some(events, 1) == [1]


async def test_a_stream_that_is_never_opened_is_given_up_and_polled_where_that_is_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "CONFIRMATION", 0.01)

    async def silent(tell: Any) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(DEADLINE):
        both = Stranger(silent, delivery=("push", "poll"))
        async with mcpc.Client(both.server) as client:
            assert (await subscribe(client, "mail")).cursor == "polled"
        async with mcpc.Client(Stranger(silent).server) as client:
            with pytest.raises(mcpc.TimedOut, match="did not open the stream"):
                await subscribe(client, "mail")


async def test_a_stream_that_fell_silent_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "QUIET", 0.01)
    stranger = Stranger(telling(), telling(), telling(1))
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail")
            assert await some(events, 1) == [1]
    assert [asked.get("cursor") for asked in stranger.asked[:3]] == [None, "c0", "c0"]


async def test_what_a_slow_reader_has_no_room_for_stays_at_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_events, "DEFAULT_CAPACITY", 3)
    stranger = Stranger(telling(1, 2, 3, 4, 5), telling(4, 5, 6), telling())
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail")
            await stranger.left.wait()
            assert await some(events, 6) == [1, 2, 3, 4, 5, 6]
    assert [asked.get("cursor") for asked in stranger.asked[:2]] == [None, "c3"]


@pytest.mark.parametrize("how", ["closed", "left", "forgotten"])
async def test_who_lets_go_of_a_subscription_ends_it_at_the_server(how: str) -> None:
    stranger = Stranger(telling(1))
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            events = await subscribe(client, "mail")
            assert await some(events, 1) == [1]
            if how == "closed":
                events.close()
                events.close()
                assert [event async for event in events] == []
            elif how == "left":
                async with events:
                    pass
            del events
            gc.collect()
            await stranger.left.wait()


async def test_who_is_cancelled_before_a_subscription_is_confirmed_leaves_none_open() -> None:
    asked = anyio.Event()

    async def silent(tell: Any) -> None:
        asked.set()
        await anyio.sleep_forever()

    stranger = Stranger(silent)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(stranger.server) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(subscribe, client, "mail")
                await asked.wait()
                tasks.cancel_scope.cancel()
            await stranger.left.wait()

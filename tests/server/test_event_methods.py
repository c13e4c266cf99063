"""MCP Events (experimental), asked as a stranger would: requests written by hand, over several transports."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import mcp
import pytest
from mcp.server import MCPServer
from mcp_types import INVALID_PARAMS
from pydantic import ConfigDict

import mcpc
from mcpc.experimental import OfferedEvent, serve_events
from mcpc.server import event_methods
from mcpc.transport import FrameChannel
from mcpc.uri import dial

pytestmark = pytest.mark.anyio

DEADLINE = 60

NOT_FOUND = -32011

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Peer:
    """A client of 2025-11-25 that is not ours, on frames."""

    def __init__(self, channel: FrameChannel) -> None:
        self._channel = channel
        self._next = 0

    async def send(self, method: str, params: Any = None, *, wants_answer: bool = True) -> int:
        self._next += 1
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": {} if params is None else params}
        if wants_answer:
            message["id"] = self._next
        await self._channel.send(json.dumps(message).encode())
        return self._next

    async def next(self) -> dict[str, Any]:
        return json.loads(await self._channel.receive())

    async def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """The answer, whatever else comes before it."""
        number = await self.send(method, params)
        while (message := await self.next()).get("id") != number:
            pass
        return message

    async def greet(self) -> dict[str, Any]:
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "peer", "version": "1"}}
        greeting = await self.ask("initialize", about)
        await self.send("notifications/initialized", wants_answer=False)
        return greeting["result"]


class Bench:
    """A server with an event and a task that ends when it is told to."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("bench", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        self.callbacks.tool()(self.wait)
        self.go = anyio.Event()
        serve_events(self.server, {"file_arrived": "A file has arrived"})

    async def wait(self, task: mcpc.Task) -> str:
        await self.go.wait()
        return "done"

    async def emit(self, value: Any, **options: Any) -> None:
        await self.callbacks.emit("file_arrived", value, **options)


@asynccontextmanager
async def peer_of(bench: Bench, name: str = "events") -> AsyncGenerator[Peer]:
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(bench.server, f"memory://{name}") as listener, dial(listener.uri) as channel:
            assert not isinstance(channel, tuple)
            peer = Peer(channel)
            await peer.greet()
            yield peer


def about(cursor: str | None, **more: Any) -> dict[str, Any]:
    return {"name": "file_arrived", "arguments": {}, "cursor": cursor, **more}


def told(result: dict[str, Any]) -> list[Any]:
    return [event["data"]["value"] for event in result["events"]]


async def test_the_greeting_of_either_era_says_that_there_are_events_and_no_other_servers_does() -> None:
    bench = Bench()
    plain = MCPServer[Any]("plain", log_level="WARNING")
    mcpc.MCPCHelper(plain)
    with anyio.fail_after(DEADLINE):
        for server, says in ((bench.server, True), (plain, False)):
            async with mcpc.listen(server, "memory://greeting") as listener, dial(listener.uri) as channel:
                assert not isinstance(channel, tuple)
                peer = Peer(channel)
                assert ("events" in (await peer.greet())["capabilities"]) is says
            meta = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "peer", "version": "1"},
            }
            async with mcpc.listen(server, "memory://greeting") as listener, dial(listener.uri) as channel:
                assert not isinstance(channel, tuple)
                answer = await Peer(channel).ask("server/discover", {"_meta": meta})
                assert ("events" in answer["result"]["capabilities"]) is says


async def test_a_server_that_does_not_serve_events_knows_none_of_the_methods() -> None:
    plain = MCPServer[Any]("plain", log_level="WARNING")
    mcpc.MCPCHelper(plain)
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(plain, "memory://plain") as listener, dial(listener.uri) as channel:
            assert not isinstance(channel, tuple)
            peer = Peer(channel)
            await peer.greet()
            for method in ("events/list", "events/poll", "events/stream"):
                assert (await peer.ask(method, about(None)))["error"]["code"] == -32601


async def test_what_can_be_asked_for_is_listed() -> None:
    bench = Bench()
    schema = {"type": "object", "properties": {"level": {"type": "integer"}}}
    serve_events(bench.server, {"alarm": OfferedEvent("Something is wrong", schema)})
    async with peer_of(bench) as peer:
        types = {each["name"]: each for each in (await peer.ask("events/list"))["result"]["events"]}
        assert list(types) == ["file_arrived", "alarm", "task.ended"]
        assert types["alarm"]["payloadSchema"] == schema
        assert types["file_arrived"]["delivery"] == ["poll", "push"]
        assert types["task.ended"]["inputSchema"]["required"] == ["taskId"]


async def test_polls_give_what_came_after_the_cursor_page_by_page() -> None:
    bench = Bench()
    async with peer_of(bench) as peer:
        await bench.emit("before")
        first = (await peer.ask("events/poll", about(None)))["result"]
        assert (first["events"], first["truncated"], first["hasMore"]) == ([], False, False)
        for value in range(5):
            await bench.emit(value)
        await bench.emit("for one session", session_id="chat-1")
        page = (await peer.ask("events/poll", about(first["cursor"], maxEvents=3)))["result"]
        assert (told(page), page["hasMore"]) == ([0, 1, 2], True)
        rest = (await peer.ask("events/poll", about(page["cursor"], maxEvents=10**30)))["result"]
        assert (told(rest), rest["hasMore"]) == ([3, 4], False)
        assert len({event["eventId"] for event in page["events"] + rest["events"]}) == 5
        again = (await peer.ask("events/poll", about(page["cursor"])))["result"]
        assert again["events"] == rest["events"]


async def test_one_answer_has_a_hundred_events_at_the_most() -> None:
    bench = Bench()
    async with peer_of(bench) as peer:
        cursor = (await peer.ask("events/poll", about(None)))["result"]["cursor"]
        for value in range(101):
            await bench.emit(value)
        page = (await peer.ask("events/poll", about(cursor, maxEvents=101)))["result"]
        assert (len(page["events"]), page["hasMore"]) == (100, True)


BAD: list[tuple[str, dict[str, Any], int]] = [
    ("events/poll", {}, INVALID_PARAMS),
    ("events/poll", about(None, maxEvents=0), INVALID_PARAMS),
    ("events/poll", about(None, maxEvents=-1), INVALID_PARAMS),
    ("events/poll", about(None, maxEvents=1.5), INVALID_PARAMS),
    ("events/poll", about(None, maxEvents=True), INVALID_PARAMS),
    ("events/poll", about(None, maxAgeMs=-1), INVALID_PARAMS),
    ("events/poll", about("rubbish"), INVALID_PARAMS),
    ("events/poll", about("x" * 257), INVALID_PARAMS),
    ("events/poll", {**about(None), "cursor": 5}, INVALID_PARAMS),
    ("events/poll", {**about(None), "arguments": {"path": "x"}}, INVALID_PARAMS),
    ("events/poll", {**about(None), "arguments": [1]}, INVALID_PARAMS),
    ("events/poll", {**about(None), "name": "nosuch"}, NOT_FOUND),
    ("events/poll", {**about(None), "name": "task.ended"}, INVALID_PARAMS),
    ("events/poll", {"name": "task.ended", "arguments": {"taskId": 5}}, INVALID_PARAMS),
    ("events/poll", {"name": "task.ended", "arguments": {"taskId": "nosuch"}}, NOT_FOUND),
    ("events/stream", about("rubbish"), INVALID_PARAMS),
    ("events/stream", {**about(None), "name": "nosuch"}, NOT_FOUND),
    ("events/list", {"cursor": "x"}, INVALID_PARAMS),
]


async def test_what_cannot_be_is_refused_with_its_id_and_the_next_request_works() -> None:
    async with peer_of(Bench()) as peer:
        for method, params, code in BAD:
            answer = await peer.ask(method, params)
            assert answer["error"]["code"] == code, (method, params, answer)
        assert (await peer.ask("events/poll", about(None)))["result"]["events"] == []


async def test_a_log_that_was_full_and_a_server_that_was_restarted_are_told_as_truncated() -> None:
    bench = Bench(max_messages=3)
    async with peer_of(bench) as peer:
        cursor = (await peer.ask("events/poll", about(None)))["result"]["cursor"]
        for value in range(4):
            await bench.emit(value)
        page = (await peer.ask("events/poll", about(cursor)))["result"]
        assert (told(page), page["truncated"]) == ([1, 2, 3], True)
    other = Bench()
    async with peer_of(other) as peer:
        await other.emit("new")
        page = (await peer.ask("events/poll", about(page["cursor"])))["result"]
        assert (told(page), page["truncated"]) == (["new"], True)
        page = (await peer.ask("events/poll", about(page["cursor"])))["result"]
        assert (told(page), page["truncated"]) == ([], False)


async def test_a_stream_confirms_tells_each_event_with_its_cursor_and_ends_when_it_is_cancelled() -> None:
    bench = Bench()
    async with peer_of(bench) as peer:
        number = await peer.send("events/stream", about(None))
        active = await peer.next()
        assert active["method"] == "notifications/events/active"
        assert active["params"]["truncated"] is False
        for value in range(3):
            await bench.emit(value)
        events = [await peer.next() for _ in range(3)]
        assert [each["method"] for each in events] == ["notifications/events/event"] * 3
        assert [each["params"]["data"]["value"] for each in events] == [0, 1, 2]
        assert {each["params"]["_meta"][SUBSCRIPTION] for each in [active, *events]} == {number}
        await peer.send("notifications/cancelled", {"requestId": number}, wants_answer=False)
        await peer.ask("ping")
        await bench.emit("unheard")
        page = (await peer.ask("events/poll", about(events[1]["params"]["cursor"])))["result"]
        assert told(page) == [2, "unheard"]


async def test_a_stream_that_is_taken_up_again_goes_on_after_its_cursor() -> None:
    bench = Bench(max_messages=2)
    async with peer_of(bench) as peer:
        cursor = (await peer.ask("events/poll", about(None)))["result"]["cursor"]
        for value in range(3):
            await bench.emit(value)
        await peer.send("events/stream", about(cursor))
        assert (await peer.next())["params"]["truncated"] is True
        assert [(await peer.next())["params"]["data"]["value"] for _ in range(2)] == [1, 2]


async def test_a_quiet_stream_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_methods, "HEARTBEAT", 0.01)
    async with peer_of(Bench()) as peer:
        await peer.send("events/stream", about(None))
        active, beat = await peer.next(), await peer.next()
        assert beat["method"] == "notifications/events/heartbeat"
        assert beat["params"]["cursor"] == active["params"]["cursor"]


async def test_the_end_of_a_task_is_told_and_ends_its_stream() -> None:
    bench = Bench()
    async with peer_of(bench) as peer:
        async with mcpc.Client("memory://events") as client:
            task = await client.start_task("wait")
            subject = {"name": "task.ended", "arguments": {"taskId": task.task_id}}
            number = await peer.send("events/stream", subject)
            assert (await peer.next())["method"] == "notifications/events/active"
            bench.go.set()
            event = (await peer.next())["params"]
            assert event["data"] == {
                "taskId": task.task_id,
                "toolName": "wait",
                "sessionId": "default",
                "event": "complete",
                "result": "done",
            }
            ended = await peer.next()
            assert (ended["id"], "result" in ended) == (number, True)
            first = (await peer.ask("events/poll", subject))["result"]
            assert (first["events"], first["hasMore"]) == ([], True)
            page = (await peer.ask("events/poll", {**subject, "cursor": first["cursor"]}))["result"]
            assert [each["eventId"] for each in page["events"]] == [event["eventId"]]
            over = (await peer.ask("events/poll", {**subject, "cursor": page["cursor"]}))["result"]
            assert (over["events"], over["hasMore"], over["truncated"]) == ([], False, False)


async def test_a_guessable_id_of_anothers_task_looks_like_an_unknown_one() -> None:
    bench = Bench()
    async with peer_of(bench) as peer:
        async with mcpc.Client("memory://events") as client:
            await client.session.call_tool(
                "wait", {}, meta={"mcpc/channel": "k" * 32, "mcpc/taskId": "task-1", "mcpc/sessionId": "s"}
            )
            subject = {"name": "task.ended", "arguments": {"taskId": "task-1"}}
            foreign = await peer.ask("events/poll", subject)
            unknown = await peer.ask("events/poll", {**subject, "arguments": {"taskId": "task-2"}})
            assert foreign["error"] == unknown["error"]


async def test_as_many_streams_are_open_on_a_connection_as_requests_may_be_and_one_more_is_refused() -> None:
    async with peer_of(Bench(max_requests=2), "crowd") as peer:
        first = await peer.send("events/stream", about(None))
        assert (await peer.next())["method"] == "notifications/events/active"
        await peer.send("events/stream", about(None))
        assert (await peer.next())["method"] == "notifications/events/active"
        refused = await peer.ask("events/stream", about(None))
        assert refused["error"]["data"] == {"reason": "limit", "limit": "max_requests", "value": 2}
        await peer.send("notifications/cancelled", {"requestId": first}, wants_answer=False)
        await peer.send("events/stream", about(None))
        while (told_next := await peer.next()).get("method") != "notifications/events/active":
            assert "error" not in told_next or told_next["id"] == first  # the answer to what was cancelled


async def test_streams_end_in_order_when_the_server_does() -> None:
    bench = Bench()
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(bench.server, "memory://ending") as listener, dial(listener.uri) as channel:
            assert not isinstance(channel, tuple)
            peer = Peer(channel)
            await peer.greet()
            number = await peer.send("events/stream", about(None))
            await peer.next()
            async with anyio.create_task_group() as group:
                await bench.emit("last")
                group.start_soon(listener.wind_down)
                assert (await peer.next())["params"]["data"] == {"value": "last"}
                assert (await peer.next())["id"] == number


@pytest.mark.parametrize("uri", ["ws://127.0.0.1:0/mcp", "http://127.0.0.1:0/mcp"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_polls_work_over_the_network_in_both_eras(uri: str, mode: Any) -> None:
    bench = Bench()
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(bench.server, uri) as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode) as client:
                request: Any = mcp.types.Request[dict[str, Any], str](method="events/poll", params=about(None))
                first: Any = await client.session.send_request(request, Anything)
                await bench.emit(1)
                params = about(first.model_extra["cursor"])
                request = mcp.types.Request[dict[str, Any], str](method="events/poll", params=params)
                page: Any = await client.session.send_request(request, Anything)
                assert told(page.model_extra) == [1]


class Anything(mcp.types.Result):
    """An answer with whatever members."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")


@pytest.mark.parametrize(("events", "why"), [({"": "x"}, "cannot be named"), ({"task.ended": "x"}, "cannot be named")])
def test_a_name_that_cannot_be_is_refused(events: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        serve_events(MCPServer[Any]("x"), events)

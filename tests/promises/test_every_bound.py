"""Bounds of the tables in docs/delivery.md and docs/security.md, each met exactly and passed by one.

Those that have a test beside what they bound are not repeated here.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.pending import weight
from mcpc.wire.callbacks import encode_message
from mcpc.wire.jsontext import MAX_CONTAINERS
from replicas_kit import until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

DEADLINE = 60
CHANNEL = "a-channel-that-is-taken-up-again"


class Server:
    """A server whose tasks do what they are told."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("bounds", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        self.go = anyio.Event()
        self.refused: list[mcpc.MCPCError] = []

        @self.callbacks.tool()
        async def say(task: mcpc.Task, count: int = 0, size: int = 1) -> str:  # pyright: ignore[reportUnusedFunction]
            for _ in range(count):
                await task.update("u" * size)
            return "r" * size

        @self.callbacks.tool()
        async def grow(task: mcpc.Task, size: int) -> None:  # pyright: ignore[reportUnusedFunction]
            while not self.refused:
                try:
                    await task.update("u" * size)
                except mcpc.MessageError as exc:
                    self.refused.append(exc)
                size += 1

        @self.callbacks.tool()
        async def ask(task: mcpc.Task, questions: int) -> int:  # pyright: ignore[reportUnusedFunction]
            async def put() -> None:
                try:
                    await task.ask("which?")
                except mcpc.PromptError as exc:
                    self.refused.append(exc)
                    self.go.set()

            async with anyio.create_task_group() as group:
                for _ in range(questions):
                    group.start_soon(put)
            return questions

        @self.callbacks.tool()
        async def wait(task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
            await self.go.wait()
            count = 0
            async for value in task.inputs():
                if value == "done":
                    break
                count += 1
            return count


async def say(client: mcpc.Client, **arguments: int) -> mcpc.TaskHandle:
    """A task that has ended."""
    task = await client.start_task("say", arguments)
    await task.result()
    return task


@pytest.mark.parametrize("over", [0, 1])
async def test_as_many_ended_tasks_are_remembered_as_may_be(over: int) -> None:
    server = Server(max_ended_tasks=3)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server.server) as client:
            first = await say(client)
            for _ in range(2 + over):
                await say(client)
            stats = server.callbacks.stats
            assert (stats.ended_tasks, stats.ended_forgotten) == (3, over)
            if over:
                with pytest.raises(mcpc.UnknownTask):
                    await first.state()


@pytest.mark.parametrize("over", [0, 1])
async def test_as_many_bytes_of_ended_tasks_are_remembered_as_may_be(over: int) -> None:
    with anyio.fail_after(DEADLINE):
        measured = Server()
        async with mcpc.Client(measured.server) as client:
            for _ in range(2):
                await say(client, size=1000)
        server = Server(max_ended_bytes=measured.callbacks.stats.ended_bytes - over)
        async with mcpc.Client(server.server) as client:
            for _ in range(2):
                await say(client, size=1000)
        assert (server.callbacks.stats.ended_tasks, server.callbacks.stats.ended_forgotten) == (2 - over, over)


async def read_late(**limits: int) -> list[mcpc.MCPCMessage]:
    """What a client gets to see of a task when it listens only after its end."""
    server, seen, done = Server(**limits), list[mcpc.MCPCMessage](), anyio.Event()

    def listen(message: mcpc.MCPCMessage) -> None:
        seen.append(message)
        if message.event == "complete":
            done.set()

    async with mcpc.listen(server.server, "memory://late") as listener:
        async with mcpc.Client(listener.uri) as caller:
            await caller.call_tool("say", {"count": 8, "size": 100}, meta={"mcpc/channel": CHANNEL})
            await until(lambda: server.callbacks.stats.tasks == 0)
        client = mcpc.Client(listener.uri, channel=CHANNEL)
        client.add_event_listener(listen)
        async with client:
            await done.wait()
    return seen


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("by", ["max_messages", "max_bytes"])
async def test_a_log_holds_what_it_may_and_lets_go_of_the_oldest_message_for_one_past_it(by: str, over: int) -> None:
    with anyio.fail_after(DEADLINE):
        whole = await read_late()
        held = {"max_messages": len(whole), "max_bytes": sum(len(encode_message(message)) for message in whole)}
        seen = await read_late(**{by: held[by] - over})
    gaps = [message.result for message in seen if message.event == "gap"]
    assert [(gap["first"], gap["last"]) for gap in gaps] == [(1, 1)] * over
    assert len(seen) == len(whole) == 9, "the gap stands where the first message would"


async def test_a_message_of_the_largest_size_is_sent_and_one_byte_more_is_refused_to_its_worker() -> None:
    server = Server(max_message_size=1000)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server.server) as client:
            task = await client.start_task("grow", {"size": 700})
            updates = [message async for message in task if message.event == "update"]
            assert len(encode_message(updates[-1])) == 1000
            assert [len(message.result) for message in updates] == list(range(700, 700 + len(updates)))
            (refused,) = server.refused
            assert "1001 bytes is over the limit of 1000" in str(refused)


async def test_inputs_of_all_tasks_share_their_bytes_to_the_last() -> None:
    server = Server(max_total_input_bytes=1000, client_share=1.0)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server.server) as one, mcpc.Client(server.server) as other:
            first, second = await one.start_task("wait"), await other.start_task("wait")
            await first.send("x" * 498)  # and two quotes
            await second.send("x" * 497)
            with pytest.raises(mcpc.InputRefused, match="max_total_input_bytes") as refused:
                await second.send(10)
            assert (refused.value.limit, refused.value.value) == ("max_total_input_bytes", 1000)
            await second.send(1)
            assert server.callbacks.stats.input_bytes == 1000
            server.go.set()
            for task, count in ((first, 1), (second, 2)):
                await task.send("done")
                assert await task.result() == count


@pytest.mark.parametrize("over", [0, 1])
async def test_as_many_questions_of_a_task_are_open_as_may_be(over: int) -> None:
    server = Server(max_prompts=3)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server.server) as client:
            task = await client.start_task("ask", {"questions": 3 + over})
            if over:
                await server.go.wait()
            asked = 0
            async for message in task:
                if message.event == "update":
                    asked += 1
                    await task.answer(message.result["prompt"]["id"], "this one")
            assert (asked, len(server.refused), await task.result()) == (3, over, 3 + over)


async def test_one_channel_more_than_may_be_is_refused_and_the_others_go_on() -> None:
    server = Server(max_channels=2, client_share=1.0)
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server.server, "memory://channels") as listener:
            async with mcpc.Client(listener.uri) as one, mcpc.Client(listener.uri) as other:
                tasks = [await client.start_task("wait") for client in (one, other)]
                with pytest.raises(mcpc.ConnectFailed, match=r"2 channels are open, .* \(max_channels\)"):
                    async with mcpc.Client(listener.uri):
                        pass
                assert server.callbacks.stats.channels == 2
                assert server.callbacks.stats.channels_refused >= 1
                server.go.set()
                for task in tasks:
                    await task.send("done")
                    assert await task.result() == 0


@asynccontextmanager
async def frames(uri: str) -> AsyncGenerator[Any]:
    """A connection over tcp whose bytes are a test's; sends a request, or gives what has come."""
    host, port = uri.removeprefix("tcp://").rsplit(":", 1)
    async with await anyio.connect_tcp(host, int(port)) as stream:
        received = bytearray()

        async def send(frame: bytes) -> None:
            await stream.send(frame + b"\n")

        async def answer() -> Any:
            while b"\n" not in received:
                received.extend(await stream.receive())
            line, _, rest = bytes(received).partition(b"\n")
            received[:] = rest
            return json.loads(line)

        yield send, answer


def call(request_id: int, tool: str, arguments: str = "{}") -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bytes", "version": "1"},
    }
    params = json.dumps({"name": tool, "_meta": meta})[:-1] + f', "arguments": {arguments}}}'
    return f'{{"jsonrpc": "2.0", "id": {request_id}, "method": "tools/call", "params": {params}}}'.encode()


@pytest.mark.parametrize("over", [0, 1])
async def test_requests_that_are_open_on_a_connection_share_their_bytes_to_the_last(over: int) -> None:
    first, second = call(1, "hold"), call(2, "hold", '{"rows": [[], {"a": 1}]}')
    limit_of_both = weight(first) + weight(second) - over
    server = Server(max_request_bytes=limit_of_both)
    go, came = anyio.Event(), [anyio.Event(), anyio.Event()]

    @server.server.tool()
    async def hold(rows: list[Any] | None = None) -> str:  # pyright: ignore[reportUnusedFunction]
        next(each for each in came if not each.is_set()).set()
        await go.wait()
        return "held"

    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server.server, "tcp://127.0.0.1:0") as listener, frames(listener.uri) as (send, answer):
            await send(first)
            await came[0].wait()
            await send(second)
            if over:
                refused = await answer()
                limit = {"reason": "limit", "limit": "max_request_bytes", "value": limit_of_both}
                assert (refused["id"], refused["error"]["data"]) == (2, limit)
            else:
                await came[1].wait()
            go.set()
            answered = {(await answer())["id"] for _ in range(2 - over)}
            assert answered == {1, 2} if not over else {1}


@pytest.mark.parametrize("scheme", ["tcp", "http"])
async def test_a_request_of_too_many_lists_is_refused_with_its_id_and_the_next_is_answered(scheme: str) -> None:
    server = Server()

    @server.server.tool()
    async def count(rows: list[Any]) -> int:  # pyright: ignore[reportUnusedFunction]
        return len(rows)

    def rows(number: int) -> str:
        return '{"rows": [%s]}' % ", ".join(["[]"] * number)

    frames_sent = [call(1, "count", rows(MAX_CONTAINERS)), call(2, "count", rows(MAX_CONTAINERS // 2))]
    async with mcpc.listen(server.server, f"{scheme}://127.0.0.1:0") as listener:
        with anyio.fail_after(DEADLINE):
            if scheme == "tcp":
                async with frames(listener.uri) as (send, answer):
                    for frame in frames_sent:
                        await send(frame)
                    answers = [await answer() for _ in frames_sent]
            else:
                answers = [await posted(listener.uri, frame) for frame in frames_sent]
    refused, counted = sorted(answers, key=lambda each: each["id"])
    assert (refused["id"], refused["error"]["code"]) == (1, -32600)
    assert f"over {MAX_CONTAINERS} lists and objects" in refused["error"]["message"]
    assert counted["result"]["structuredContent"] == {"result": MAX_CONTAINERS // 2}


async def posted(uri: str, frame: bytes) -> Any:
    """What a request over HTTP is answered."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "count",
    }
    async with httpx2.AsyncClient() as http:
        answer = await http.post(uri, content=frame, headers=headers)
    events = [line.removeprefix("data:") for line in answer.text.splitlines() if line.startswith("data:")]
    return json.loads(events[-1] if events else answer.text)

"""For the tests of the tasks extension: a client made by hand, a server that a test plays, and one that is not ours."""

import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.lowlevel import checkpoint
from mcp.server import MCPServer, Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    ListToolsResult,
    Notification,
    RequestParams,
    Tool,
)
from pydantic import ConfigDict

import mcpc
from mcpc.framing import Connection
from mcpc.transport import FrameChannel, Listener, Peer
from mcpc.uri import listen_at
from support import TEMPLATES

TASKS = "io.modelcontextprotocol/tasks"
VERSION = "2026-07-28"
DECLARED: dict[str, Any] = {"extensions": {TASKS: {}}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
DEADLINE = 60
"""Seconds that no test should come near."""
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def next_millisecond() -> None:
    """Wait until the clock shows another millisecond, the finest that a task's dates tell."""
    now = int(time.time() * 1000)
    while int(time.time() * 1000) == now:
        await checkpoint()


class Changes:
    """Something to wait for, that happens again and again."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def happened(self) -> None:
        self._next.set()
        self._next = anyio.Event()

    async def again(self) -> None:
        await self._next.wait()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await self.again()


# --- a client made by hand --------------------------------------------------------------------------------------


class Stream:
    """A request in progress: what comes for it, in the order of arrival."""

    def __init__(self, by_hand: "ByHand", request_id: int | str) -> None:
        self.request_id = request_id
        self._by_hand = by_hand
        self._send, self._receive = anyio.create_memory_object_stream[dict[str, Any]](10_000)

    def put(self, message: dict[str, Any]) -> None:
        self._send.send_nowait(message)

    async def next(self) -> dict[str, Any]:
        """The next message: a notification (`method`, `params`), or the answer (`result` or `error`)."""
        return await self._receive.receive()

    async def state(self) -> dict[str, Any]:
        """The state in the next message, which is a `notifications/tasks` of this subscription."""
        message = await self.next()
        assert message["method"] == "notifications/tasks"
        params: dict[str, Any] = message["params"]
        assert params.pop("_meta")[SUBSCRIPTION] == self.request_id
        return params

    async def until(self, status: str) -> dict[str, Any]:
        """The first state with that status."""
        while (state := await self.state())["status"] != status:
            pass
        return state

    @property
    def is_empty(self) -> bool:
        return self._receive.statistics().current_buffer_used == 0

    def left(self) -> list[dict[str, Any]]:
        """What has come and was not taken."""
        found: list[dict[str, Any]] = []
        while not self.is_empty:
            found.append(self._receive.receive_nowait())
        return found

    async def cancel(self) -> None:
        """Give the request up."""
        await self._by_hand.notify("notifications/cancelled", {"requestId": self.request_id})

    def close(self) -> None:
        self._send.close()
        self._receive.close()


class ByHand:
    """A client that writes its own messages: what goes out is what a test says, what comes in is kept as it came."""

    def __init__(self, write: Any) -> None:
        self.streams: dict[int | str, Stream] = {}
        self.unaddressed: list[JSONRPCNotification] = []
        """Notifications that belong to no subscription."""
        self.reading: anyio.Event | None = None
        """Where it is given, nothing is read until it is set."""
        self._write = write
        self._next_id = 0

    async def open(
        self, method: str, params: dict[str, Any] | None = None, *, capabilities: dict[str, Any] = DECLARED
    ) -> Stream:
        """Send a request."""
        self._next_id += 1
        stream = self.streams[self._next_id] = Stream(self, self._next_id)
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            **(params or {}).get("_meta", {}),
        }
        body = {**(params or {}), "_meta": meta}
        headers = {"mcp-protocol-version": VERSION, "mcp-method": method}
        name = body.get("taskId", body.get("name"))
        if isinstance(name, str):
            headers["mcp-name"] = name
        request = JSONRPCRequest(jsonrpc="2.0", id=self._next_id, method=method, params=body)
        await self._write.send(SessionMessage(request, metadata=ClientMessageMetadata(headers=headers)))
        return stream

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        await self._write.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method=method, params=params)))

    async def ask(self, method: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The `result` of a request."""
        answer = await self.answer(method, params, **options)
        assert "result" in answer, answer
        return answer["result"]

    async def refusal(self, method: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The `error` of a request."""
        answer = await self.answer(method, params, **options)
        assert "error" in answer, answer
        return answer["error"]

    async def answer(self, method: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        stream = await self.open(method, params, **options)
        while "method" in (message := await stream.next()):
            pass
        return message

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The result of a tool call."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, **options)

    async def get(self, task_id: str, **options: Any) -> dict[str, Any]:
        """The result of `tasks/get`, checked for what every one of them has."""
        state = await self.ask("tasks/get", {"taskId": task_id}, **options)
        assert state.pop("resultType") == "complete"
        assert "io.modelcontextprotocol/serverInfo" in state.pop("_meta")
        return state

    async def until(self, task_id: str, status: str) -> dict[str, Any]:
        """The state of a task once it has that status."""
        while (state := await self.get(task_id))["status"] != status:
            pass
        return state

    async def listen(self, *task_ids: str, **filters: Any) -> Stream:
        """Subscribe to tasks; the acknowledgement is the first message."""
        return await self.open("subscriptions/listen", {"notifications": {"taskIds": list(task_ids), **filters}})

    async def read(self, read: Any) -> None:
        """Sort what comes."""
        async for item in read:
            if self.reading is not None:
                await self.reading.wait()
            if isinstance(item, Exception):
                raise item
            message = item.message
            if isinstance(message, JSONRPCNotification):
                meta: dict[str, Any] = (message.params or {}).get("_meta") or {}
                key = cast("int | str | None", meta.get(SUBSCRIPTION))
                if key is None:
                    self.unaddressed.append(message)
            else:
                assert isinstance(message, JSONRPCResponse | JSONRPCError)
                key = message.id
            if key in self.streams:
                self.streams[key].put(message.model_dump(by_alias=True, mode="json", exclude_unset=True))


@asynccontextmanager
async def by_hand(uri: str, **options: Any) -> AsyncGenerator[ByHand]:
    """A connection whose messages are written by hand."""
    async with mcpc.connect(uri, **options) as (read, write):
        client = ByHand(write)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.read, read)
            yield client
            tasks.cancel_scope.cancel()
        for stream in client.streams.values():  # nobody puts anything into them any more
            stream.close()


# --- a server of ours, whose tasks do what the test tells them ---------------------------------------------------


class Puppet:
    """A server of ours with one background tool, `work`, that a test leads step by step."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("puppet", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        self.workers: dict[str, mcpc.Task] = {}
        self.answers: list[Any] = []
        self._steps: dict[str, Any] = {}
        self._begun = Changes()
        self.callbacks.tool()(self.work)

    async def work(self, task: mcpc.Task) -> Any:
        """Do what the test says."""
        self.workers[task.task_id] = task
        send, receive = anyio.create_memory_object_stream[Callable[[mcpc.Task], Awaitable[Any]]](100)
        self._steps[task.task_id] = send
        self._begun.happened()
        with send, receive:
            async for step in receive:
                value = await step(task)
                if value is not None:
                    return value
        return None

    async def begun(self, number: int = 1) -> str:
        """The id of the newest task, once so many have begun."""
        await self._begun.until(lambda: len(self._steps) >= number)
        return list(self._steps)[-1]

    async def tell(self, task_id: str, step: Callable[[mcpc.Task], Awaitable[Any]]) -> None:
        """Let a task's worker do something; what is not None is its result."""
        await self._begun.until(lambda: task_id in self._steps)
        await self._steps[task_id].send(step)

    async def update(self, task_id: str, value: Any) -> None:
        await self.tell(task_id, lambda task: task.update(value))

    async def finish(self, task_id: str, value: Any = "done") -> None:
        async def finish(task: mcpc.Task) -> Any:
            return value

        await self.tell(task_id, finish)

    async def fail(self, task_id: str, error: Exception) -> None:
        async def fail(task: mcpc.Task) -> Any:
            raise error

        await self.tell(task_id, fail)

    async def ask(self, task_id: str, *questions: str, **options: Any) -> None:
        """Let it ask all the questions at once; the answers are kept, errors too."""

        async def ask(task: mcpc.Task) -> None:
            async def put(question: str) -> None:
                try:
                    self.answers.append(await task.ask(question, **options))
                except mcpc.PromptError as exc:
                    self.answers.append(exc)

            async with anyio.create_task_group() as group:
                for question in questions:
                    group.start_soon(put, question)

        await self.tell(task_id, ask)


# --- a SEP-2663 server that is not ours --------------------------------------------------------------------------


class _AnyParams(RequestParams):
    model_config = ConfigDict(extra="allow")


class PlainEndpoint:
    """The SDK's server behind one of our listeners, with no MCPC in play."""

    def __init__(self, server: Server[Any]) -> None:
        self.server: Server[Any] = server

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        async with Connection(channel, side="server").open() as connection:
            await self.serve_streams(*connection.streams, peer)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        await self.server.run(read, write, self.server.create_initialization_options())


class OtherServer:
    """A SEP-2663 server on the SDK's lowlevel one, sharing no code with ours: the test sets its tasks' states.

    Args:
        push: Serve `subscriptions/listen` with `taskIds`; otherwise tasks can only be polled.
        interval_ms: The `pollIntervalMs` it suggests.
    """

    def __init__(self, *, push: bool, interval_ms: int = 20) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.seen: list[tuple[str, dict[str, Any], str | None]] = []
        """Requests for tasks: method, params, and the `Mcp-Name` header where there was one."""
        self.changed = Changes()
        self.subscriptions = 0
        self.cut = anyio.Event()
        """Set to end the subscriptions."""
        self.server = Server[Any]("other", on_list_tools=self._list, on_call_tool=self._call)
        self.server.extensions[TASKS] = {}
        for method in ("get", "update", "cancel"):
            self.server.add_request_handler(f"tasks/{method}", _AnyParams, getattr(self, f"_{method}"))
        if push:
            self.server.add_request_handler("subscriptions/listen", _AnyParams, self._listen)
        self._interval = interval_ms

    @asynccontextmanager
    async def served(self, scheme: str, tmp_path: Path) -> AsyncGenerator[Listener]:
        uri = TEMPLATES[scheme].format(name="other", tmp=tmp_path)
        async with listen_at(uri, PlainEndpoint(self.server)) as listener:
            yield listener

    def set(self, task_id: str, status: str, **members: Any) -> None:
        """Change a task's state."""
        kept = {name: self.tasks[task_id][name] for name in ("taskId", "createdAt", "ttlMs", "pollIntervalMs")}
        self.tasks[task_id] = {**kept, "status": status, "lastUpdatedAt": "2026-01-01T00:00:01Z", **members}
        self.changed.happened()

    async def only_task(self) -> str:
        """The id of the first task, once there is one."""
        await self.changed.until(lambda: self.tasks)
        return next(iter(self.tasks))

    def count(self, method: str) -> int:
        """How many requests of a method came."""
        return sum(1 for seen, _, _ in self.seen if seen == method)

    async def subscribed(self, number: int) -> None:
        """Wait until there were so many subscriptions."""
        await self.changed.until(lambda: self.subscriptions >= number)

    async def waited_for(self, method: str, number: int = 1) -> dict[str, Any]:
        """The params of the last request of a method, once there were so many."""
        await self.changed.until(lambda: self.count(method) >= number)
        return [params for seen, params, _ in self.seen if seen == method][-1]

    async def _list(self, ctx: ServerRequestContext[Any, Any], params: Any) -> ListToolsResult:
        names = ("long", "short")
        return ListToolsResult(tools=[Tool(name=name, input_schema={"type": "object"}) for name in names])

    async def _call(self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> Any:
        capabilities = ctx.session.client_capabilities
        if params.name == "short" or capabilities is None or TASKS not in (capabilities.extensions or {}):
            return {"content": [{"type": "text", "text": "at once"}], "resultType": "complete"}
        task_id = str(uuid.uuid4())
        self.tasks[task_id] = {
            "taskId": task_id,
            "status": "working",
            "statusMessage": "begun",
            "createdAt": "2026-01-01T00:00:00Z",
            "lastUpdatedAt": "2026-01-01T00:00:00Z",
            "ttlMs": None,
            "pollIntervalMs": self._interval,
        }
        self.changed.happened()
        return {"resultType": "task", **self.tasks[task_id]}

    def _task(self, ctx: ServerRequestContext[Any, Any], params: _AnyParams) -> str:
        members = dict(params.__pydantic_extra__ or {})
        headers = getattr(ctx.request, "headers", {})
        self.seen.append((ctx.method, members, headers.get("mcp-name")))
        self.changed.happened()
        task_id = cast("str", members.get("taskId"))
        if task_id not in self.tasks:
            raise MCPError(INVALID_PARAMS, "Failed to retrieve task: Task not found")
        return task_id

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: _AnyParams) -> dict[str, Any]:
        return {"resultType": "complete", **self.tasks[self._task(ctx, params)]}

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: _AnyParams) -> dict[str, Any]:
        self._task(ctx, params)
        return {}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: _AnyParams) -> dict[str, Any]:
        self.set(self._task(ctx, params), "cancelled")
        return {}

    async def _listen(self, ctx: ServerRequestContext[Any, Any], params: _AnyParams) -> dict[str, Any]:
        self.subscriptions += 1
        self.changed.happened()
        wanted: list[str] = (params.__pydantic_extra__ or {})["notifications"]["taskIds"]
        known = [task_id for task_id in wanted if task_id in self.tasks]
        meta = {SUBSCRIPTION: ctx.request_id}

        async def send(method: str, body: dict[str, Any]) -> None:
            message: Any = Notification[dict[str, Any], str](method=method, params={**body, "_meta": meta})
            await ctx.session.send_notification(message, related_request_id=ctx.request_id)

        cut = self.cut
        told = {task_id: self.tasks[task_id] for task_id in known}  # what changes from now on is pushed
        await send(ACKNOWLEDGED, {"notifications": {"taskIds": known}})
        async with anyio.create_task_group() as group:

            async def until_cut() -> None:
                await cut.wait()
                group.cancel_scope.cancel()

            group.start_soon(until_cut)
            while True:
                await self.changed.until(lambda: any(told[task_id] != self.tasks[task_id] for task_id in known))
                for task_id in known:
                    if told[task_id] != self.tasks[task_id]:
                        told[task_id] = self.tasks[task_id]
                        await send("notifications/tasks", self.tasks[task_id])
        return {"_meta": meta}

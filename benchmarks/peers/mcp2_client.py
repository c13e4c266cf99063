# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The client on mcp 2.3 alone: the SDK's own `Client`, in the mode that the job says."""

import asyncio
import contextlib
import sys

import anyio
import kit
import mcp2_server
from mcp import Client, StdioServerParameters
from mcp.client.extension import ClientExtension, NotificationBinding
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

SERVER = kit.here("mcp2_server.py")


@contextlib.asynccontextmanager
async def serving(todo: kit.Job):
    """What to connect to."""
    if todo.transport == "stdio":
        yield StdioServerParameters(command=sys.executable, args=[SERVER, todo.argument()])
    elif todo.transport == "memory":
        server = mcp2_server.make_server(todo)
        yield Streams(server) if todo.streams else server
    else:
        with kit.ServerProcess(SERVER, todo) as process:
            yield process.uri


class Streams:
    """A server as one of the SDK's transports: its own loop over its own streams of messages, in the newer era."""

    def __init__(self, server) -> None:
        self._server = server._lowlevel_server
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self):
        """Serve, and return the client's streams."""
        ours, theirs = await self._stack.enter_async_context(create_client_server_memory_streams())
        state = await self._stack.enter_async_context(self._server.lifespan(self._server))
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(lambda: serve_dual_era_loop(self._server, *theirs, lifespan_state=state))
        return ours

    async def __aexit__(self, *exc) -> None:
        """Serve no more."""
        await self._stack.aclose()


class _AnyParams(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Custom(ClientExtension):
    identifier = "bench/custom"

    def __init__(self, handler) -> None:
        self._handler = handler

    def notifications(self):
        """The vendor notification that the server sends."""
        return [NotificationBinding(method=mcp2_server.CUSTOM_METHOD, params_type=_AnyParams, handler=self._handler)]


class Receiver:
    """A client, and who is told of its notifications."""

    def __init__(self, todo: kit.Job, target) -> None:
        self.todo = todo
        self.take = None
        """Called with each message, decoded."""
        options: dict = {"mode": todo.mode}
        if todo.notify == "log":
            options.update(logging_callback=self._log, log_level="info")
        elif todo.notify == "custom":
            options.update(extensions=[_Custom(self._custom)])
        self.client = Client(target, **options)

    async def _log(self, params) -> None:
        self.take(params.data)

    async def _custom(self, params) -> None:
        self.take(params.__pydantic_extra__)

    async def _progress(self, progress, total, text) -> None:
        self.take(from_json(text))

    async def flood(self, count: int, **arguments) -> None:
        """Call the tool that sends them."""
        arguments = {"count": count, "size": self.todo.size, **arguments}
        callback = self._progress if self.todo.notify == "progress" else None
        await self.client.call_tool("flood", arguments, progress_callback=callback)


@contextlib.asynccontextmanager
async def connected(todo: kit.Job, target, count: int):
    """That many clients."""
    async with contextlib.AsyncExitStack() as stack:
        receivers = [Receiver(todo, target) for _ in range(count)]
        for receiver in receivers:
            await stack.enter_async_context(receiver.client)
        yield receivers


async def throughput(todo: kit.Job) -> dict:
    """One connection, one tool call."""
    async with serving(todo) as target, connected(todo, target, 1) as (receiver,):

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            receiver.take = lambda body: arrivals.take(body["result"]["n"])
            started = kit.CLOCK()
            await receiver.flood(count)
            await arrivals.wait()
            return arrivals, started

        return await kit.throughput(todo, once)


async def connections(todo: kit.Job) -> dict:
    """Many connections, one call each; all begin together."""
    async with serving(todo) as target, connected(todo, target, todo.connections) as receivers:

        async def once(count: int) -> tuple:
            each = max(1, count // len(receivers))
            parts = [kit.Arrivals(each) for _ in receivers]
            for receiver, part in zip(receivers, parts, strict=True):
                receiver.take = lambda body, part=part: part.take(body["result"]["n"])
            calls = [asyncio.ensure_future(receiver.flood(each, gated=True)) for receiver in receivers]
            await asyncio.sleep(0.5)
            started = kit.CLOCK()
            await receivers[0].client.call_tool("go", {})
            total = kit.Total(parts)
            await total.wait()
            await asyncio.gather(*calls)
            return total, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From the sending in the server to the call of the listener."""
    async with serving(todo) as target, connected(todo, target, 1) as (receiver,):
        arrivals = kit.Latencies(todo.count)
        receiver.take = lambda body: arrivals.take_at(body["result"]["n"], body["result"]["t"])
        await receiver.flood(todo.count, rate=todo.rate)
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


async def roundtrip(todo: kit.Job) -> dict:
    """Calls of a plain tool, one after the other."""
    async with serving(todo) as target, connected(todo, target, 1) as (receiver,):
        return await kit.round_trips(todo, lambda: receiver.client.call_tool("add", {"a": 1, "b": 2}))


async def results(todo: kit.Job) -> dict:
    """Calls of a tool with a large result, one after the other."""
    async with serving(todo) as target, connected(todo, target, 1) as (receiver,):
        return await kit.round_trips(todo, lambda: receiver.client.call_tool("blob", {"size": todo.size}))


INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


async def memory(todo: kit.Job) -> dict:
    """What the SDK's own server keeps for a connection that has shaken hands, whatever the transport."""
    server = mcp2_server.make_server(todo)._lowlevel_server
    async with anyio.create_task_group() as tasks, contextlib.AsyncExitStack() as stack:

        async def connect() -> None:
            pair = create_client_server_memory_streams()
            (read, write), theirs = await stack.enter_async_context(pair)
            tasks.start_soon(lambda: serve_dual_era_loop(server, *theirs, lifespan_state={}))
            request = JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=INITIALIZE)
            await write.send(SessionMessage(request))
            await read.receive()

        for _ in range(20):
            await connect()
        before = await kit.settled(kit.os.getpid())
        for _ in range(todo.connections):
            await connect()
        after = await kit.settled(kit.os.getpid())
        tasks.cancel_scope.cancel()
    return {"bytes": (after - before) / todo.connections}


SCENARIOS = {
    "throughput": throughput,
    "payloads": throughput,
    "connections": connections,
    "latency": latency,
    "roundtrip": roundtrip,
    "results": results,
    "memory": memory,
}

kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

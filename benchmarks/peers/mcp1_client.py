# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The client on mcp 1.30."""

import asyncio
import contextlib
import json
import sys
import warnings

import kit
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

SERVER = kit.here("mcp1_server.py")
warnings.simplefilter("ignore")


@contextlib.asynccontextmanager
async def serving(todo: kit.Job):
    """What makes the streams of a connection, and the server's process."""
    if todo.transport == "stdio":
        command = StdioServerParameters(command=sys.executable, args=[SERVER, todo.argument()])
        yield lambda: stdio_client(command), None
        return
    with kit.ServerProcess(SERVER, todo) as process:
        if todo.transport == "ws":
            from mcp.client.websocket import websocket_client

            yield lambda: websocket_client(process.uri), process
        else:
            yield lambda: streamable_http_client(process.uri), process


class Receiver:
    """A session, and who is told of its notifications."""

    def __init__(self, todo: kit.Job) -> None:
        self.todo = todo
        self.session = None
        self.take = None
        """Called with each message, decoded."""

    async def log(self, params) -> None:
        """A log notification."""
        self.take(params.data)

    async def progress(self, progress, total, text) -> None:
        """A progress notification."""
        self.take(json.loads(text))

    async def flood(self, count: int, tool: str = "flood", **arguments) -> None:
        """Call the tool that sends them."""
        arguments = {"count": count, "size": self.todo.size, **arguments}
        callback = self.progress if self.todo.notify == "progress" else None
        await self.session.call_tool(tool, arguments, progress_callback=callback)


@contextlib.asynccontextmanager
async def connected(todo: kit.Job, make_streams, count: int):
    """That many sessions."""
    async with contextlib.AsyncExitStack() as stack:
        receivers = []
        for _ in range(count):
            receiver = Receiver(todo)
            streams = await stack.enter_async_context(make_streams())
            session = ClientSession(*streams[:2], logging_callback=receiver.log)
            receiver.session = await stack.enter_async_context(session)
            await receiver.session.initialize()
            receivers.append(receiver)
        yield receivers


async def throughput(todo: kit.Job) -> dict:
    """One connection, one tool call."""
    async with serving(todo) as (make, _), connected(todo, make, 1) as (receiver,):

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            receiver.take = lambda body: arrivals.take(body["result"]["n"])
            started = kit.CLOCK()
            await receiver.flood(count, rate=0)
            await arrivals.wait()
            return arrivals, started

        return await kit.throughput(todo, once)


async def connections(todo: kit.Job) -> dict:
    """Many connections, one call each; all begin together."""
    async with serving(todo) as (make, _), connected(todo, make, todo.connections) as receivers:

        async def once(count: int) -> tuple:
            each = max(1, count // len(receivers))
            parts = [kit.Arrivals(each) for _ in receivers]
            for receiver, part in zip(receivers, parts, strict=True):
                receiver.take = lambda body, part=part: part.take(body["result"]["n"])
            calls = [asyncio.ensure_future(receiver.flood(each, "gated_flood")) for receiver in receivers]
            await asyncio.sleep(0.5)
            started = kit.CLOCK()
            await receivers[0].session.call_tool("go", {})
            total = kit.Total(parts)
            await total.wait()
            await asyncio.gather(*calls)
            return total, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From the sending in the server to the call of the listener."""
    async with serving(todo) as (make, _), connected(todo, make, 1) as (receiver,):
        arrivals = kit.Latencies(todo.count)
        receiver.take = lambda body: arrivals.take_at(body["result"]["n"], body["result"]["t"])
        await receiver.flood(todo.count, rate=todo.rate)
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


async def roundtrip(todo: kit.Job) -> dict:
    """Calls of a plain tool, one after the other."""
    async with serving(todo) as (make, _), connected(todo, make, 1) as (receiver,):
        return await kit.round_trips(todo, lambda: receiver.session.call_tool("add", {"a": 1, "b": 2}))


async def memory(todo: kit.Job) -> dict:
    """What the server holds for each idle connection."""
    async with serving(todo) as (make, process), connected(todo, make, 20):
        before = await kit.settled(process.pid)
        async with connected(todo, make, todo.connections):
            after = await kit.settled(process.pid)
    return {"bytes": (after - before) / todo.connections}


SCENARIOS = {
    "throughput": throughput,
    "payloads": throughput,
    "connections": connections,
    "latency": latency,
    "roundtrip": roundtrip,
    "memory": memory,
}

kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

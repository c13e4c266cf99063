# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The client of the original, mcpc 0.2.6 on mcp 1.6.0."""

import contextlib
import logging
import sys

import kit
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcpc import MCPCHandler


@contextlib.asynccontextmanager
async def connected(todo: kit.Job):
    """A session and its handler."""
    logging.disable(logging.WARNING)  # each callback is a warning of the SDK's
    handler = MCPCHandler("bench", log_level=logging.ERROR)
    command = StdioServerParameters(command=sys.executable, args=[kit.here("original_server.py"), todo.argument()])
    async with stdio_client(command) as streams:
        wrapped = await handler.wrap_streams(*streams)
        async with ClientSession(*wrapped) as session:
            await session.initialize()
            if not await handler.init_mcpc(session):
                raise RuntimeError("the handshake failed")
            yield session, handler


async def _flood(todo: kit.Job, session: ClientSession, handler: MCPCHandler, arrivals: kit.Arrivals, listener) -> None:
    handler.add_event_listener(listener)
    arguments = {"count": arrivals.expected, "size": todo.size, "rate": todo.rate}
    await session.call_tool("flood", handler.add_metadata(arguments, "bench"))
    await arrivals.wait()
    handler.remove_event_listener(listener)


async def throughput(todo: kit.Job) -> dict:
    """One connection, one task."""
    async with connected(todo) as (session, handler):

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)

            def listener(message) -> None:
                if message.event == "update":
                    arrivals.take(message.result["n"])

            started = kit.CLOCK()
            await _flood(todo, session, handler, arrivals, listener)
            return arrivals, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From the sending in the server to the call of the listener."""
    async with connected(todo) as (session, handler):
        arrivals = kit.Latencies(todo.count)

        def listener(message) -> None:
            if message.event == "update":
                arrivals.take_at(message.result["n"], message.result["t"])

        await _flood(todo, session, handler, arrivals, listener)
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


async def roundtrip(todo: kit.Job) -> dict:
    """Calls of a plain tool, one after the other."""
    async with connected(todo) as (session, _):
        return await kit.round_trips(todo, lambda: session.call_tool("add", {"a": 1, "b": 2}))


SCENARIOS = {"throughput": throughput, "payloads": throughput, "latency": latency, "roundtrip": roundtrip}

kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

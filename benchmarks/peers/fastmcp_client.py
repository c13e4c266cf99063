# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The client of FastMCP 4."""

import contextlib

import kit
from fastmcp import Client
from pydantic_core import from_json


class Receiver:
    """A client, and who is told of its progress notifications."""

    def __init__(self, todo: kit.Job, uri: str) -> None:
        self.todo = todo
        self.take = None
        self.client = Client(uri, progress_handler=self._progress)

    async def _progress(self, progress, total, text) -> None:
        self.take(from_json(text))

    async def flood(self, count: int) -> None:
        """Call the tool that sends them."""
        arguments = {"count": count, "size": self.todo.size, "rate": self.todo.rate}
        await self.client.call_tool("flood", arguments)


@contextlib.asynccontextmanager
async def connected(todo: kit.Job):
    """A client of a server in a process of its own."""
    with kit.ServerProcess(kit.here("fastmcp_server.py"), todo) as process:
        receiver = Receiver(todo, process.uri)
        async with receiver.client:
            yield receiver


async def throughput(todo: kit.Job) -> dict:
    """One connection, one tool call."""
    async with connected(todo) as receiver:

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            receiver.take = lambda body: arrivals.take(body["result"]["n"])
            started = kit.CLOCK()
            await receiver.flood(count)
            await arrivals.wait()
            return arrivals, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From the sending in the server to the call of the listener."""
    async with connected(todo) as receiver:
        arrivals = kit.Latencies(todo.count)
        receiver.take = lambda body: arrivals.take_at(body["result"]["n"], body["result"]["t"])
        await receiver.flood(todo.count)
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


async def roundtrip(todo: kit.Job) -> dict:
    """Calls of a plain tool, one after the other."""
    async with connected(todo) as receiver:
        return await kit.round_trips(todo, lambda: receiver.client.call_tool("add", {"a": 1, "b": 2}))


SCENARIOS = {"throughput": throughput, "payloads": throughput, "latency": latency, "roundtrip": roundtrip}

kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

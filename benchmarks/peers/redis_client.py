# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The reader of the raw Redis: takes batches off the stream as they come, and reads the number in each message."""

import asyncio
import contextlib
import json

import coredis
import engine
import kit
from raw_client import number_in, stamp_in

SERVER = kit.here("redis_server.py")
BLOCK = 60_000
"""Milliseconds to wait for the next entry."""


class Reader:
    """Reads the stream, and has each message counted."""

    def __init__(self, client, todo: kit.Job) -> None:
        self.take = None
        self._client = client
        self._todo = todo

    async def order(self, count: int) -> None:
        """Have that many written."""
        order = {"count": count, "size": self._todo.size, "rate": self._todo.rate}
        await self._client.xadd("orders", field_values={"d": json.dumps(order)})

    async def read(self) -> None:
        """Read until cancelled."""
        last = "0"
        while True:
            found = await self._client.xread({"log": last}, block=BLOCK)
            for entry in (found or {}).get(b"log", ()):
                last = entry.identifier
                for line in entry.field_values[b"d"].split(b"\n"):
                    self.take(line)


@contextlib.asynccontextmanager
async def connected(todo: kit.Job):
    """A reader, and its writer in a process of its own."""
    with engine.Engine() as redis, kit.ServerProcess(SERVER, todo, store=redis.uri):
        todo.engine = redis.pid
        async with coredis.Redis.from_url(redis.uri) as client:
            reader = Reader(client, todo)
            reading = asyncio.ensure_future(reader.read())
            yield reader
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


async def throughput(todo: kit.Job) -> dict:
    """One stream."""
    async with connected(todo) as reader:

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            reader.take = lambda line: arrivals.take(number_in(line))
            started = kit.CLOCK()
            await reader.order(count)
            await arrivals.wait()
            return arrivals, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From before the XADD to the message."""
    async with connected(todo) as reader:
        arrivals = kit.Latencies(todo.count)
        reader.take = lambda line: arrivals.take_at(number_in(line), stamp_in(line))
        await reader.order(todo.count)
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


SCENARIOS = {"throughput": throughput, "latency": latency}

if __name__ == "__main__":
    kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

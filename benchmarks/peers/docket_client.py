# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""Who follows a task of Docket in another process: a subscription to its progress.

FastMCP's own client polls `tasks/get`, and sees the newest message then; what is counted here is all that comes.
"""

import asyncio
import contextlib
import uuid

import docket_server
import engine
import kit
from docket import Docket
from docket.execution import ExecutionProgress
from raw_client import number_in, stamp_in

SERVER = kit.here("docket_server.py")


@contextlib.asynccontextmanager
async def connected(todo: kit.Job):
    """What starts a task, and has each message of it counted."""
    with engine.Engine() as redis, kit.ServerProcess(SERVER, todo, store=redis.uri):
        todo.engine = redis.pid
        async with Docket(name=docket_server.NAME, url=redis.uri) as docket:
            docket.register(docket_server.flood)

            async def flood(count: int, arrivals: kit.Arrivals, take) -> None:
                key, ready = str(uuid.uuid4()), asyncio.Event()
                following = asyncio.ensure_future(_follow(docket, key, ready, take))
                await ready.wait()
                await docket.add(docket_server.flood, key=key)(count, todo.size, todo.rate)
                await arrivals.wait()
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following

            yield flood


async def _follow(docket: Docket, key: str, ready: asyncio.Event, take) -> None:
    async for event in ExecutionProgress(docket, key).subscribe(ready=ready):
        take(event["message"].encode())


async def throughput(todo: kit.Job) -> dict:
    """One task."""
    async with connected(todo) as flood:

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            started = kit.CLOCK()
            await flood(count, arrivals, lambda line: arrivals.take(number_in(line)))
            return arrivals, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From before the report to the event."""
    async with connected(todo) as flood:
        arrivals = kit.Latencies(todo.count)
        await flood(todo.count, arrivals, lambda line: arrivals.take_at(number_in(line), stamp_in(line)))
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


SCENARIOS = {"throughput": throughput, "latency": latency}

if __name__ == "__main__":
    kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

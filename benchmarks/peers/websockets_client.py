# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The `websockets` library alone, as a client: reads the number in each text frame.

In the fan-out it is the receiver for our server too (`target`: `mcpc`): the servers differ, and nothing else.
"""

import asyncio
import contextlib
import json

import kit
from websockets.asyncio.client import connect

SERVERS = {"websockets": "websockets_server.py", "mcpc": "mcpc_server.py"}


def _number(text: str) -> int:
    start = text.index('"n":') + 4
    return int(text[start : text.index(",", start)])


def _stamp(text: str) -> int:
    start = text.index('"t":') + 4
    return int(text[start : text.index(",", start)])


class Reader:
    """A connection and the task that reads it."""

    def __init__(self, connection) -> None:
        self.connection = connection
        self.take = lambda text: None

    async def read(self) -> None:
        """Have each message counted."""
        async for text in self.connection:
            self.take(text)

    async def order(self, **command) -> None:
        """Tell the server what to send."""
        await self.connection.send(json.dumps({"rate": 0, "all": False, **command}))


@contextlib.asynccontextmanager
async def connected(uri: str, count: int):
    """That many connections, each being read."""
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        readers = []
        for _ in range(count):
            opened = connect(uri, subprotocols=["mcp"], compression=None, max_size=None, proxy=None)
            readers.append(Reader(await stack.enter_async_context(opened)))
        reading = [group.create_task(reader.read()) for reader in readers]
        yield readers
        for task in reading:
            task.cancel()


@contextlib.asynccontextmanager
async def serving(todo: kit.Job):
    """The server, in a process of its own."""
    with kit.ServerProcess(kit.here(SERVERS[todo.target]), todo) as process:
        yield process


async def throughput(todo: kit.Job) -> dict:
    """One connection."""
    async with serving(todo) as server, connected(server.uri, 1) as (reader,):

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            reader.take = lambda text: arrivals.take(_number(text))
            started = kit.CLOCK()
            await reader.order(count=count, size=todo.size)
            await arrivals.wait()
            return arrivals, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From the sending to the receipt."""
    async with serving(todo) as server, connected(server.uri, 1) as (reader,):
        arrivals = kit.Latencies(todo.count)
        reader.take = lambda text: arrivals.take_at(_number(text), _stamp(text))
        await reader.order(count=todo.count, size=todo.size, rate=todo.rate)
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


async def memory(todo: kit.Job) -> dict:
    """What the server holds for each idle connection."""
    async with serving(todo) as server, connected(server.uri, 20):
        before = await kit.settled(server.pid)
        async with connected(server.uri, todo.connections):
            after = await kit.settled(server.pid)
    return {"bytes": (after - before) / todo.connections}


# --- the fan-out ---


async def fanout(todo: kit.Job) -> dict:
    """Events to every connection."""
    async with serving(todo) as server, connected(server.uri, todo.connections) as readers:
        if todo.target == "mcpc":
            for number, reader in enumerate(readers):
                await _listen(reader, number)
        async with connected(server.uri, 1) as (caller,):
            if todo.target == "mcpc":
                await _ask(caller, {"id": 1, "method": "initialize", "params": HELLO})
            return await kit.fan_out(todo, lambda count: _send_to_all(todo, caller, readers, count))


async def _send_to_all(todo: kit.Job, caller: Reader, readers: list, count: int) -> tuple:
    parts = [kit.Arrivals(count) for _ in readers]
    for reader, part in zip(readers, parts, strict=True):
        reader.take = _counting(part)
    started = kit.CLOCK()
    if todo.target == "mcpc":
        call = {"name": "broadcast", "arguments": {"count": count, "size": todo.size}}
        await _tell(caller, {"id": 2, "method": "tools/call", "params": call})
    else:
        await caller.order(count=count, size=todo.size, all=True)
    total = kit.Total(parts)
    await total.wait()
    return total, started


def _counting(part: kit.Arrivals):
    """Counts the messages in a frame: ours may hold several."""

    def take(text: str) -> None:
        for piece in text.split('"n":')[1:]:
            part.take(int(piece[: piece.index(",")]))

    return take


HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


async def _tell(reader: Reader, members: dict) -> None:
    await reader.connection.send(json.dumps({"jsonrpc": "2.0", **members}))


async def _ask(reader: Reader, members: dict) -> None:
    """Send a request, and wait for one message."""
    came = asyncio.Event()
    reader.take = lambda text: came.set()
    await _tell(reader, members)
    await asyncio.wait_for(came.wait(), 20)


async def _listen(reader: Reader, number: int) -> None:
    """What a client of ours says to open its channel, spelled out."""
    await _ask(reader, {"id": 1, "method": "initialize", "params": HELLO})
    await _tell(reader, {"method": "notifications/initialized"})
    params = {"channel": f"{number:032d}", "after": 0}
    await _ask(reader, {"id": 2, "method": "mcpc/listen", "params": params})


SCENARIOS = {
    "throughput": throughput,
    "payloads": throughput,
    "latency": latency,
    "memory": memory,
    "fanout": fanout,
}

kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

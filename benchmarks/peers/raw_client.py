# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The client of the raw transport: takes lines off the connection as they come, and reads the number in each."""

import asyncio
import contextlib
import json
import sys
import tempfile

import kit

SERVER = kit.here("raw_server.py")


class Lines(asyncio.Protocol):
    """Splits what comes into lines, and has each counted."""

    def __init__(self) -> None:
        self.take = None
        self._rest = b""

    def connection_made(self, transport) -> None:
        """The connection is there."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self.take(line)

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        """The same, of a process."""
        self.data_received(data)


class Process(Lines, asyncio.SubprocessProtocol):
    """Lines from a process."""


@contextlib.asynccontextmanager
async def connected(todo: kit.Job):
    """What counts the lines, and what writes a command."""
    loop = asyncio.get_running_loop()
    if todo.transport == "stdio":
        transport, lines = await loop.subprocess_exec(Process, sys.executable, SERVER, todo.argument(), stderr=None)
        yield lines, transport.get_pipe_transport(0).write
        transport.close()
        return
    with tempfile.TemporaryDirectory() as folder, kit.ServerProcess(SERVER, todo, path=f"{folder}/s") as process:
        if todo.transport == "unix":
            transport, lines = await loop.create_unix_connection(Lines, process.uri)
        else:
            transport, lines = await loop.create_connection(Lines, "127.0.0.1", int(process.uri))
        yield lines, transport.write
        transport.close()


def number_in(line: bytes) -> int:
    """The number of a message."""
    start = line.index(b'"n":') + 4
    return int(line[start : line.index(b",", start)])


def stamp_in(line: bytes) -> int:
    """When a message was sent, on `kit.CLOCK`."""
    start = line.index(b'"t":') + 4
    return int(line[start : line.index(b",", start)])


def _order(todo: kit.Job, count: int) -> bytes:
    return json.dumps({"count": count, "size": todo.size, "rate": todo.rate}).encode() + b"\n"


async def throughput(todo: kit.Job) -> dict:
    """One connection."""
    async with connected(todo) as (lines, command):

        async def once(count: int) -> tuple:
            arrivals = kit.Arrivals(count)
            lines.take = lambda line: arrivals.take(number_in(line))
            started = kit.CLOCK()
            command(_order(todo, count))
            await arrivals.wait()
            return arrivals, started

        return await kit.throughput(todo, once)


async def latency(todo: kit.Job) -> dict:
    """From the write to the line."""
    async with connected(todo) as (lines, command):
        arrivals = kit.Latencies(todo.count)
        lines.take = lambda line: arrivals.take_at(number_in(line), stamp_in(line))
        command(_order(todo, todo.count))
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


SCENARIOS = {"throughput": throughput, "payloads": throughput, "latency": latency}

if __name__ == "__main__":
    kit.run(lambda todo: SCENARIOS[todo.scenario](todo))

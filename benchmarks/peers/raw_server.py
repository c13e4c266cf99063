# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""Bytes and nothing else, over asyncio: one line a message, one write each. What the transport itself can carry.

It obeys one command a line: JSON with `count`, `size` and `rate`.
"""

import asyncio
import json
import sys

import kit


async def flood(write, drain, order: dict) -> None:
    """Write the lines. The payload is encoded once; only the number and the time are new in each."""
    pad, pace = kit.padding(order["size"]), kit.Pace(order["rate"])
    before, after = json.dumps(kit.message(0, 0, pad), separators=(",", ":")).split('"n":0,"t":0')
    rate = order["rate"]
    for number in range(order["count"]):
        if rate:
            await pace.wait()
        write(f'{before}"n":{number},"t":{kit.CLOCK()}{after}\n'.encode())
        await drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Obey the commands of one connection."""
    while line := await reader.readline():
        await flood(writer.write, writer.drain, json.loads(line))
    writer.close()


async def over_pipes() -> None:
    """The same over stdin and stdout."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    protocol = asyncio.streams.FlowControlMixin()
    transport, _ = await loop.connect_write_pipe(lambda: protocol, sys.stdout)
    await serve(reader, asyncio.StreamWriter(transport, protocol, None, loop))


async def main(todo: kit.Job) -> None:
    """Serve until we are told to end."""
    if todo.transport == "stdio":
        await over_pipes()
        return
    if todo.transport == "unix":
        listener = await asyncio.start_unix_server(serve, todo.path)
        uri = todo.path
    else:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        uri = str(listener.sockets[0].getsockname()[1])
    kit.announce(uri)
    async with listener:
        await listener.serve_forever()


if __name__ == "__main__":
    given = kit.job()
    with asyncio.Runner(loop_factory=kit.loop_factory(given)) as runner:
        runner.run(main(given))

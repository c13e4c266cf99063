# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A TCP relay that can cut all its connections at once: a network that fails."""

import asyncio
import contextlib


class Relay:
    """Carries bytes between whoever connects to `port` and the target. `async with` it.

    Args:
        host: Where the target is.
        port: Its port.
        delay: Seconds that everything takes one way, the opening of a connection too.
    """

    def __init__(self, host: str, port: int, delay: float = 0.0) -> None:
        self._delay = delay
        self._target = (host, port)
        self._open: set = set()
        self.accepted = 0
        """How many connections there were."""

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every connection, on both sides, without a word."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self._delay)
        there, back = await asyncio.open_connection(*self._target)
        self.accepted += 1
        self._open |= {writer, back}
        await asyncio.gather(_copy(reader, back, self._delay), _copy(there, writer, self._delay))
        self._open -= {writer, back}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    later = asyncio.get_running_loop().call_later
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if delay:
                later(delay, writer.write, data)  # in order: what was read first is due first
            else:
                writer.write(data)
                await writer.drain()
    later(delay, writer.close)

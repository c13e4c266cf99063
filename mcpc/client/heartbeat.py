"""A server that does not answer any more: noticed by a question after a while of silence.

Whatever comes from the server is a sign of life. Only servers that speak MCPC are asked: in those a tool that blocks
holds up nobody's answer, while another server may do one thing at a time. It knows no sockets and no processes.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError

from mcpc.client.patience import check_seconds
from mcpc.client.requests import ask_server
from mcpc.errors import ChannelBroken, MCPCError
from mcpc.messages import MCPCInformation
from mcpc.taps import StreamWrapper
from mcpc.transport import StreamPair
from mcpc.wire.names import INFO_METHOD
from mcpc.wire.originals import info_params

__all__ = ["HEARTBEAT", "Heartbeat"]

HEARTBEAT = 30.0
"""Seconds of silence before a server is asked, and as many for its answer."""

LAST_LOOK = 1.0
"""Seconds more for what has come already: it may be we who were stopped, or slept, in between."""


class Heartbeat:
    """Watches one connection after another.

    Args:
        seconds: See `HEARTBEAT`; None asks nobody.
        is_needed: Whether nothing below notices a server that is gone; where something does, nobody is asked.
        signs: Something that has changed when callbacks have come: they pass the stream by.
        lose: Called when the server does not answer.

    Raises:
        ValueError: the seconds are none.
    """

    def __init__(
        self,
        seconds: float | None,
        is_needed: bool,
        signs: Callable[[], object],
        lose: Callable[[Exception], None],
    ) -> None:
        check_seconds("heartbeat", seconds)
        self._seconds = seconds if is_needed else None
        self._signs = signs
        self._lose = lose
        self.heard = 0
        """Messages that have come over the stream."""

    def tap(self, streams: StreamPair) -> StreamPair:
        """The same streams; what comes over them counts."""
        read, write = streams
        return (_Heard(read, self), write) if self._seconds is not None else streams

    async def watch(self, session: ClientSession, provider: str) -> None:
        """Ask the server after each while of silence, until it does not answer."""
        if self._seconds is None:
            return
        while True:
            before = self._life()
            await anyio.sleep(self._seconds)
            if self._life() == before and not await self._answers(session, provider, self._seconds):
                break
        self._lose(ChannelBroken(f"the server has not answered for {2 * self._seconds:g} seconds"))

    async def _answers(self, session: ClientSession, provider: str, seconds: float) -> bool:
        """Whether anything comes from the server, now that it is asked."""
        before = self._life()
        with anyio.move_on_after(seconds):
            with suppress(MCPError, MCPCError):  # an answer too; and of a lost connection others learn
                await ask_server(session, INFO_METHOD, info_params(MCPCInformation(mcpc_provider=provider)))
            return True
        with anyio.move_on_after(LAST_LOOK):
            while self._life() == before:  # noqa: ASYNC110 - what comes meanwhile is counted, and tells nobody
                await anyio.sleep(LAST_LOOK / 10)
        return self._life() != before

    def _life(self) -> object:
        return self.heard, self._signs()


class _Heard(StreamWrapper):
    """A read stream that counts."""

    def __init__(self, inner: Any, heartbeat: Heartbeat) -> None:
        super().__init__(inner)
        self._heartbeat = heartbeat

    @property
    def last_context(self) -> Any:
        """The sender's context, where the inner stream carries one."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Any:
        """The next message."""
        item = await self._inner.receive()
        self._heartbeat.heard += 1
        return item

    def __aiter__(self) -> "_Heard":
        return self

    async def __anext__(self) -> Any:
        item = await self._inner.__anext__()
        self._heartbeat.heard += 1
        return item

"""Keeping WebSocket connections alive: pings, and what follows when none is answered.

One task looks after all connections of a listener, so an idle connection costs
no task of its own. Knows channels by three things only: whether the peer was
heard, how to ping it, how to give it up.
"""

import time
from dataclasses import dataclass

import anyio
from anyio.lowlevel import checkpoint

from mcpc_transports.websocket.channel import WebSocketChannel

__all__ = ["KeepAlive"]


@dataclass(slots=True)
class _Pulse:
    """When a channel is pinged next, and until when it must have answered the last ping."""

    next_ping: float
    deadline: float | None = None


class KeepAlive:
    """Pings channels from one task, and gives up those that stay silent.

    Times are kept to within a twentieth. Anything that comes counts as an answer, and so does progress of a
    long write. A channel that nobody receives from is not judged: its silence may be our own.

    Args:
        interval: Seconds between two pings; None for no pings at all.
        timeout: Seconds that a peer may stay silent after a ping; None for any time.
    """

    def __init__(self, interval: float | None, timeout: float | None) -> None:
        self._interval = interval
        self._timeout = timeout
        self._pulses: dict[WebSocketChannel, _Pulse] = {}

    def add(self, channel: WebSocketChannel) -> None:
        """Keep `channel` alive from now on."""
        if self._interval is not None:
            self._pulses[channel] = _Pulse(time.monotonic() + self._interval)

    def discard(self, channel: WebSocketChannel) -> None:
        """Leave `channel` alone."""
        self._pulses.pop(channel, None)

    async def run(self) -> None:
        """Look after the channels until cancelled."""
        if self._interval is None:
            return
        step = min(self._interval, self._timeout or self._interval) / 20
        while True:
            await anyio.sleep(step)
            for count, (channel, pulse) in enumerate(tuple(self._pulses.items()), 1):
                self._look_after(channel, pulse, self._interval)
                if count % 64 == 0:
                    await checkpoint()  # so that few pings are on their way at once

    def _look_after(self, channel: WebSocketChannel, pulse: _Pulse, interval: float) -> None:
        now = time.monotonic()
        if pulse.deadline is not None:
            if channel.heard:
                pulse.deadline = None
            elif now >= pulse.deadline:
                self._overdue(channel, pulse, now)
        if now >= pulse.next_ping:
            pulse.next_ping = now + interval
            if channel.ping() and self._timeout is not None and pulse.deadline is None:
                channel.heard = False
                pulse.deadline = now + self._timeout

    def _overdue(self, channel: WebSocketChannel, pulse: _Pulse, now: float) -> None:
        assert self._timeout is not None
        if channel.reading:
            self.discard(channel)
            channel.give_up(f"no answer to a ping within {self._timeout:g} s")
        else:
            pulse.deadline = now + self._timeout

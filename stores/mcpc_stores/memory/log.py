"""Channels and their logs in memory."""

import secrets
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from mcpc.errors import StoreFull
from mcpc.stored import ChannelState, Page, StoreLimits
from mcpc_stores.memory.data import Channel, Data

__all__ = ["Channels", "jump"]


class Channels:
    """The channels of one store.

    Args:
        data: What is kept.
        limits: The bounds.
        clock: Gives the time, in seconds; nobody sets it.
    """

    def __init__(self, data: Data, limits: StoreLimits, clock: Callable[[], float]) -> None:
        self._data = data
        self._limits = limits
        self._clock = clock

    def open(
        self,
        channel: str,
        *,
        principal: str | None,
        session: str | None = None,
        listener: str | None = None,
        after: int = 0,
        epoch: str | None = None,
    ) -> ChannelState | None:
        """See `Store.open`."""
        found = self._data.channels.get(channel) or self._make(channel, principal)
        if found.principal != principal:
            return None
        if epoch == found.epoch:
            jump(found, after)
        found.cursor = max(found.cursor, min(after, found.head))
        found.listener = listener or found.listener
        found.touched = self._clock()
        if session is not None:
            found.sessions[session] = None
            if len(found.sessions) > self._limits.max_sessions:
                del found.sessions[next(iter(found.sessions))]
        return ChannelState(found.epoch, found.oldest, found.head, found.cursor)

    def _make(self, name: str, principal: str | None) -> Channel:
        channels = self._data.channels
        if len(channels) >= self._limits.max_channels:
            idle = [channel for channel in channels.values() if self._is_idle(channel)]
            if not idle:
                raise StoreFull(f"the store holds {len(channels)} channels, which is the limit; none is idle")
            del channels[min(idle, key=lambda channel: channel.touched).name]
        made = channels[name] = Channel(name, principal, secrets.token_hex(8), self._clock())
        return made

    def _is_idle(self, channel: Channel) -> bool:
        return channel.listener is None and not any(t.stored.channel == channel.name for t in self._data.tasks.values())

    def leave(self, channel: str, listener: str) -> None:
        """See `Store.leave`."""
        found = self._data.channels.get(channel)
        if found is not None and found.listener == listener:
            found.listener, found.touched = None, self._clock()

    def add(self, channel: Channel, messages: Sequence[bytes]) -> None:
        """Write messages to a log; the oldest make room."""
        channel.touched = self._clock()
        for message in messages:
            channel.head += 1
            channel.log[channel.head] = message
            channel.size += len(message)
        while len(channel.log) > 1 and (
            channel.size > self._limits.max_bytes or next(iter(channel.log)) <= channel.head - self._limits.max_messages
        ):
            number = next(iter(channel.log))
            channel.size -= len(channel.log.pop(number))
            channel.oldest = max(channel.oldest, number + 1)

    def read(self, channel: str, after: int, *, max_messages: int, max_bytes: int) -> Page | None:
        """See `Store.read`."""
        found = self._data.channels.get(channel)
        if found is None:
            return None
        numbers = list(found.log)
        start = bisect_right(numbers, after)
        now = self._clock()
        kept = min((n for n, (_, expires) in found.kept.items() if n > after and expires > now), default=None)
        if kept is not None and (start == len(numbers) or kept < numbers[start]):
            return Page(kept, [found.kept[kept][0]], found.oldest, found.head)
        messages, size = list[bytes](), 0
        for place, number in enumerate(numbers[start : start + max_messages]):
            size += len(found.log[number])
            if place and (size > max_bytes or number != numbers[start] + place):
                break
            messages.append(found.log[number])
        return Page(numbers[start], messages, found.oldest, found.head) if messages else None

    def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        """See `Store.sent`."""
        for name, cursor in cursors.items():
            channel = self._data.channels.get(name)
            if channel is not None and channel.listener == listener:
                channel.cursor = max(channel.cursor, min(cursor, channel.head))
                channel.touched = self._clock()

    def of_session(self, session: str) -> list[str]:
        """See `Store.channels`."""
        channels = self._data.channels.values()
        return [channel.name for channel in channels if session == "*" or session in channel.sessions]

    def keep(self, channel: Channel, data: bytes, expires: float) -> None:
        """Keep the newest message readable until its time is over; those that were sent go when there are too many."""
        channel.kept[channel.head] = data, expires
        for number in list(channel.kept)[: -self._limits.max_kept]:
            if number <= channel.cursor and number < channel.oldest:
                del channel.kept[number]

    def crowded(self, channel: Channel) -> bool:
        """Whether as many terminal messages as may be set aside wait for a first reading."""
        return sum(channel.cursor < number < channel.oldest for number in channel.kept) >= self._limits.max_kept

    def sweep(self) -> int:
        """Forget what has had its time; how many channels."""
        now, channels = self._clock(), self._data.channels
        for channel in channels.values():
            channel.kept = {number: kept for number, kept in channel.kept.items() if kept[1] > now}
        over = now - self._limits.channel_ttl
        idle = [channel.name for channel in channels.values() if channel.touched <= over and self._is_idle(channel)]
        for name in idle:
            del channels[name]
        return len(idle)


def jump(channel: Channel, known: int) -> None:
    """Let a log go on above a number that somebody knows. What is between was lost."""
    if known > channel.head:
        channel.head, channel.oldest = known, known + 1

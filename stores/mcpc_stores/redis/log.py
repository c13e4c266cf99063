"""Channels and their logs in Redis: a hash and a stream each, one stream entry a batch."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mcpc.errors import StoreFull
from mcpc.stored import Appended, ChannelState, Ended, Entry, Fenced, Page, Place, Receipt, Refused, StoreLimits
from mcpc_stores.redis.engine import Call, Engine
from mcpc_stores.redis.keys import Keys

__all__ = ["RedisLog", "milliseconds"]

LOOKED_AT = 20
"""Channels that are looked at, those used least recently first, for one that is idle and can make room."""

MOST_IN_A_BELL = 64 * 1024
"""Bytes of messages that a bell brings along; of more it tells the number alone."""


def milliseconds(seconds: float) -> int:
    """A duration as the scripts take it."""
    return int(seconds * 1000)


def _principal(principal: str | None) -> str:
    return "" if principal is None else f"={principal}"


class RedisLog:
    """The channels of one handle's store.

    Args:
        engine: The client.
        keys: The names.
        limits: The bounds.
        own: The names of this process: what it says of its tasks is not rung to itself.
    """

    def __init__(self, engine: Engine, keys: Keys, limits: StoreLimits, own: Collection[str]) -> None:
        self._engine = engine
        self._keys = keys
        self._limits = limits
        self._own = own

    async def open(
        self,
        channel: str,
        principal: str | None,
        session: str | None,
        listener: str | None,
        after: int,
        epoch: str | None,
    ) -> ChannelState | None:
        """See `Store.open`."""
        call = self._open(channel, principal, session, listener, after, epoch)
        answer = await self._engine.run(*call)
        if answer[0] == b"absent":
            await self._make_room()
            name, keys, args = call
            answer = await self._engine.run(name, keys, [*args[:2], "1", *args[3:]])
        if answer[0] == b"foreign":
            return None
        calls: list[tuple[Any, ...]] = []
        if session is not None:
            calls.append(("sadd", self._keys.session(session), [channel]))
        calls += [("srem", self._keys.session(label.decode()), [channel]) for label in answer[6][::2]]
        await self._index([channel], listener, calls)
        return _state(answer)

    def _open(
        self,
        channel: str,
        principal: str | None,
        session: str | None,
        listener: str | None,
        after: int,
        epoch: str | None,
    ) -> Call:
        """The script that opens a channel where there is one."""
        args: list[str | bytes | int] = [
            _principal(principal),
            secrets.token_hex(8),
            "0",
            session or "",
            listener or "",
            after,
            epoch or "",
            self._limits.max_sessions,
            self._keys.prefix,
            channel,
        ]
        return "open", self._keys.channel(channel), args

    async def listen(self, listener: str, places: Mapping[str, Place]) -> dict[str, ChannelState | None]:
        """See `Store.listen`."""
        calls = [
            self._open(channel, place.principal, None, listener, place.after, place.epoch)
            for channel, place in places.items()
        ]
        answers = dict(zip(places, await self._engine.run_all(calls), strict=True)) if calls else {}
        there = [channel for channel, answer in answers.items() if answer[0] == b"ok"]
        if there:
            await self._index(there, listener, [])
        return {
            channel: _state(answer)
            if answer[0] == b"ok"
            else await self.open(
                channel, places[channel].principal, None, listener, places[channel].after, places[channel].epoch
            )
            for channel, answer in answers.items()
        }

    async def _index(self, channels: Sequence[str], listener: str | None, calls: Sequence[tuple[Any, ...]]) -> None:
        """What is found by something else than the channel's name stands in keys of its own."""
        # Good to a second: the client misreads the fraction. What counts is `touched`, which a script writes.
        used_at = milliseconds((await self._engine.command("time")).timestamp())
        calls = [("zadd", self._keys.channels, dict.fromkeys(channels, used_at)), *calls]
        if listener is not None:
            calls.append(("sadd", self._keys.listeners, [listener]))
            calls.append(("sadd", self._keys.listens(listener), channels))
        await self._engine.commands(calls)

    async def _make_room(self) -> None:
        """Let go of the idle channel that was used least recently, where there are as many as may be."""
        count = await self._engine.command("zcard", self._keys.channels)
        if count < self._limits.max_channels:
            return
        for name in await self._engine.command("zrange", self._keys.channels, 0, LOOKED_AT - 1):
            if await self.tidy(name.decode(), idle_for=None):
                return
        raise StoreFull(f"the store holds {count} channels, which is the limit; none is idle")

    async def tidy(self, channel: str, idle_for: float | None) -> bool:
        """Forget what has had its time on a channel, and itself if it is idle; whether it is gone.

        Args:
            channel: The channel.
            idle_for: Seconds after which an idle one goes; None for at once.
        """
        wait = "" if idle_for is None else milliseconds(idle_for)
        answer = await self._engine.run("tidy", self._keys.channel(channel), [wait])
        if answer[0] == b"there":
            await self._engine.command("zadd", self._keys.channels, {channel: int(answer[1])})
            return False
        calls: list[tuple[Any, ...]] = [("zrem", self._keys.channels, [channel])]
        calls += [("srem", self._keys.session(label.decode()), [channel]) for label in answer[1]]
        await self._engine.commands(calls)
        return True

    async def leave(self, channel: str, listener: str) -> None:
        """See `Store.leave`."""
        await self._engine.run("leave", self._keys.channel(channel), [listener])
        await self._engine.command("srem", self._keys.listens(listener), [channel])

    async def append(self, batch: Sequence[Entry], copies: tuple[int, int] | None) -> list[Receipt]:
        """See `Store.append`; for `copies` see `Engine.run_all`."""
        answers = await self._engine.run_all([self._append(entry) for entry in batch], copies)
        return [_receipt(answer) for answer in answers]

    def _append(self, entry: Entry) -> Call:
        task_id = "" if entry.claim is None else entry.claim.task_id
        messages = self._that_fit(entry.messages)
        limits = self._limits
        args: list[str | bytes | int] = [
            self._keys.prefix,
            entry.channel,
            task_id,
            entry.writer,
            entry.seq,
            entry.known,
            "" if entry.claim is None else entry.claim.token,
            len(entry.messages),
            len(messages),
            b"\n".join(messages),
            entry.messages[-1] if entry.messages and entry.end is not None else b"",
            int(entry.state is not None),
            entry.state or b"",
            entry.end or "",
            int(entry.checkpoint is not None),
            entry.checkpoint or b"",
            entry.taken,
            limits.max_messages,
            limits.max_bytes,
            limits.max_kept,
            milliseconds(limits.task_ttl),
            f" {' '.join(self._own)} ",
            MOST_IN_A_BELL,
        ]
        return "append", self._keys.channel(entry.channel, task_id), args

    def _that_fit(self, messages: Sequence[bytes]) -> Sequence[bytes]:
        """The last messages of an entry that a log can hold; at least one."""
        size, start = 0, len(messages)
        while start > 0 and len(messages) - start < self._limits.max_messages:
            size += len(messages[start - 1])
            if size > self._limits.max_bytes and start < len(messages):
                break
            start -= 1
        return messages[start:]

    async def read(self, channel: str, after: int, max_messages: int, max_bytes: int) -> Page | None:
        """See `Store.read`."""
        answer = await self._engine.run("read", self._keys.channel(channel), [after, max_messages, max_bytes])
        if not answer:
            return None
        oldest, head, kind, first = int(answer[0]), int(answer[1]), answer[2], int(answer[3])
        if kind == b"kept":
            return Page(first, [answer[4]], oldest, head)
        return Page(first, _page(first, answer[4], max_messages, max_bytes), oldest, head)

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        """See `Store.sent`."""
        if cursors:
            await self._engine.run_all(
                [("sent", self._keys.channel(name), [listener, cursor]) for name, cursor in cursors.items()]
            )

    async def channels(self, session: str) -> list[str]:
        """See `Store.channels`."""
        if session == "*":
            return [name.decode() for name in await self._engine.command("zrange", self._keys.channels, 0, -1)]
        return [name.decode() for name in await self._engine.command("smembers", self._keys.session(session))]

    async def used_before(self, seconds: float) -> list[str]:
        """The channels that were not known to be used for so long."""
        now = (await self._engine.command("time")).timestamp()
        found = await self._engine.scored_below(self._keys.channels, milliseconds(now - seconds))
        return [name.decode() for name in found]


def _state(answer: Sequence[Any]) -> ChannelState:
    """A channel as `open.lua` gives it."""
    return ChannelState(answer[1].decode(), int(answer[2]), int(answer[3]), int(answer[4]))


def _receipt(answer: Sequence[Any]) -> Receipt:
    kind = answer[0]
    if kind == b"A":
        return Appended(int(answer[1]), int(answer[2]), bool(answer[3]))
    if kind == b"R":
        return Refused(answer[1].decode(), int(answer[2]) if len(answer) > 2 else None)
    return Fenced() if kind == b"F" else Ended()


def _page(first: int, entries: Sequence[Any], max_messages: int, max_bytes: int) -> list[bytes]:
    """The messages from number `first` on, out of whole entries."""
    messages: list[bytes] = []
    size = 0
    for last, data in entries:
        stored = data.split(b"\n")
        begins = int(last) - len(stored) + 1
        for message in stored[max(0, first + len(messages) - begins) :]:
            size += len(message)
            if messages and (size > max_bytes or len(messages) == max_messages):
                return messages
            messages.append(message)
    return messages

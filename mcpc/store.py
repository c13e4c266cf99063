"""What a store is: the protocol that keeps tasks and logs for longer than a process, its values and its contract.

A *store* holds channels (each a numbered log of messages), tasks, and what is
signalled to tasks. Several processes may use one store at the same time, each
through a handle of its own. A store knows nothing of the wire, of workers or of
connections: messages, states, arguments and checkpoints are bytes that it gives
back as they came. A message holds no newline (it is compact JSON), so a store
may join messages by one.

A channel is named by `channel_id(key)`, the SHA-256 of its secret key: no store
ever sees a key, and who reads the store's files cannot listen.

The contract
------------
Each of these is a clause of `mcpc.testing.check_store`.

1. *Numbers.* The messages of a channel are numbered from 1. Numbers rise by one and
   never repeat, whichever handles append, and across restarts. The messages of one
   entry are contiguous.
2. *All or nothing.* An entry lands whole: its messages, state, end and checkpoint
   together; or nothing of it does. The entries of one writer land in the order of
   their `seq`. `append` may land some entries of a batch and then raise: the same
   batch is then sent again.
3. *Retry.* The entry that a writer sent last (the same `writer` and `seq`) may be sent
   again: it gives the first receipt again and changes nothing. One that is not the
   next of its writer is refused.
4. *Fence.* Only the holder of a task's newest claim appends for it. An older token is
   `Fenced`, whatever the clocks say. A task that was handed off is claimed by nobody
   but who takes it by its id.
5. *One end.* A task ends once. After that every append for it is `Ended`, every signal
   raises `TaskEnded`, bar `stop`, which does nothing.
6. *Seen by all.* What `append` acknowledged every later `read` sees, through any handle.
7. *Last messages.* A terminal message stays readable until its time to live ends, even
   when the log has let go of its neighbours.
8. *Bells.* `changes` may lose, repeat and merge bells; after it may have lost some it
   says `look`. The truth is what `read` says. A bell may bring a channel's newest messages:
   those that `read` would give.
9. *Lost is not none.* If the log ends below a number that a writer (`Entry.known`) or a
   listener (`after` of the same epoch) knows, its head jumps there: the hole is a gap,
   and no number comes to mean two things.
10. *Bounds.* Every bound is one of `StoreLimits`. The oldest messages make room for new
   ones; a terminal message in its time does not. What has no room is refused.
11. *Clock.* Leases and times to live are measured by the store's clock, never by that
   of a process that uses it.
12. *Cancellation.* Any call may be cancelled at any of its waits, and leaves the store
   usable. Whether it took effect is settled by doing it again (3).

Errors: methods raise `StoreUnavailable` (retry is sensible), `StoreFull`,
`StoreSchema`, `StoreRefused`, and the `TaskError` that each one names; never what
the engine below raises.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from mcpc.stored import (
    Change,
    ChannelState,
    Claim,
    Counts,
    Entered,
    Entry,
    NewTask,
    Page,
    Place,
    Receipt,
    Signal,
    StoredTask,
    StoreLimits,
)
from mcpc.transport import URI

__all__ = ["Store", "StoreKind"]


class Store(Protocol):
    """One handle of a store. See the module's text for the contract."""

    @property
    def shared(self) -> bool:
        """Whether other processes can use the same store at the same time."""
        ...

    @property
    def limits(self) -> StoreLimits:
        """The bounds it was opened with."""
        ...

    async def open(
        self,
        channel: str,
        *,
        principal: str | None,
        session: str | None = None,
        listener: str | None = None,
        after: int = 0,
        epoch: str | None = None,
    ) -> ChannelState | None:
        """The channel as it stands, made where there is none; None where it is another principal's.

        Args:
            channel: See `channel_id`.
            principal: Whose it is.
            session: A label under which `channels` finds it from now on.
            listener: The process where somebody listens from now on, in place of the one before.
            after: The number that the listener has had.
            epoch: The epoch in which it had it: the head jumps there if it is this log's (9).

        Raises:
            StoreFull: there are as many channels as may be, and none is idle.
        """
        ...

    async def listen(self, listener: str, places: Mapping[str, Place]) -> dict[str, ChannelState | None]:
        """Say again who listens in that process, and where each is: by channel, what `open` would have given.

        For very many channels at once: a store does it in as few steps as it can.

        Raises:
            StoreFull: see `open`.
        """
        ...

    async def leave(self, channel: str, listener: str) -> None:
        """Nobody listens in that process any more; nothing where another one has taken its place."""
        ...

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        """Let each entry land in one step of its own, in order; a receipt for each."""
        ...

    async def read(self, channel: str, after: int, *, max_messages: int, max_bytes: int) -> Page | None:
        """The next messages after number `after`, or None where there are none.

        At least one message, at most `max_messages`, and no more than `max_bytes` unless the first alone is larger.
        A page that does not start at `after + 1` follows a gap. Terminal messages below `oldest` come alone.
        """
        ...

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        """What was sent, by channel, to those that listen in that process."""
        ...

    async def channels(self, session: str) -> list[str]:
        """The channels that were opened under that label; all there are, for `*`."""
        ...

    async def enter(self, task: NewTask, *, runner: str | None) -> Entered:
        """Enter a new task, and claim it for `runner`; None leaves it queued.

        Raises:
            DuplicateTask: the id is in use.
            TooManyTasks: the channel has as many as may be, or as many terminal messages that nobody has read.
            StoreRefused: there is no such channel.
        """
        ...

    async def task(self, task_id: str) -> StoredTask | None:
        """The task of that id, whoever's it is."""
        ...

    async def tasks(self, channel: str, *, limit: int = 1000) -> list[StoredTask]:
        """The tasks of a channel, oldest first; the newest of them, where there are more than `limit`."""
        ...

    async def keyed(self, channel: str, key: str) -> StoredTask | None:
        """The task of a channel that was entered with that key."""
        ...

    async def signal(self, task_id: str, signal: Signal) -> int:
        """Say something to a task; the signal's number. A second `stop`, or one after the end, changes nothing.

        Raises:
            UnknownTask: there is none of that id.
            TaskEnded: it has ended.
            InputRefused: as many inputs wait as may.
            PromptError: the question has been answered (`closed`).
        """
        ...

    async def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """What was said to each of these tasks after the signal of that number, in order.

        A task to which nothing was said is left out, and one of an old claim. Signals that were taken before the last
        checkpoint are gone, bar answers. For very many tasks at once: a store does it in as few steps as it can.
        """
        ...

    async def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        """Take the queued task that has waited longest and is a call of one of these tools."""
        ...

    async def beat(self, runner: str, ttl: float, claims: Collection[Claim]) -> set[str]:
        """The runner is alive, for another `ttl` seconds; the ids of those tasks that are still its own.

        One that has ended is nobody's. A runner that takes a task without having said so is given a first lease,
        of some seconds.
        """
        ...

    async def take(self, runner: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        """Take the task of that id, if it is queued or handed off; None where it is not, or there is none."""
        ...

    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        """Give a task back. Nothing where the claim is an old one, or the task has ended.

        Args:
            claim: The right to run it.
            handed: It is handed off: to who knows its id (`take`), and not to be claimed by anybody else.
        """
        ...

    async def reap(self) -> list[StoredTask]:
        """Look after the tasks of runners that are gone: end those that may not run again, queue the others.

        A task that was begun as often as it may be is ended, too. Returns those that ended here, each once
        for all handles.
        """
        ...

    async def sweep(self) -> Counts:
        """Forget what has had its time."""
        ...

    def changes(self) -> AsyncIterator[Change]:
        """Bells, for what other handles do, from now on; without end. To be iterated over by one task."""
        ...


class StoreKind(Protocol):
    """What serves a scheme: opens stores. Its keyword parameters, beside `limits`, are the options of its URIs."""

    def open(self, uri: URI, /, *args: Any, **options: Any) -> AbstractAsyncContextManager[Store]:
        """A handle of the store at `uri`, with bounds (`limits`, a `StoreLimits`) and options (as in `?sync=full`).

        Once it is left, or its process is dead, its runners are gone.

        Raises (on entering):
            URIError: the address cannot be used.
            StoreUnavailable, StoreSchema, StoreRefused: the store cannot.

        A kind may also have `async def inspect(uri, /, *, limits, **options) -> StoreReport`, for `mcpc store check`:
        what is there, as it is, without making or changing anything.
        """
        ...

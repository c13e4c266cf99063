"""What goes into a store and comes out of it: channels, tasks, entries and receipts, signals. Plain values.

The rules that they follow are in `mcpc.store`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Appended",
    "Change",
    "ChannelState",
    "Claim",
    "Counts",
    "Ended",
    "Entered",
    "Entry",
    "Fenced",
    "NewTask",
    "OnInterrupt",
    "Page",
    "Place",
    "Receipt",
    "Refused",
    "Signal",
    "StoreLimits",
    "StoreReport",
    "StoredTask",
    "channel_id",
]

OnInterrupt = Literal["fail", "restart", "resume"]
"""What becomes of a task whose process died: it ends as failed, or runs again (from the start, or a checkpoint)."""


def channel_id(key: str) -> str:
    """The name under which a store keeps the channel of that secret key."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class StoreLimits:
    """The bounds of a store. Every handle of one store is opened with the same."""

    max_channels: int = 10_000
    """Channels at once; the one idle for longest makes room, and where none is idle a new one is refused."""
    max_messages: int = 10_000
    """Messages in the log of a channel."""
    max_bytes: int = 16 * 1024 * 1024
    """Bytes of messages in the log of a channel. A single larger message is still held, alone."""
    max_kept: int = 10_000
    """Terminal messages of a channel that outlived their place in its log and were not sent to a listener yet; with
    as many, no task of the channel is entered."""
    max_tasks_per_channel: int = 1000
    """Tasks of a channel that have not ended."""
    max_tasks_per_principal: int | None = None
    """Tasks that have not ended on all channels of one principal together; None for any number. Channels that are
    nobody's are not counted together."""
    max_queued: int = 10_000
    """Tasks of one tool that wait for a worker; with as many, no other is entered for one. A task that is to run again
    is never refused."""
    max_ended_tasks: int = 10_000
    """Ended tasks that are remembered; beyond it `sweep` forgets the first ended (not its terminal message)."""
    max_inputs: int = 1000
    """Inputs of a task that its worker has not taken."""
    max_sessions: int = 10_000
    """Session labels remembered for a channel; beyond them the oldest is forgotten."""
    task_ttl: float = 300.0
    """Seconds for which an ended task and its terminal message are kept."""
    channel_ttl: float = 300.0
    """Seconds for which a channel is kept that has no task and that nobody has used."""


# --- channels and logs ---


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel as it stands."""

    epoch: str
    """Names this log: another epoch under the same channel means that the log was lost."""
    oldest: int
    """The number from which the log is whole, up to `head`; `head + 1` where it is empty."""
    head: int
    """The number of the newest message; 0 where there was none."""
    cursor: int
    """The highest number that a listener was sent."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody who listens to a channel is. As in `Store.open`."""

    principal: str | None
    after: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Page:
    """Messages with contiguous numbers, and the log as it stood when they were read."""

    first: int
    messages: list[bytes]
    oldest: int
    head: int

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self.first + len(self.messages) - 1


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a task: who holds the newest one may append for it."""

    task_id: str
    channel: str
    token: int
    """Rises with every claim of the task."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one writer appends to one channel in one step.

    A batch holds at most one entry of each writer and channel.
    """

    channel: str
    writer: str
    """Who writes, a name made at random; each has a sequence of its own on each channel."""
    seq: int
    """Rises by one with each entry of the writer on the channel that was not refused."""
    messages: Sequence[bytes] = ()
    known: int = 0
    """The highest number of the channel that the writer knows."""
    claim: Claim | None = None
    """For which task; None for messages that are no task's."""
    state: bytes | None = None
    """The task's state from now on; None where it has not changed."""
    end: Literal["complete", "failed"] | None = None
    """The task ends with this entry; its last message, if it has any, is the terminal one."""
    checkpoint: bytes | None = None
    """From where the task may be resumed. Inputs up to `taken` do not come again after it."""
    taken: int = 0
    """The number of the last signal that the worker has taken; 0 where that has not changed."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The entry has landed."""

    first: int
    """The number of its first message; of the next one, where it had none."""
    cursor: int
    """The highest number that a listener of the channel was sent."""
    listening: bool
    """Whether somebody listens to the channel."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Somebody else has claimed the task since, or nobody knows it any more. Nothing landed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The task has ended before. Nothing landed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The entry cannot land, now or later: an unknown channel, or not the next of its writer."""

    why: str
    after: int | None = None
    """The `seq` of the writer's last entry that the store knows, where this one is not the next. A store that lost its
    newest entries (9) knows fewer than the writer was told had landed."""


Receipt = Appended | Fenced | Ended | Refused


# --- tasks ---


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be entered."""

    task_id: str
    channel: str
    tool_name: str
    session_id: str
    state: bytes
    on_interrupt: OnInterrupt = "fail"
    max_attempts: int = 3
    """How often it may be begun at the most, where it may run again."""
    arguments: bytes | None = None
    """What its worker is called with; None where it never runs again or elsewhere."""
    interrupted: bytes = b""
    """The terminal message that ends it if its process dies and it may not run again; empty where it has none."""
    key: str | None = None
    """Names the start: the same key on the same channel is the same task."""


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as a store keeps it. Times are seconds since the epoch, by the store's clock."""

    task_id: str
    channel: str
    tool_name: str
    session_id: str
    principal: str | None
    """Whose channel it is on."""
    status: Literal["queued", "handed", "running", "complete", "failed"]
    """`queued` waits for a claim, `handed` for who knows its id; more than that only `state` knows."""
    state: bytes
    on_interrupt: OnInterrupt
    token: int
    attempt: int
    """How often it was claimed."""
    created_at: float
    updated_at: float
    expires_at: float | None = None
    """When it may be forgotten; None while it has not ended."""
    end_number: int = 0
    """The number of its terminal message; 0 where there is none."""
    was_interrupted: bool = False
    """Whether it was ended by `reap`: then `state` is the last that its worker told."""
    arguments: bytes | None = None
    checkpoint: bytes | None = None
    taken: int = 0
    """The number of the last signal that the checkpoint covers."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ("complete", "failed")


@dataclass(frozen=True, slots=True)
class Entered:
    """What `enter` did."""

    task_id: str
    """The task's id: an older one's, where the key was known."""
    claim: Claim | None
    """The right to run it; None where it is queued, or was there."""
    is_new: bool


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that is said to a running task."""

    kind: Literal["input", "answer", "refusal", "stop"]
    value: bytes | None = None
    """The input or the answer; of a refusal, how it was refused."""
    prompt_id: str | None = None
    """Which question is answered or refused. A question takes one answer."""
    number: int = 0
    """Its place among the task's signals, from 1; given by the store."""


@dataclass(frozen=True, slots=True)
class Change:
    """A bell: something may have changed."""

    kind: Literal["channel", "task", "signal", "look"]
    """`look`: anything may have."""
    subject: str = ""
    """The channel, or the task's id."""
    last: int = field(default=0, compare=False)
    """The number of the channel's newest message, or of the one that a task said; 0 where the bell does not tell."""
    messages: Sequence[bytes] = field(default=(), compare=False)
    """The messages up to `last`, as many as the bell has brought: they need not be read."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What `sweep` let go of."""

    channels: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a store is like, for who looks after it."""

    engine: str
    """What keeps it, with its version."""
    schema: int | None = None
    """The number of the layout of what is kept."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """How it is set up, as far as that matters here."""
    problems: tuple[str, ...] = ()
    """Why it may lose what it is given, or cannot be used."""
    notes: tuple[str, ...] = ()
    """What else is good to know."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """How much of what is kept."""

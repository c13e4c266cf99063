"""What a store in memory keeps, and all of its handles share: channels, tasks, runners. Plain records."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from mcpc.stored import Change, NewTask, Signal, StoredTask

__all__ = ["Channel", "Data", "Task"]


@dataclass(eq=False)
class Channel:
    """A channel and its log."""

    name: str
    principal: str | None
    epoch: str
    touched: float
    head: int = 0
    oldest: int = 1
    size: int = 0
    cursor: int = 0
    listener: str | None = None
    log: OrderedDict[int, bytes] = field(default_factory=OrderedDict[int, bytes])
    """A plain dict would look at all that has gone to find its first."""
    kept: dict[int, tuple[bytes, float]] = field(default_factory=dict[int, tuple[bytes, float]])
    writers: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    sessions: dict[str, None] = field(default_factory=dict[str, None])


@dataclass(eq=False)
class Task:
    """A task, and what only the store knows of it."""

    stored: StoredTask
    new: NewTask
    runner: str | None
    interruptions: int = 0
    read: int = 0
    signalled: int = 0
    signals: list[Signal] = field(default_factory=list[Signal])
    expires: float = 0.0
    """When an ended one may be forgotten, by the steady clock."""


@dataclass(eq=False)
class Data:
    """What all handles of one name share. A handle is known by what it hears bells with."""

    channels: dict[str, Channel] = field(default_factory=dict[str, Channel])
    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    keys: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    runners: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    """Who is alive: the name of its handle, and until when."""
    handles: dict[str, Callable[[Change], None]] = field(default_factory=dict[str, Callable[[Change], None]])

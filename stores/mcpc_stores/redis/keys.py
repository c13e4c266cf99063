"""The names of everything in Redis: one place, so that an ACL by prefix covers all of it."""

import hashlib
from dataclasses import dataclass

__all__ = ["PREFIX", "Keys"]

PREFIX = "mcpc:1:"
"""What every key begins with. The number is the schema's: another one reads and writes other keys."""


@dataclass(frozen=True)
class Keys:
    """The names below a prefix."""

    prefix: str = PREFIX

    def channel(self, channel: str, task_id: str = "") -> list[str]:
        """The keys that a script of a channel is given, in the order that `common.lua` names them in."""
        tag = f"{self.prefix}{{{channel}}}:"
        names = ("meta", "log", "kept", "data", "expiry", "tasks", "starts", "sessions")
        return [*(tag + name for name in names), f"{tag}task:{task_id}", f"{tag}signals:{task_id}"]

    def task(self, channel: str, task_id: str) -> str:
        """What is known of a task."""
        return self.channel(channel, task_id)[8]

    def tasks(self, channel: str) -> str:
        """The ids of a channel's tasks, in the order in which they came."""
        return self.channel(channel)[5]

    def starts(self, channel: str) -> str:
        """The keys of starts, each with its task."""
        return self.channel(channel)[6]

    def where(self, task_id: str) -> str:
        """On which channel a task is."""
        return f"{self.prefix}where:{task_id}"

    def session(self, session: str) -> str:
        """The channels of a session label, which is free text: so it is hashed."""
        return f"{self.prefix}session:{hashlib.sha256(session.encode()).hexdigest()}"

    def principal(self, principal: bytes) -> str:
        """The open tasks of a principal, whose name is hashed."""
        return f"{self.prefix}principal:{hashlib.sha256(principal).hexdigest()}"

    def held(self, runner: str) -> str:
        """What a runner has claimed."""
        return f"{self.prefix}held:{runner}"

    def listens(self, listener: str) -> str:
        """The channels that a process listens to."""
        return f"{self.prefix}listens:{listener}"

    def queue(self, tool: str) -> str:
        """The queued tasks of a tool, by when they were queued."""
        return f"{self.prefix}queue:{tool}"

    def inbox(self, name: str) -> str:
        """Where the bells of one process ring."""
        return f"{self.prefix}inbox:{name}"

    @property
    def ring(self) -> str:
        """Where the bells of all processes ring."""
        return f"{self.prefix}ring"

    @property
    def channels(self) -> str:
        """All channels, by when they were last known to be used."""
        return f"{self.prefix}channels"

    @property
    def listeners(self) -> str:
        """The processes that listen to anything."""
        return f"{self.prefix}listeners"

    @property
    def runners(self) -> str:
        """The runners, by when their lease ends."""
        return f"{self.prefix}runners"

    @property
    def ended(self) -> str:
        """Ended tasks, by when they may be forgotten."""
        return f"{self.prefix}ended"

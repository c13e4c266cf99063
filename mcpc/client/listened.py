"""A client whose messages go to whoever listens: what an application adds to it, and what it may look at.

Knows nothing of how messages come, nor of how tasks are started.
"""

from collections.abc import Callable
from typing import Any, Unpack
from weakref import WeakValueDictionary

from mcpc.client.answering import PromptHandler
from mcpc.client.handle import TaskHandle
from mcpc.client.inbox import Inbox
from mcpc.client.reconnecting import ReconnectingClient
from mcpc.client.router import Router
from mcpc.client.stats import ClientStats, read_stats
from mcpc.dispatcher import Registration
from mcpc.matching import Matches
from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES, Overflow

__all__ = ["ListenedClient"]


class ListenedClient(ReconnectingClient):
    """A client that is listened to. Who builds on it makes the inbox, and the router that it fills."""

    _router: Router
    _inbox: Inbox

    @property
    def tasks(self) -> WeakValueDictionary[str, TaskHandle]:
        """The handles of tasks that have not ended, by id. One that nobody holds is gone, and keeps no messages."""
        return self._router.handles

    @property
    def stats(self) -> ClientStats:
        """What waits for room here, and what was lost or refused: a reading of the counters, taken now."""
        return read_stats(self._inbox)

    @property
    def prompt_handlers(self) -> list[PromptHandler]:
        """What `on_prompt` added; the last one answers."""
        return self._router.answering.handlers

    def add_event_listener(
        self,
        listener: Callable[[MCPCMessage], Any],
        *,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        **matches: Unpack[Matches],
    ) -> Registration:
        """Call `listener`, sync or async, with every message that matches; server events too.

        Args:
            listener: The listener.
            capacity: Messages that may wait for an async listener.
            overflow: What happens when that many wait; see `mcpc.queue.Overflow`.
            capacity_bytes: Bytes of them that may wait; a single larger one still may.
            matches: Members (`session_id`, `task_id`, `tool_name`, `type`, `event`) that must be equal.
        """
        add = self._router.listeners.add
        return add(listener, capacity=capacity, overflow=overflow, capacity_bytes=capacity_bytes, **matches)

    def remove_event_listener(self, listener: Callable[[MCPCMessage], Any]) -> None:
        """Call `listener` no more."""
        self._router.listeners.remove(listener)

    def on_prompt(self, handler: PromptHandler) -> PromptHandler:
        """Let `handler`, sync or async, answer what tasks and servers ask (`task.ask`, elicitation). A decorator."""
        self.prompt_handlers.append(handler)
        return handler

"""Rounds: a plain call of 2026-07-28 is answered with questions, and comes back with the answers (SEP-2322).

The worker runs on meanwhile. Which call comes back is told by its `requestState`: unguessable, good for one round,
for its principal and its tool only. What is unknown, foreign or used up gives one and the same error, and that in the
words of the SDK: its `MCPServer` seals every state once more, and refuses what it did not seal by itself.
"""

import secrets
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from mcpc.server.call import Call
from mcpc.wire.standard import INVALID_STATE

__all__ = ["RoundTable", "Waiting", "is_ours"]

PREFIX = "mcpc."
"""What our states begin with: a tool's own rounds have other states."""


class Waiting(Protocol):
    """A call that waits for its caller to come back."""

    async def resume(self, call: Call, responses: dict[str, Any]) -> HandlerResult:
        """Go on with the answers, for a new request."""
        ...

    def abandon(self) -> None:
        """Its caller did not come back."""
        ...


@dataclass(frozen=True)
class _Round:
    waiting: Waiting
    principal: Hashable | None
    tool_name: str
    taken: anyio.Event


def is_ours(state: Any) -> bool:
    """Whether a `requestState` is one of ours."""
    return isinstance(state, str) and state.startswith(PREFIX)


class RoundTable:
    """The rounds of one server that are open.

    Args:
        time_to_live: Seconds for which one waits.
    """

    def __init__(self, time_to_live: float) -> None:
        self._time_to_live = time_to_live
        self._rounds: dict[str, _Round] = {}

    def open(self, waiting: Waiting, principal: Hashable | None, tool_name: str) -> str:
        """Open a round, and return its state. `expire` must run for it."""
        state = PREFIX + secrets.token_urlsafe(32)
        self._rounds[state] = _Round(waiting, principal, tool_name, anyio.Event())
        return state

    async def expire(self, state: str) -> None:
        """Wait until the round is taken, or its time is over."""
        found = self._rounds.get(state)
        if found is None:
            return
        with anyio.move_on_after(self._time_to_live):
            await found.taken.wait()
        if self._rounds.pop(state, None) is not None:
            found.waiting.abandon()

    def take(self, state: str, principal: Hashable | None, tool_name: str) -> Waiting:
        """The call that waits for that state, which is used up now.

        Raises:
            MCPError: there is none for this caller.
        """
        found = self._rounds.get(state)
        if found is None or found.principal != principal or found.tool_name != tool_name:
            raise MCPError(INVALID_PARAMS, "Invalid or expired requestState", {"reason": INVALID_STATE})
        del self._rounds[state]
        found.taken.set()
        return found.waiting

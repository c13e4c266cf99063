"""Whom what is bounded is counted for, and what is said to one who may have no more.

A client is its principal, where the transport authenticates; else its channel, and beside it what no client can make
up: the connection that it came over, or the address. Knows nothing of tasks and journals.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from mcpc.shares import Shares

__all__ = ["Bound", "holders_of"]


def holders_of(
    principal: Hashable | None, channel: str | None = None, client: Hashable | None = None
) -> tuple[Hashable, ...]:
    """Whom something is counted for, the narrowest first.

    Args:
        principal: Who asks, where the transport authenticates.
        channel: The key of their channel, which they have made up themselves.
        client: The connection or the address that they came over.
    """
    if principal is not None:
        return (("principal", principal),)
    named = None if channel is None else ("channel", channel)
    return tuple(holder for holder in (named, client) if holder is not None)


@dataclass(frozen=True)
class Bound:
    """A bound and who has what of it, in words for those who may have no more.

    Args:
        shares: Who has how much.
        name: The limit's name.
        things: What is counted, and how it is taken: `tasks run at once`.
    """

    shares: Shares
    name: str
    things: str

    def refusal(self, holders: tuple[Hashable, ...], size: int = 1) -> tuple[str, str, float] | None:
        """Why there is no room: the text, and the limit's name and value; None where there is room."""
        shares = self.shares
        why = shares.refusal(holders, size)
        if why is None:
            return None
        all_of_them = f"{shares.limit} {self.things}"
        if why == "all":
            change = f"MCPCHelper(server, {self.name}=…) sets it"
            return f"{all_of_them}, which is the limit ({self.name}); {change}", self.name, shares.limit
        if why == "most":
            name, most = f"{self.name}_per_client", shares.most or 0
            text = f"{most} {self.things} for this client, which is the limit ({name}); "
            return f"{text}MCPCHelper(server, {name}=…) sets it", name, most
        text = f"this client has as many as it may of the {all_of_them}: the rest is kept for others (client_share)"
        return f"{text}; MCPCHelper(server, client_share=…) sets how much", "client_share", shares.share

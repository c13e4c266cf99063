"""EXPERIMENTAL: what follows drafts that still move, and changes with them, in any release.

MCP Events (modelcontextprotocol/experimental-ext-triggers-events, read at commit 082166f): `serve_events` on a server,
`list_events` and `subscribe` at a client. See `docs/events.md`.
"""

from mcpc.client.subscription import Delivery, Event, Subscription, list_events, subscribe
from mcpc.server.event_methods import TASK_ENDED, serve_events
from mcpc.server.events import OfferedEvent

__all__ = [
    "Delivery",
    "Event",
    "OfferedEvent",
    "Subscription",
    "TASK_ENDED",
    "list_events",
    "serve_events",
    "subscribe",
]

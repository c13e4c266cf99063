"""What one server says of its lists: that one has changed. It is listed anew then, and whoever asked is told.

Before 2026-07-28 a server says it unasked; since then it has to be asked (`subscriptions/listen`, SEP-2575). Many
changes that come at once are one. Knows nothing of names at the gateway, nor of its clients.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import PromptListChangedNotification, ResourceListChangedNotification, ToolListChangedNotification

from mcpc.client import Backoff, Client
from mcpc.errors import MCPCError
from mcpc.gateway.catalogue import Catalogue, Kind, Listed
from mcpc.logs import logger_of

__all__ = ["ListChanges"]

logger: logging.Logger = logger_of(__name__)

FIRST, LONGEST = 0.5, 30.0
"""Seconds of the first wait before a stream of changes that has ended is opened again, and of any, at the most."""

_SAYS: dict[type[object], Listed] = {
    ToolListChangedNotification: "tools",
    ToolsListChanged: "tools",
    PromptListChangedNotification: "prompts",
    PromptsListChanged: "prompts",
    ResourceListChangedNotification: "resources",
    ResourcesListChanged: "resources",
}
"""What has changed, by what says so: a notification, or an event of the stream."""

_KINDS: dict[Listed, tuple[Kind, ...]] = {
    "tools": ("tools",),
    "prompts": ("prompts",),
    "resources": ("resources", "resource_templates"),
}


class ListChanges:
    """The changes of one server's lists.

    Args:
        catalogue: Where it is listed.
        tell: Told of each list that has changed, once it is listed anew.
    """

    def __init__(self, catalogue: Catalogue, tell: Callable[[Listed], Awaitable[None]]) -> None:
        self._catalogue = catalogue
        self._tell = tell
        self._marked: set[Listed] = set()
        self._wake = anyio.Event()
        self._scope: anyio.CancelScope | None = None

    async def heard(self, message: object) -> None:
        """A message that the server has sent unasked (the SDK's `message_handler`)."""
        if (what := _SAYS.get(type(message))) is not None:
            self.mark(what)
        await anyio.lowlevel.checkpoint()

    def mark(self, what: Listed) -> None:
        """A list has changed."""
        self._marked.add(what)
        self._wake.set()

    def mark_all(self, kinds: Iterable[Kind]) -> None:
        """These lists are others than they were."""
        for what, those in _KINDS.items():
            if not set(those).isdisjoint(kinds):
                self.mark(what)

    async def run(self, client: Client) -> None:
        """Follow the changes, until cancelled, or until it is called again for the next connection."""
        if self._scope is not None:
            self._scope.cancel()
        self._scope = anyio.CancelScope()
        with self._scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._listen, client)
                while True:
                    await self._wake.wait()
                    self._wake = anyio.Event()
                    while self._marked:
                        await self._list_anew(self._marked.pop(), client)

    async def _list_anew(self, what: Listed, client: Client) -> None:
        try:
            for kind in _KINDS[what]:
                await self._catalogue.refresh(kind, client)
            await self._tell(what)
        except anyio.get_cancelled_exc_class():
            self.mark(what)  # for the next connection
            raise

    async def _listen(self, client: Client) -> None:
        """Ask a server of the newer era to tell; again, where the stream ends and the connection does not."""
        backoff = Backoff(FIRST, LONGEST)
        while True:
            try:
                async with client.listen(**_changing(client)) as stream:
                    backoff.succeeded()
                    async for event in stream:
                        if (what := _SAYS.get(type(event))) is not None:
                            self.mark(what)
            except ListenNotSupportedError:
                return  # of the older era: it says so unasked
            except SubscriptionLost as exc:
                logger.debug("a stream of changes was lost: %s", exc)
            except (MCPError, MCPCError, TimeoutError, RuntimeError) as exc:
                logger.debug("a server does not tell when its lists change: %s", exc)
                return
            await backoff.wait()
            for what in _KINDS:
                self.mark(what)  # what was said meanwhile was said to nobody


def _changing(client: Client) -> dict[str, Any]:
    """What to ask for: the lists of which the server says that they change.

    Raises:
        ConnectionLost: there is no connection.
    """
    capabilities = client.server_capabilities
    return {f"{what}_list_changed": bool(getattr(getattr(capabilities, what), "list_changed", None)) for what in _KINDS}

"""What one server offers, as it was listed last: tools, prompts, resources and their templates.

What a server lists that is away stays listed: it comes back. Knows nothing of names at the gateway.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from mcpc.client import Client
from mcpc.errors import MCPCError
from mcpc.logs import logger_of

__all__ = ["Catalogue", "Kind", "Listed"]

logger: logging.Logger = logger_of(__name__)

Kind = Literal["tools", "prompts", "resources", "resource_templates"]

Listed = Literal["tools", "prompts", "resources"]
"""What may be said to have changed; templates are among the resources then."""

KINDS: tuple[Kind, ...] = ("tools", "prompts", "resources", "resource_templates")

MAX_PAGES = 1000
"""Pages of one list that are read."""

PATIENCE = 5.0
"""Seconds that a server has to list one kind; after that its last list stands."""


class Catalogue:
    """The last list of each kind."""

    def __init__(self) -> None:
        self._listed: dict[Kind, list[Any]] = {}

    def of(self, kind: Kind) -> list[Any]:
        """What was listed last."""
        return self._listed.get(kind, [])

    async def refresh(self, kind: Kind, client: Client) -> None:
        """List anew. Where that fails the last list stands."""
        try:
            if not _has(client, kind):
                return
            with anyio.fail_after(PATIENCE):
                self._listed[kind] = await _all_pages(getattr(client, f"list_{kind}"), kind)
        except (MCPError, MCPCError, TimeoutError, ValidationError, RuntimeError) as exc:
            logger.debug("a server did not list its %s: %s", kind, exc)

    async def refresh_all(self, client: Client) -> set[Kind]:
        """List every kind anew; the kinds of which the list is another one now."""
        before = dict(self._listed)
        async with anyio.create_task_group() as group:
            for kind in KINDS:
                group.start_soon(self.refresh, kind, client)
        return {kind for kind in KINDS if self.of(kind) != before.get(kind, [])}


def _has(client: Client, kind: Kind) -> bool:
    """Whether the server says that it has such things.

    Raises:
        ConnectionLost: there is no connection.
    """
    capabilities = client.server_capabilities
    return getattr(capabilities, "resources" if kind == "resource_templates" else kind) is not None


async def _all_pages(list_page: Callable[..., Awaitable[Any]], kind: Kind) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await list_page(cursor=cursor, cache_mode="refresh")
        found.extend(getattr(page, kind))
        cursor = page.next_cursor
        if cursor is None:
            return found
    logger.warning("a server lists more than %d pages of %s; the rest is left out", MAX_PAGES, kind)
    return found

"""The tools of a server as a user names them: listed, and found."""

from collections.abc import Sequence
from difflib import get_close_matches

from mcp_types import Tool

import mcpc
from mcpc.cli.mistakes import UserMistake

__all__ = ["check_known", "list_tools", "nearest"]


async def list_tools(client: mcpc.Client) -> list[Tool]:
    """Every tool of the server, page by page."""
    found: list[Tool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found.extend(page.tools)
        cursor = page.next_cursor
        if cursor is None:
            return found


def check_known(name: str, tools: Sequence[Tool]) -> None:
    """See that a tool is there, where the server says which are.

    Raises:
        UserMistake: it is not; the message names what there is, the nearest first.
    """
    names = [tool.name for tool in tools]
    if names and name not in names:
        raise UserMistake(f"the server has no tool {name!r}; {nearest(name, names)}it has: {', '.join(names)}")


def nearest(name: str, names: Sequence[str]) -> str:
    """`did you mean …? ` with what `name` may have been meant for, or nothing."""
    close = get_close_matches(name, names)
    return f"did you mean {' or '.join(repr(each) for each in close)}? " if close else ""

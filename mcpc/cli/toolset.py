"""The tools of a server as a user names them: listed, found, and written as one line."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from mcp_types import Tool

import mcpc
from mcpc.cli.mistakes import UserMistake
from mcpc.cli.values import compact

__all__ = ["check_known", "list_tools", "nearest", "parameters"]


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


def parameters(schema: dict[str, Any]) -> str:
    """The parameters of a tool in one line: `a: integer, b?: string`."""
    properties: dict[str, dict[str, Any]] = schema.get("properties") or {}
    required: list[str] = schema.get("required") or []
    return ", ".join(f"{name}{'' if name in required else '?'}: {_type(about)}" for name, about in properties.items())


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(compact(value) for value in schema["enum"])
    kinds: list[dict[str, Any]] = schema.get("anyOf") or []
    return " | ".join(_type(kind) for kind in kinds) or str(schema.get("type") or "any")

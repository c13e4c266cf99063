"""A `created` answer is not the tool's result: the SDK's check against the tool's output schema passes it by."""

from typing import Any, cast

from mcp.client import ClientSession
from mcp_types import CallToolResult

from mcpc.messages import PROTOCOL

__all__ = ["let_created_pass"]


def let_created_pass(session: ClientSession) -> None:
    """Have a session check results only. (It asks for the list of tools before its first check; that goes too.)"""
    check: Any = session.validate_tool_result
    if getattr(check, "lets_created_pass", False):
        return

    async def check_results(name: str, result: CallToolResult) -> None:
        if not _is_created(result):
            await check(name, result)

    check_results.lets_created_pass = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    session.validate_tool_result = check_results


def _is_created(result: CallToolResult) -> bool:
    content: Any = result.structured_content
    members = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    return members.get("protocol") == PROTOCOL and members.get("event") == "created"

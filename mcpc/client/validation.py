"""A `created` answer is not the tool's result: the SDK's check against the tool's output schema passes it by."""

from typing import Any, cast

from mcp.client import ClientSession
from mcp_types import CallToolResult

from mcpc.messages import PROTOCOL
from mcpc.sdk import pass_validation

__all__ = ["let_created_pass"]


def let_created_pass(session: ClientSession) -> None:
    """Have a session check results only."""
    pass_validation(session, _is_created)


def _is_created(result: CallToolResult) -> bool:
    content: Any = result.structured_content
    members = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    return members.get("protocol") == PROTOCOL and members.get("event") == "created"

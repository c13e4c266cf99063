"""What mcpc 0.2.1 and 0.2.6 do in their own way: their handshakes, and where their tools look for a call's metadata."""

from collections.abc import Mapping
from typing import Any

from mcp.server import Server
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.messages import MCPCInformation
from mcpc.server.kinds import tool_parameters
from mcpc.wire.calls import CallMetadata
from mcpc.wire.jsontext import as_object
from mcpc.wire.originals import (
    HANDSHAKE_TOOLS,
    PARAMETERS_ARGUMENT,
    OldForm,
    handshake_result,
    hide_parameter,
    with_metadata,
    without_metadata,
)
from mcpc.wire.standard import ARGUMENTS

__all__ = ["handshake_answer", "hide_parameters", "is_handshake", "old_arguments"]


def is_handshake(params: Mapping[str, Any]) -> bool:
    """Whether a tool call is an original's handshake; see protocol.md."""
    return params.get("name") in HANDSHAKE_TOOLS


def handshake_answer(name: str, ctx: ServerRequestContext[Any, Any]) -> dict[str, Any]:
    """What a server of that name answers to an original's handshake."""
    modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    return handshake_result(MCPCInformation(mcpc_provider=name), modern=modern)


def old_arguments(
    server: Any, params: Mapping[str, Any], metadata: CallMetadata, *, background: bool
) -> dict[str, Any] | None:
    """The tool's arguments, with the metadata where the tool looks for it (mcpc 0.2 style) and nowhere else.

    None for an ordinary call: they stay as they are.

    Args:
        server: The server as its author made it.
        params: Of the call.
        metadata: Read from them.
        background: Whether the tool was made with `@callbacks.tool()`.
    """
    if metadata.form == "none":
        return None
    arguments = without_metadata(params.get(ARGUMENTS) or {})
    if isinstance(server, Server) and not background:
        form: OldForm = "0.2.1"
    elif PARAMETERS_ARGUMENT in tool_parameters(server, params.get("name")):
        form = "0.2.6"
    else:
        return arguments
    return with_metadata(form, arguments, session_id=metadata.session_id, task_id=metadata.task_id)


def hide_parameters(result: HandlerResult) -> HandlerResult:
    """Leave `mcpc_params` (mcpc 0.2.6 style) out of the listed schemas: it is not for the model to fill."""
    for tool in as_object(result).get("tools") or ():
        hide_parameter(tool)
    return result

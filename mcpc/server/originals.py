"""What mcpc 0.2.1 and 0.2.6 do in their own way: their handshakes, and where their tools look for a call's metadata."""

from collections.abc import Mapping
from typing import Any, cast

from mcp.server import Server
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.messages import MCPCInformation
from mcpc.server.kinds import tool_parameters
from mcpc.wire.calls import CallMetadata
from mcpc.wire.originals import HANDSHAKE_TOOLS

__all__ = ["handshake_answer", "hide_parameters", "is_handshake", "old_arguments"]


def is_handshake(params: Mapping[str, Any]) -> bool:
    """Whether a tool call is an original's handshake; see protocol.md."""
    return params.get("name") in HANDSHAKE_TOOLS


def handshake_answer(name: str, ctx: ServerRequestContext[Any, Any]) -> dict[str, Any]:
    """What a server of that name answers to an original's handshake."""
    info = MCPCInformation(mcpc_provider=name)
    result: dict[str, Any] = {"content": [{"type": "text", "text": info.model_dump_json()}], "isError": False}
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        result["resultType"] = "complete"
    return result


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
    arguments: dict[str, Any] = dict(params.get("arguments") or {})
    arguments.pop("_metadata", None)
    arguments.pop("mcpc_params", None)
    name = params.get("name")
    if isinstance(server, Server) and not background:
        arguments["_metadata"] = {
            "mcpc_session_id": metadata.session_id,
            "mcpc_task_id": metadata.task_id,
        }
    elif "mcpc_params" in tool_parameters(server, name):
        arguments["mcpc_params"] = {"session_id": metadata.session_id, "task_id": metadata.task_id}
    return arguments


def hide_parameters(result: HandlerResult) -> HandlerResult:
    """Leave `mcpc_params` (mcpc 0.2.6 style) out of the listed schemas: it is not for the model to fill."""
    tools: Any = result.get("tools") if isinstance(result, dict) else None
    for tool in cast("list[dict[str, Any]]", tools or []):
        schema: dict[str, Any] = tool.get("inputSchema") or {}
        properties: dict[str, Any] = schema.get("properties") or {}
        if "mcpc_params" in properties:
            kept = {name: value for name, value in properties.items() if name != "mcpc_params"}
            required = [name for name in schema.get("required", []) if name != "mcpc_params"]
            tool["inputSchema"] = {**schema, "properties": kept, "required": required}
    return result

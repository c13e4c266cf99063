"""The HTTP headers that MCP asks of a client, made from the messages themselves.

The SDK's session makes them for its own requests; a bridge has no session, so
they are made here, of the same parts. No I/O.
"""

from collections.abc import Mapping
from typing import Any, cast

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PARAM_HEADER_PREFIX,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp_types import PROTOCOL_VERSION_META_KEY, RequestId

from mcpc.routing import TASK_METHODS
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import ID, RESULT, id_of, method_of, params_meta, params_of
from mcpc.wire.requests import TASK_ID
from mcpc.wire.standard import (
    ARGUMENTS,
    CALL_TOOL_METHOD,
    INITIALIZE_METHOD,
    INPUT_SCHEMA,
    LIST_TOOLS_METHOD,
    PROTOCOL_VERSION,
)

__all__ = ["HeaderBook", "opens_modern"]

MAX_TOOLS = 10_000
"""Tools whose headers are remembered."""

NAMES = {**NAME_BEARING_METHODS, **dict.fromkeys(TASK_METHODS, TASK_ID)}
"""The member of a method's params that its `Mcp-Name` repeats (2026-07-28, Streamable HTTP; SEP-2663 for tasks)."""


def opens_modern(message: Mapping[str, Any]) -> bool:
    """Whether a message is of the stateless era: each of its requests names its version."""
    version = params_meta(message).get(PROTOCOL_VERSION_META_KEY)
    return method_of(message) != INITIALIZE_METHOD and isinstance(version, str)


class HeaderBook:
    """What one connection has learnt that later requests must repeat in headers."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._asked: dict[RequestId, str] = {}
        """Requests in progress whose answers are of interest: id -> method."""
        self._parameters: dict[str, Mapping[tuple[str, ...], str]] = {}
        """The arguments of each listed tool that travel as headers."""

    def headers(self, message: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
        """The headers of a message about to be sent.

        Args:
            message: The message.
            given: The headers of the HTTP request that brought it: its `Mcp-Param-*` are repeated.
        """
        method = method_of(message)
        if method in (INITIALIZE_METHOD, LIST_TOOLS_METHOD) and ID in message:
            self._asked[message[ID]] = method
        if method == INITIALIZE_METHOD:
            return {}
        if not opens_modern(message):
            return {MCP_PROTOCOL_VERSION_HEADER: self._version} if self._version else {}
        found = {
            MCP_PROTOCOL_VERSION_HEADER: str(params_meta(message)[PROTOCOL_VERSION_META_KEY]),
            MCP_METHOD_HEADER: encode_header_value(str(method)),
        }
        params = params_of(message)
        name = params.get(NAMES.get(str(method), ""))
        if isinstance(name, str):
            found[MCP_NAME_HEADER] = encode_header_value(name)
        if method == CALL_TOOL_METHOD:
            found |= self._parameter_headers(name, params.get(ARGUMENTS), given)
        return found

    def _parameter_headers(self, name: Any, arguments: Any, given: Mapping[str, str]) -> dict[str, str]:
        prefix = MCP_PARAM_HEADER_PREFIX.lower()
        repeated = {key.lower(): value for key, value in given.items() if key.lower().startswith(prefix)}
        known = self._parameters.get(name) if isinstance(name, str) else None
        if known is None or not isinstance(arguments, dict):
            return repeated
        made = mcp_param_headers(known, cast("dict[str, Any]", arguments))
        return repeated | {key.lower(): value for key, value in made.items()}

    def learn(self, message: Mapping[str, Any]) -> None:
        """Take what an answer says of later requests: the version agreed on, the tools' parameters."""
        asked = self._asked.pop(id_of(message), None) if self._asked else None
        found = as_object(message.get(RESULT))
        if asked is None or RESULT not in message:
            return
        if asked == INITIALIZE_METHOD:
            version = found.get(PROTOCOL_VERSION)
            self._version = version if isinstance(version, str) else None
            return
        tools: Any = found.get("tools")
        for tool in cast("list[Any]", tools) if isinstance(tools, list) else ():
            if isinstance(tool, dict):
                self._learn_tool(cast("dict[str, Any]", tool))

    def _learn_tool(self, tool: Mapping[str, Any]) -> None:
        name, schema = tool.get("name"), tool.get(INPUT_SCHEMA)
        if not isinstance(name, str) or not isinstance(schema, dict):
            return
        if len(self._parameters) < MAX_TOOLS and find_invalid_x_mcp_header(schema) is None:
            self._parameters[name] = x_mcp_header_map(schema)
        else:
            self._parameters.pop(name, None)

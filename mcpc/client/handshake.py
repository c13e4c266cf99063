"""The handshake: whether a server speaks MCPC, and in which of the three ways (see docs/protocol.md)."""

import logging
from typing import Any, Literal

from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, CallToolRequest, CallToolRequestParams, CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcpc.client.requests import ask_server
from mcpc.client.validation import let_created_pass
from mcpc.logs import logger_of
from mcpc.messages import MCPCInformation
from mcpc.wire.jsontext import as_object
from mcpc.wire.names import CALLBACKS_EXTENSION, CHANNEL_OPEN, INFO_METHOD
from mcpc.wire.originals import HANDSHAKE_TOOLS, OldForm, info_params, read_information

__all__ = ["Form", "has_our_channel", "shake_hands"]

logger: logging.Logger = logger_of(__name__)

Form = Literal["", "meta"] | OldForm
"""How a server takes a call's metadata: `meta`, `0.2.6`, `0.2.1`; empty for a standard server."""


async def shake_hands(session: ClientSession, provider: str) -> tuple[Form, MCPCInformation | None]:
    """Find out whether the server speaks MCPC, and how; see docs/protocol.md.

    A server that advertises the extension may say there who it is; else it is asked by `mcpc/info`. Another one is
    asked by the originals' tools, and only in the older era: `mcp` 1.6, on which the originals run, dies of a method
    that it does not know.
    """
    let_created_pass(session)
    info = info_params(MCPCInformation(mcpc_provider=provider))
    advertised = _advertised(session)
    if CALLBACKS_EXTENSION in advertised:
        stated = _stated(advertised[CALLBACKS_EXTENSION])
        return ("meta", stated) if stated is not None else await _new_handshake(session, info)
    if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return "", None  # in this era who speaks it says so
    form, found = await _old_handshake(session, info)
    if found is not None and not found.mcpc_version.startswith("0."):
        return await _new_handshake(session, info)
    return form, found


def has_our_channel(session: ClientSession) -> bool:
    """Whether the server has opened our channel when it was asked what it is: then all that is sent is in its log."""
    settings: Any = _advertised(session).get(CALLBACKS_EXTENSION)
    return as_object(settings).get(CHANNEL_OPEN) is True


def _advertised(session: ClientSession) -> dict[str, Any]:
    """The extensions that the server advertises, with their settings."""
    capabilities = session.server_capabilities
    return (capabilities.extensions if capabilities is not None else None) or {}


def _stated(settings: Any) -> MCPCInformation | None:
    """What a server says of itself where it advertises the extension; None where it says nothing there."""
    try:
        return MCPCInformation.model_validate(settings)
    except ValidationError:
        return None


async def _new_handshake(session: ClientSession, info: dict[str, Any]) -> tuple[Form, MCPCInformation | None]:
    try:
        answer = await ask_server(session, INFO_METHOD, info)
        return "meta", MCPCInformation.model_validate(answer)
    except (MCPError, ValidationError) as exc:
        logger.warning("the server says that it speaks MCPC, but its answer to %s is no use: %s", INFO_METHOD, exc)
        return "", None


async def _old_handshake(session: ClientSession, info: dict[str, Any]) -> tuple[Form, MCPCInformation | None]:
    for tool, form in HANDSHAKE_TOOLS.items():
        arguments = info if form == "0.2.6" else {}
        try:
            params = CallToolRequestParams(name=tool, arguments=arguments)
            result = await session.send_request(CallToolRequest(params=params), CallToolResult)
        except MCPError as exc:
            if exc.code == CONNECTION_CLOSED:
                raise
            continue
        except (RuntimeError, ValidationError):
            continue
        found = None if result.is_error else _read_information(result.content)
        if found is not None and found.mcpc_enabled:
            return form, found
    return "", None


def _read_information(content: Any) -> MCPCInformation | None:
    for block in content:
        if isinstance(block, TextContent):
            try:
                return read_information(block.text)
            except ValueError:
                continue
    return None

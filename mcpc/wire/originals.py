"""The words of mcpc 0.2, in both directions: its callbacks, its handshakes, its arguments.

Two releases are in use, and they differ: 0.2.1 and 0.2.6.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic_core import to_json

from mcpc.messages import MCPCInformation, MCPCMessage
from mcpc.wire.callbacks import messages_in_content
from mcpc.wire.jsontext import as_object
from mcpc.wire.standard import INPUT_SCHEMA, IS_ERROR, RESULT_TYPE

__all__ = [
    "DIRECT_ID",
    "HANDSHAKE_TOOLS",
    "METADATA_ARGUMENT",
    "PARAMETERS_ARGUMENT",
    "OldForm",
    "decode_direct",
    "encode_direct",
    "handshake_result",
    "hide_parameter",
    "info_params",
    "read_information",
    "with_metadata",
    "without_metadata",
]

OldForm = Literal["0.2.6", "0.2.1"]
"""The forms of a call's metadata, by the release that began with them."""

DIRECT_ID = "MCPC_CALLBACK"
"""The id of the unsolicited response that carries a message in the original's form."""

HANDSHAKE_TOOLS: dict[str, OldForm] = {"_mcpc_init": "0.2.6", "is_mcpc_enabled": "0.2.1"}
"""The tools that shake hands, newest first, and the release whose forms they announce. They are never listed."""

METADATA_ARGUMENT = "_metadata"
"""Where 0.2.1 puts a call's session and task, as `mcpc_session_id` and `mcpc_task_id`."""

PARAMETERS_ARGUMENT = "mcpc_params"
"""Where 0.2.6 puts them, as `session_id` and `task_id` (`MCPCToolParameters`)."""


def encode_direct(message: bytes) -> bytes:
    """A message in the original's form: an unsolicited response whose text is the message."""
    text = to_json(message.decode())
    return (
        b'{"jsonrpc":"2.0","id":"MCPC_CALLBACK","result":{"content":[{"type":"text","text":%b}],"isError":false}}'
        % text
    )


def decode_direct(result: dict[str, Any]) -> list[MCPCMessage]:
    """The messages in the `result` of an unsolicited response; what is not one is left out."""
    return messages_in_content(result.get("content"))


# --- handshakes -------------------------------------------------------------------------------------------------


def info_params(information: MCPCInformation) -> dict[str, Any]:
    """What a client says of itself in a handshake: the params of `mcpc/info`, and 0.2.6's arguments."""
    return {"mcpc_info": information.model_dump(exclude_none=True)}


def handshake_result(information: MCPCInformation, *, modern: bool) -> dict[str, Any]:
    """What the originals' handshake tools answer; `modern` is for the protocol from 2026-07-28 on."""
    content = [{"type": "text", "text": information.model_dump_json(exclude_none=True)}]
    result: dict[str, Any] = {"content": content, IS_ERROR: False}
    return {**result, RESULT_TYPE: "complete"} if modern else result


def read_information(text: str) -> MCPCInformation:
    """What a server says of itself in a text of that answer.

    Raises:
        ValueError: it is none.
    """
    decoded: Any = json.loads(text)
    # 0.2.6 under MCPServer wraps its answer once more, as the text of a content block.
    if "text" in as_object(decoded):
        decoded = json.loads(decoded["text"])
    return MCPCInformation.model_validate(decoded)


# --- a call's session and task ----------------------------------------------------------------------------------


def with_metadata(
    form: OldForm, arguments: Mapping[str, Any], *, session_id: str, task_id: str | None
) -> dict[str, Any]:
    """A call's arguments with its session and task among them."""
    if form == "0.2.6":
        return {**arguments, PARAMETERS_ARGUMENT: {"session_id": session_id, "task_id": task_id}}
    others = as_object(arguments.get(METADATA_ARGUMENT))
    metadata = {**others, "mcpc_session_id": session_id, "mcpc_task_id": task_id}
    return {**arguments, METADATA_ARGUMENT: metadata}


def without_metadata(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments alone."""
    return {name: value for name, value in arguments.items() if name not in (METADATA_ARGUMENT, PARAMETERS_ARGUMENT)}


def hide_parameter(tool: dict[str, Any]) -> None:
    """Leave 0.2.6's parameter out of a listed tool's schema: it is not for the model to fill."""
    schema = as_object(tool.get(INPUT_SCHEMA))
    properties = as_object(schema.get("properties"))
    if PARAMETERS_ARGUMENT in properties:
        kept = {name: value for name, value in properties.items() if name != PARAMETERS_ARGUMENT}
        required = [name for name in schema.get("required", []) if name != PARAMETERS_ARGUMENT]
        tool[INPUT_SCHEMA] = {**schema, "properties": kept, "required": required}

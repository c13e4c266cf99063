"""The words of mcpc 0.2, in both directions: its callbacks, its handshakes, its arguments.

Two releases are in use, and they differ: 0.2.1 and 0.2.6.
"""

from typing import Any, Literal

from pydantic_core import to_json

from mcpc.messages import MCPCMessage
from mcpc.wire.callbacks import messages_in_content

__all__ = [
    "DIRECT_ID",
    "HANDSHAKE_TOOLS",
    "METADATA_ARGUMENT",
    "PARAMETERS_ARGUMENT",
    "decode_direct",
    "encode_direct",
]

DIRECT_ID = "MCPC_CALLBACK"
"""The id of the unsolicited response that carries a message in the original's form."""

HANDSHAKE_TOOLS: dict[str, Literal["0.2.6", "0.2.1"]] = {"_mcpc_init": "0.2.6", "is_mcpc_enabled": "0.2.1"}
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

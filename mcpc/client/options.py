"""What `Client` takes by name: its own, the SDK's, and, for a URI, the transport's. Knows their names only."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypedDict

import mcp
from mcp.client.session import ElicitationFnT, ListRootsFnT, LoggingFnT, MessageHandlerFnT, SamplingFnT

from mcpc.options import ConnectOptions, merged

if TYPE_CHECKING:
    from mcp.client import ClientExtension
    from mcp.client.caching import CacheConfig
    from mcp.client.client import ConnectMode
    from mcp_types import (
        DiscoverResult,
        Implementation,
        InputResponses,
        LoggingLevel,
        RequestParamsMeta,
        SamplingCapability,
    )

__all__ = ["OWN", "SDK_OPTIONS", "CallOptions", "ClientOptions", "split"]

SDK_OPTIONS = frozenset(f.name for f in fields(mcp.Client) if f.init) - {"server"}
"""What `mcp.Client` takes by name."""

OWN = (
    "provider",
    "reconnect",
    "reconnect_timeout",
    "heartbeat",
    "on_connection",
    "channel",
    "channel_file",
    "transport_options",
    "bytes",
)
"""What `Client` takes besides."""


class ClientOptions(ConnectOptions, total=False):
    """What `Client` takes beside its own: what `mcp.Client` does, and for a URI the transport's options."""

    raise_exceptions: bool
    read_timeout_seconds: float | None
    sampling_callback: SamplingFnT | None
    sampling_capabilities: "SamplingCapability | None"
    list_roots_callback: ListRootsFnT | None
    logging_callback: LoggingFnT | None
    log_level: "LoggingLevel | None"
    message_handler: MessageHandlerFnT | None
    client_info: "Implementation | None"
    mode: "ConnectMode"
    prior_discover: "DiscoverResult | None"
    elicitation_callback: ElicitationFnT | None
    input_required_max_rounds: int
    extensions: "Sequence[ClientExtension] | None"
    cache: "CacheConfig | None"


class CallOptions(TypedDict, total=False):
    """What `mcp.Client.call_tool` takes by name only."""

    input_responses: "InputResponses | None"
    request_state: str | None
    meta: "RequestParamsMeta | None"


def split(options: Mapping[str, Any], more: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The SDK's options, and the transport's.

    Args:
        options: What was given by name.
        more: What was given as `transport_options`.

    Raises:
        TypeError: one is given twice.
    """
    sdk = {name: value for name, value in options.items() if name in SDK_OPTIONS}
    return sdk, merged({name: value for name, value in options.items() if name not in sdk}, more)

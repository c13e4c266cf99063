"""How many bridges a connection has passed: in the `_meta` of its first message."""

from collections.abc import Mapping
from typing import Any

from mcpc.wire.message import META, PARAMS, Message, params_meta, params_of
from mcpc.wire.names import HOPS_META

__all__ = ["hops_of", "with_hops"]


def hops_of(message: Mapping[str, Any]) -> int:
    """How many bridges the connection has passed that begins with this message."""
    hops = params_meta(message).get(HOPS_META, 0)
    return hops if type(hops) is int and hops > 0 else 0


def with_hops(message: Message, hops: int) -> Message:
    """The same message, that says so."""
    return {**message, PARAMS: {**params_of(message), META: {**params_meta(message), HOPS_META: hops}}}

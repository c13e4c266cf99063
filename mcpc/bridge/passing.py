"""How many bridges a message may pass: who leads back to itself finds out.

Over frames the first message of a connection says it; where each request stands for itself, each does.
"""

from mcp_types import INVALID_REQUEST

from mcpc.errors import FrameError
from mcpc.wire.hops import hops_of, with_hops
from mcpc.wire.message import Message, id_of

__all__ = ["CAME_BACK", "LOOP", "LOOP_PATIENCE", "MAX_HOPS", "has_passed", "passed_on"]

MAX_HOPS = 8
"""Bridges that a connection may pass. One that passes more is taken for a loop."""

LOOP = f"this connection has passed {MAX_HOPS} bridges: one of them leads back to another"

LOOP_PATIENCE = 5.0
"""Seconds that a handshake from another bridge waits for one that is on its way."""

CAME_BACK = "a bridge waits for a handshake that waits for itself: one of the bridges leads back to another"


def has_passed(message: Message) -> bool:
    """Whether a message comes from another bridge."""
    return hops_of(message) > 0


def passed_on(message: Message) -> Message:
    """The message as it is passed on: it has passed one more.

    Raises:
        FrameError: it has passed as many as it may.
    """
    passed = hops_of(message)
    if passed >= MAX_HOPS:
        raise FrameError(LOOP, code=INVALID_REQUEST, request_id=id_of(message), kind="request")
    return with_hops(message, passed + 1)

"""State machines as tables: from each state, the events that can happen there, and where they lead.

A table is all there is to know of a machine; the pictures in the documentation are made from it. Knows nothing of
what the states mean.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

__all__ = ["step"]

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def step(table: Mapping[S, Mapping[E, S]], state: S, event: E) -> S:
    """The state that `event` leads to.

    Raises:
        RuntimeError: the event cannot happen in that state, so something of ours is wrong.
    """
    try:
        return table[state][event]
    except KeyError:
        raise RuntimeError(f"{type(state).__name__} is {state}, where {event} cannot happen") from None

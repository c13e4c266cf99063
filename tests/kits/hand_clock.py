"""A clock that a test moves, in place of the steady one that expiry goes by."""

from collections.abc import Generator
from contextlib import contextmanager

from mcpc.clock import SYSTEM_CLOCK

__all__ = ["HandClock", "hand_clock"]


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def hand_clock() -> Generator[HandClock]:
    """Whatever is made meanwhile goes by it."""
    clock, before = HandClock(), SYSTEM_CLOCK.steady
    object.__setattr__(SYSTEM_CLOCK, "steady", clock)
    try:
        yield clock
    finally:
        object.__setattr__(SYSTEM_CLOCK, "steady", before)

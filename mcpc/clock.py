"""What time it is, in two ways, handed to whoever needs to know.

Times that are shown are the wall clock's. What expires goes by a clock that only goes forward: a jump of the wall clock
(a correction, a suspended machine, a wrong battery) forgets nothing and keeps nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SYSTEM_CLOCK", "Clock"]


@dataclass(frozen=True)
class Clock:
    """Two ways to tell the time."""

    wall: Callable[[], float]
    """Seconds since the epoch: to be shown, never to be waited for."""
    steady: Callable[[], float]
    """Seconds since some moment: rises, and knows nothing of corrections. Means nothing to another process."""


SYSTEM_CLOCK = Clock(time.time, time.monotonic)
"""This machine's."""

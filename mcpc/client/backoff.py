"""`Backoff`: how long to wait before trying again."""

import random
from collections.abc import Callable

import anyio

__all__ = ["Backoff"]


class Backoff:
    """Waits that grow, with full jitter: each at random between nothing and a bound that doubles.

    Args:
        first: Seconds of the first wait, at the most.
        maximum: Seconds of any wait, at the most.
        random: Gives a number from 0 to 1.
    """

    def __init__(self, first: float = 0.1, maximum: float = 5.0, random: Callable[[], float] = random.random) -> None:
        self.first = first
        self.maximum = maximum
        self.failures: int = 0
        self._random = random

    def succeeded(self) -> None:
        """Begin again with the first wait."""
        self.failures = 0

    async def wait(self) -> None:
        """Wait after a failure: at random between nothing and the bound, which doubles each time."""
        bound = min(self.maximum, self.first * 2 ** min(self.failures, 30))
        self.failures += 1
        await anyio.sleep(bound * self._random())

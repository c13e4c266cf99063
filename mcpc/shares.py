"""Who has taken how much of something bounded, so that none takes what the others need.

One holder alone may have all but a part of it, and less where others have much: with a share of 0.9 no more than nine
times what is free. So there is always some left for one who has little (known from shared buffers as a dynamic
threshold). Knows neither what is counted nor who takes it.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

__all__ = ["Refusal", "Shares"]

Refusal = Literal["all", "most", "share"]
"""Why there is no room: all is taken; the holder has the most that one may have; the rest is kept for others."""


class Shares:
    """Something bounded, and who has how much of it.

    A taker is named by one holder or several, the narrowest first: a channel, say, and then the connection that many
    channels may use. The wider one may have half of what the narrower has to leave.

    Args:
        limit: How much there is.
        share: The part of it that one holder may have while nobody else has any; 1 for all of it.
        most: How much the narrowest holder may have at the most, however much is free; None where that is not bounded.
    """

    def __init__(self, limit: int, share: float = 1.0, most: int | None = None) -> None:
        self.limit = limit
        self.share = share
        self.most = most
        self.taken: int = 0
        """How much is taken by all together."""
        self.refused: int = 0
        """How often there was no room."""
        self._held: dict[Hashable, int] = {}

    def held(self, holder: Hashable) -> int:
        """How much one holder has."""
        return self._held.get(holder, 0)

    def refusal(self, holders: Sequence[Hashable], size: int = 1) -> Refusal | None:
        """Why `size` more cannot be taken; None where it can."""
        found = self._refusal(holders, size)
        self.refused += found is not None
        return found

    def _refusal(self, holders: Sequence[Hashable], size: int) -> Refusal | None:
        free = self.limit - self.taken
        if size > free:
            return "all"
        if self.most is not None and holders and self.held(holders[0]) + size > self.most:
            return "most"
        kept = 1.0 - self.share
        for holder in holders:
            if kept * (self.held(holder) + size) > (1.0 - kept) * free + 1e-9:
                return "share"
            kept /= 2
        return None

    def take(self, holders: Sequence[Hashable], size: int = 1) -> None:
        """Take some, whether or not there is room."""
        self.taken += size
        for holder in holders:
            self._held[holder] = self._held.get(holder, 0) + size

    def give_back(self, holders: Sequence[Hashable], size: int = 1) -> None:
        """Give back what was taken."""
        self.taken -= size
        for holder in holders:
            left = self._held.get(holder, 0) - size
            if left > 0:
                self._held[holder] = left
            else:
                self._held.pop(holder, None)

"""Medians, ranges and ratios of what the rounds gave. Numbers in, numbers out."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Ratio", "Summary", "compare", "summarise"]


@dataclass(frozen=True)
class Summary:
    """One number over all rounds."""

    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Ratio:
    """Two measurements compared: the quotient (or difference) of their medians, and its range over the rounds."""

    value: float
    low: float
    high: float


def summarise(values: Sequence[float]) -> Summary | None:
    """Median and range; None where there is nothing."""
    if not values:
        return None
    return Summary(statistics.median(values), min(values), max(values), len(values))


def compare(first: Sequence[float], second: Sequence[float], how: Callable[[float, float], float]) -> Ratio | None:
    """`how` of the medians; the range is that of the pairs which ran in the same round. None where one is missing."""
    if not first or not second:
        return None
    pairs = [how(a, b) for a, b in zip(first, second, strict=False)]
    return Ratio(how(statistics.median(first), statistics.median(second)), min(pairs), max(pairs))

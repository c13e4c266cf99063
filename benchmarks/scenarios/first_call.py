"""How long a client waits for its first answer over a network that takes its time."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]

DELAY = 0.025
"""Seconds one way: 50 ms there and back."""


def _cases(scale: Scale) -> list[Case]:
    return across("first call", {"mcpc": ("tcp", "ws", "http")}, count=scale.first_calls, delay=DELAY)


SCENARIO = Scenario(
    "first call",
    "The first call at 50 ms",
    "A client dials, calls a plain tool, and has its answer; a relay holds all bytes back for 25 ms each way. The "
    "round trips are the time divided by 50 ms, the opening of the connection included, in whole ones those before the "
    "call's own.",
    (
        Metric("round_trips", "round trips", "", higher_is_better=False),
        Metric("before", "before the call", "", higher_is_better=False),
        Metric("milliseconds", "time", "ms", higher_is_better=False),
    ),
    _cases,
)

"""What the shapes of use cost: how the client listens, where the worker runs, what a result looks like."""

from typing import Any

from benchmarks.scenarios.base import Case, Scale, Scenario, across
from benchmarks.scenarios.throughput import METRICS

__all__ = ["HEADLINE", "HELD", "SCENARIO"]

HEADLINE = "handle dropped, one plain listener"
"""The shape that costs least. The others are told relative to it."""
HELD = "handle held"

SHAPES: dict[str, dict[str, Any]] = {
    HEADLINE: {"shape": "dropped"},
    HELD: {},
    "async for": {"shape": "async for"},
    "async listener": {"shape": "async listener"},
    "one filter": {"shape": "one filter"},
    "ten listeners": {"shape": "ten listeners"},
    "sync worker": {"worker": "sync"},
    "nested JSON": {"payload": "nested"},
    "160 small lists": {"payload": "lists"},
}


def _cases(scale: Scale) -> list[Case]:
    found: list[Case] = []
    for variant, job in SHAPES.items():
        found += across("shapes", {"mcpc": ("unix",)}, variant=variant, size=280, seconds=scale.seconds, **job)
    return found


SCENARIO = Scenario(
    "shapes",
    "Shapes of use",
    "As the throughput of one connection, over a Unix socket, with one thing changed in each row. Where the messages "
    "are iterated over, the handle has room for all of them.",
    METRICS,
    _cases,
)

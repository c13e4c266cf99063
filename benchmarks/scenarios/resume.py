"""How long callbacks stay away when the network fails."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]


def _cases(scale: Scale) -> list[Case]:
    rate = 400
    count = round(rate * (0.25 + 0.15) * scale.cuts)
    pairs = {"mcpc": ("tcp", "ws", "http")}
    return across("resume", pairs, timeout=180, cuts=scale.cuts, rate=rate, count=count, size=280)


SCENARIO = Scenario(
    "resume",
    "Time to resume after a drop",
    "A relay cuts the connection while a task sends 400 messages a second; until the first message over the new "
    "connection. The client waits at random between 0 and 100 ms before it dials again. No peer resumes by itself.",
    (
        Metric("p50", "median", "ms", higher_is_better=False),
        Metric("max", "longest", "ms", higher_is_better=False),
    ),
    _cases,
)

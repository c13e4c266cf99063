"""How long a client does not know that a task has ended: told by callback, by push, or by polling."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]

WAYS = {"callback": "callback", "pushed": "SEP-2663, pushed", "polled": "SEP-2663, polled"}


def _cases(scale: Scale) -> list[Case]:
    pairs = {"mcpc": ("unix", "ws", "http")}
    found: list[Case] = []
    for way, variant in WAYS.items():
        found += across("completion", pairs, variant=variant, follow=way, count=scale.completions)
    return sorted(found, key=lambda case: pairs["mcpc"].index(case.transport))


SCENARIO = Scenario(
    "completion",
    "From the end of a task to its client's knowing",
    "Tasks end one after the other, spread over a second. Their client learns of it by mcpc's callback, by "
    "`notifications/tasks` on `subscriptions/listen` (SEP-2663), or by `tasks/get` at the server's `pollIntervalMs`, "
    "which is a second: then the wait is anything between nothing and that.",
    (
        Metric("p50", "p50", "ms", higher_is_better=False, divide_by=1000),
        Metric("p99", "p99", "ms", higher_is_better=False, divide_by=1000),
    ),
    _cases,
)

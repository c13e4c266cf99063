"""What a large result of a plain tool costs."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]


def _cases(scale: Scale) -> list[Case]:
    pairs = {"mcpc": ("stdio", "http"), "mcp 2.3": ("stdio", "http")}
    return across("results", pairs, count=scale.results, size=scale.result_size)


SCENARIO = Scenario(
    "results",
    "A large tool result",
    "Calls of a plain tool that answers with a text of 5 MB, one after the other.",
    (Metric("p50", "p50", "ms", higher_is_better=False, divide_by=1000),),
    _cases,
)

"""What it costs to begin: to import the library, and to start a server."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]


def _cases(scale: Scale) -> list[Case]:
    return across("starting", {"mcpc": ("stdio",)}, timeout=240, count=scale.starts)


SCENARIO = Scenario(
    "starting",
    "Starting",
    "New processes of Python, ours and the SDK's in turn, in one environment; the medians compared. An import is "
    "processor time: of `import mcpc`, which loads what is asked for, and of all that a server and a client need. The "
    "first answer of a stdio server with one tool is the time from the start of Python to the answer to `initialize`.",
    (
        Metric("import_ratio", "`import mcpc` ÷ `import mcp`", "", higher_is_better=False),
        Metric("all_ratio", "client and server ÷ the SDK's", "", higher_is_better=False),
        Metric("answer_ratio", "first answer ÷ the SDK's", "", higher_is_better=False),
        Metric("answer_ms", "first answer", "ms", higher_is_better=False),
    ),
    _cases,
)

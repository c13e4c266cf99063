"""What it costs that one could look: the hooks of tracing and metrics, where nobody has switched them on."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]


def _cases(scale: Scale) -> list[Case]:
    job = {"count": scale.unwatched_blocks, "tasks": scale.unwatched_tasks}
    return across("watching", {"mcpc": ("memory",)}, timeout=240, **job)


SCENARIO = Scenario(
    "watching",
    "Tracing and metrics switched off",
    "One process, client and server in memory, no OpenTelemetry SDK. The hooks of a task alone, against the task; and "
    "blocks of short tasks in turn with the hooks as they are and with none at all. Processor time, the least of each.",
    (
        Metric("share", "hooks ÷ a short task", "", higher_is_better=False),
        Metric("hooks_us", "CPU of a task's hooks", "µs", higher_is_better=False),
        Metric("task_us", "CPU of a short task", "µs", higher_is_better=False),
        Metric("task_ratio", "a task ÷ without the hooks", "", higher_is_better=False),
    ),
    _cases,
)

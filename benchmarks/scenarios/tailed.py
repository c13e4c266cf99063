"""How long a callback takes where one server tails very many channels for clients whose tasks run elsewhere."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO", "channels"]


def channels(count: int) -> str:
    """How many there are, in words."""
    return f"{count} channels"


def _cases(scale: Scale) -> list[Case]:
    pairs = {"mcpc": ("tcp",), "mcpc+redis": ("tcp",)}
    job = {"connections": scale.tailed, "tasks": scale.tailed, "count": 8, "rate": 1, "size": 280}
    return across("tailed", pairs, variant=channels(scale.tailed), timeout=300, **job)


SCENARIO = Scenario(
    "tailed",
    "Latency where one server tails many channels",
    "So many clients of one server, a task for each, a message a second from each task, evenly spread. With Redis the "
    "tasks run in another process. One clock for all processes, as in the latency of a single callback.",
    (
        Metric("p50", "p50", "µs", higher_is_better=False),
        Metric("p99", "p99", "µs", higher_is_better=False),
        Metric("server_cpu_us", "server CPU", "µs", higher_is_better=False),
        Metric("engine_cpu_us", "CPU of Redis", "µs", higher_is_better=False),
    ),
    _cases,
)

"""How many callbacks a second one connection carries."""

from benchmarks.catalogue import PEERS
from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]

METRICS = (
    Metric("rate", "callbacks/s", "/s", higher_is_better=True),
    Metric("client_cpu_us", "client CPU", "µs", higher_is_better=False),
    Metric("server_cpu_us", "server CPU", "µs", higher_is_better=False),
    Metric("engine_cpu_us", "CPU of Redis", "µs", higher_is_better=False),
    Metric("cpu_us", "CPU of all", "µs", higher_is_better=False),
)


def _cases(scale: Scale) -> list[Case]:
    out_of_place = ("sdk-client", "mcpc, thin clients")
    pairs = {peer.name: peer.transports for peer in PEERS if peer.name not in out_of_place}
    return across("throughput", pairs, seconds=scale.seconds, size=280)


SCENARIO = Scenario(
    "throughput",
    "Throughput of one connection",
    "One background task sends messages of 280 bytes as fast as it may; the client holds the task's handle and counts "
    "them in a plain listener. From before the call to the last message. CPU is processor time for each callback; in "
    "memory both ends share one process, which is shown as the client.",
    METRICS,
    _cases,
)

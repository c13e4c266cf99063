"""The scenarios, in the order in which they run: one file each."""

from benchmarks.scenarios import (
    completion,
    connections,
    fanout,
    latency,
    memory,
    payloads,
    resume,
    roundtrip,
    tasks,
    throughput,
)

__all__ = ["SCENARIOS"]

SCENARIOS = {
    module.SCENARIO.name: module.SCENARIO
    for module in (throughput, connections, latency, roundtrip, fanout, payloads, memory, resume, tasks, completion)
}

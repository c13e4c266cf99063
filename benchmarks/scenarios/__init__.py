"""The scenarios, in the order in which they run: one file each."""

from benchmarks.scenarios import (
    completion,
    connections,
    disk,
    endings,
    fanout,
    first_call,
    held,
    latency,
    memory,
    payloads,
    restart,
    results,
    resume,
    roundtrip,
    shapes,
    starting,
    tailed,
    tasks,
    throughput,
    watching,
)

__all__ = ["SCENARIOS"]

SCENARIOS = {
    module.SCENARIO.name: module.SCENARIO
    for module in (
        throughput,
        shapes,
        connections,
        latency,
        tailed,
        roundtrip,
        fanout,
        payloads,
        results,
        memory,
        held,
        resume,
        starting,
        first_call,
        tasks,
        endings,
        completion,
        restart,
        disk,
        watching,
    )
}

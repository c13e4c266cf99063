"""How fast one event reaches many WebSocket connections."""

from benchmarks.scenarios.base import Case, Metric, Scale, Scenario, across

__all__ = ["SCENARIO"]

PAIRS = {"mcpc, thin clients": ("ws",), "websockets": ("ws",), "mcpc": ("ws",)}


def _cases(scale: Scale) -> list[Case]:
    variant = f"{scale.fanout} connections"
    job = {"connections": scale.fanout, "count": scale.events, "size": 280}
    return across("fanout", PAIRS, variant=variant, timeout=300, **job)


SCENARIO = Scenario(
    "fanout",
    "Fan-out of one event",
    "One event at a time to every connection (`emit` here, `websockets.broadcast` there), from the order to the last "
    "receipt; and several events in a row. With thin clients the receivers are the same on both sides.",
    (
        Metric("rate", "deliveries/s, one event", "/s", higher_is_better=True),
        Metric("burst", "deliveries/s, in a row", "/s", higher_is_better=True),
    ),
    _cases,
)

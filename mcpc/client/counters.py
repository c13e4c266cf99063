"""What an operator sees of clients: metrics, by `opentelemetry-api` alone. Without its SDK they do nothing.

The spans of a client's calls are the SDK's. Knows nothing of connections and messages.
"""

from functools import cache

from opentelemetry import metrics
from opentelemetry.metrics import Counter

__all__ = ["count_gap", "count_reconnection"]

SCOPE = "mcpc"
"""The name of the instrumentation scope."""


def count_reconnection() -> None:
    """A connection that was lost has been made anew."""
    _counter("mcpc.client.reconnections", "{connection}", "Connections that were lost and made anew").add(1)


def count_gap() -> None:
    """Messages were missed, and the listeners were told so."""
    _counter("mcpc.client.gaps", "{gap}", "Times that messages were missed, and the listeners told so").add(1)


@cache
def _counter(name: str, unit: str, description: str) -> Counter:
    return metrics.get_meter(SCOPE).create_counter(name, unit, description)

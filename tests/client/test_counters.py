"""What a client missed, and the connections that it made anew, are counted where an operator looks."""

from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import mcpc
from mcpc.client import counters
from mcpc.testing import FaultyTransport
from mcpc.uri import TRANSPORTS

pytestmark = pytest.mark.anyio


def read(reader: InMemoryMetricReader) -> dict[str, int]:
    data: Any = reader.get_metrics_data()
    scopes = data.resource_metrics[0].scope_metrics if data is not None else ()
    points = [(metric.name, point) for scope in scopes for metric in scope.metrics for point in metric.data.data_points]
    return {name: point.value for name, point in points if hasattr(point, "value")}


async def test_a_connection_that_is_made_anew_is_counted_and_the_first_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    monkeypatch.setattr(counters.metrics, "get_meter", MeterProvider([reader]).get_meter)
    counters._counter.cache_clear()  # pyright: ignore[reportPrivateUsage]
    server = MCPServer[Any]("cut", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server)
    states: list[str] = []
    again = anyio.Event()

    def connection(state: str) -> None:
        states.append(state)
        if states[-2:] == ["lost", "connected"]:
            again.set()

    with TRANSPORTS.restored(), anyio.fail_after(60):
        mcpc.register_transport("cut", FaultyTransport("memory", cuts=[8, None]))
        options: Any = {"reconnect": mcpc.Backoff(first=0.01), "on_connection": connection}
        async with mcpc.listen(server, "memory://counted"), mcpc.Client("cut://counted", **options):
            assert "mcpc.client.reconnections" not in read(reader)
            with anyio.move_on_after(60):
                while not again.is_set():
                    await callbacks.emit("tick", {}, session_id="*")
                    await anyio.sleep(0.01)
    assert read(reader)["mcpc.client.reconnections"] == 1
    counters._counter.cache_clear()  # pyright: ignore[reportPrivateUsage]

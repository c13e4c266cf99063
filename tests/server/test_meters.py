"""What a server holds is read by OpenTelemetry, as the sum over servers, and keeps no server from going."""

import gc
import weakref
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import mcpc
from mcpc.server import meters


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> InMemoryMetricReader:
    """A reader of the metrics of servers that are made from now on."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(meters.metrics, "get_meter", MeterProvider([reader]).get_meter)
    monkeypatch.setattr(meters, "_made", [])
    monkeypatch.setattr(meters, "_shown", weakref.WeakSet[Any]())
    return reader


def read(reader: InMemoryMetricReader) -> dict[str, int]:
    data: Any = reader.get_metrics_data()
    if data is None:
        return {}
    found = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]
    return {metric.name: metric.data.data_points[0].value for metric in found}


async def two_servers(reader: InMemoryMetricReader) -> None:
    """Use two servers, and let go of them."""
    for number in (1, 2):
        server = MCPServer[Any]("measured", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(server)
        keep.append(server)
        async with mcpc.Client(server) as client:
            assert client.supports_mcpc
            await callbacks.emit("tick", {}, session_id="*")
        assert read(reader)["mcpc.channels.open"] == number
        assert read(reader)["mcpc.messages.logged"] == number
    keep.clear()


keep: list[Any] = []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_numbers_are_the_sum_over_servers_and_go_with_them(reader: InMemoryMetricReader, backend: str) -> None:
    assert read(reader) == {}
    anyio.run(two_servers, reader, backend=backend)
    gc.collect()
    assert read(reader) == {}


def test_every_metric_is_made_once_however_many_servers_there_are(reader: InMemoryMetricReader) -> None:
    servers = [MCPServer[Any](f"number {n}", log_level="CRITICAL") for n in range(3)]
    for server in servers:
        mcpc.MCPCHelper(server)
    assert set(read(reader)) == {*meters.COUNTERS, *meters.LEVELS}

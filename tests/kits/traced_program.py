"""A client and a server with OpenTelemetry switched on, as an operator does; prints what was recorded as JSON."""

import json
from typing import Any

import anyio
from mcp.server import MCPServer
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mcpc

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))

server = MCPServer[Any]("traced", log_level="CRITICAL")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
async def works(task: mcpc.Task) -> int:
    await task.update("half")
    return 1


@callbacks.tool()
async def fails(task: mcpc.Task) -> None:
    raise ValueError("a secret")


@callbacks.tool()
async def hangs(task: mcpc.Task) -> None:
    await task.update("ready")
    await anyio.sleep_forever()


async def main() -> None:
    with anyio.fail_after(30):
        async with mcpc.listen(server, "memory://traced") as listener, mcpc.Client(listener.uri) as client:
            with trace.get_tracer("test").start_as_current_span("the user's"):
                await (await client.start_task("works", session_id="chat")).result()
                for name in ("fails", "hangs"):
                    task = await client.start_task(name)
                    if name == "hangs":
                        await task.stop()
                    async for _ in task:
                        pass


def seen_metrics() -> dict[str, list[Any]]:
    data: Any = reader.get_metrics_data()
    found: dict[str, list[Any]] = {}
    for scope in data.resource_metrics[0].scope_metrics:
        for metric in scope.metrics if scope.scope.name == "mcpc" else ():
            for point in metric.data.data_points:
                value = point.value if hasattr(point, "value") else point.count
                found.setdefault(metric.name, []).append([dict(point.attributes), value])
    return found


anyio.run(main)
print(
    json.dumps(
        {
            "spans": [
                {
                    "name": span.name,
                    "id": f"{span.context.span_id}" if span.context is not None else None,
                    "trace": f"{span.context.trace_id}" if span.context is not None else None,
                    "parent": f"{span.parent.span_id}" if span.parent is not None else None,
                    "status": span.status.status_code.name,
                    "attributes": dict(span.attributes or {}),
                    "all": span.to_json(),
                }
                for span in spans.get_finished_spans()
            ],
            "metrics": seen_metrics(),
        }
    )
)

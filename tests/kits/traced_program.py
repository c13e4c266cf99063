"""A client and a server with OpenTelemetry switched on, as an operator does; prints what was recorded as JSON."""

import contextlib
import json
from typing import Any

import anyio
import mcp
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mcpc
from mcpc.testing import FaultyTransport

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


small = MCPServer[Any]("small", log_level="CRITICAL")
scarce = mcpc.MCPCHelper(small, max_messages=10, max_tasks=1)


@scarce.tool()
async def chatter(n: int, task: mcpc.Task) -> None:
    for number in range(n):
        await task.update(number)
    await anyio.sleep_forever()


async def meet_the_bounds() -> None:
    """A log that lets go of messages, a listener that is told so, a task that is refused, a connection made anew."""
    mcpc.register_transport("cut", FaultyTransport("memory", cuts=[8, None]))
    async with mcpc.listen(small, "memory://small") as listener:
        async with mcpc.Client(listener.uri) as client:
            key = client.channel
            await client.start_task("chatter", {"n": 0})
            with contextlib.suppress(mcpc.TaskFailed):
                await (await client.start_task("chatter", {"n": 1})).result()
        for number in range(50):
            await scarce.emit("tick", {"n": number, "text": "x" * 4000}, session_id="*")
        missed = anyio.Event()
        late = mcpc.Client(listener.uri, channel=key)
        late.add_event_listener(lambda _: missed.set(), event="gap")
        async with late:
            await missed.wait()
        made = anyio.Event()
        states: list[str] = []

        def connection(state: str) -> None:
            states.append(state)
            if states[-2:] == ["lost", "connected"]:
                made.set()

        async with mcpc.Client("cut://small", reconnect=mcpc.Backoff(first=0.01), on_connection=connection) as client:
            while not made.is_set():
                await scarce.emit("tick", {}, session_id="*")
                await anyio.sleep(0.01)


async def main() -> None:
    with anyio.fail_after(60):
        await meet_the_bounds()
        await ask_an_object()
        async with (
            mcpc.listen(server, "memory://traced") as listener,
            mcpc.bridging("memory://front", listener.uri) as front,
            mcpc.Client(front.uri) as client,
        ):
            with trace.get_tracer("test").start_as_current_span("the user's"):
                await (await client.start_task("works", session_id="chat")).result()
                for name in ("fails", "hangs"):
                    task = await client.start_task(name)
                    if name == "hangs":
                        await task.stop()
                    async for _ in task:
                        pass


async def ask_an_object() -> None:
    """Requests to a server in this process, which take no messages: one that is answered, and one that is refused."""
    plain = MCPServer[Any]("plain", log_level="CRITICAL")

    @plain.tool()
    async def whoami(ctx: Context[Any, Any]) -> str:
        return str(ctx.request_id)

    async with mcpc.Client(plain) as client:
        while "direct" not in str((await client.call_tool("whoami")).structured_content):
            pass
        with trace.get_tracer("test").start_as_current_span("asking"):
            await client.call_tool("whoami")
            with contextlib.suppress(mcp.MCPError):
                await client.read_resource("plain://nothing")


def seen_metrics() -> dict[str, dict[str, Any]]:
    data: Any = reader.get_metrics_data()
    found: dict[str, dict[str, Any]] = {"metrics": {}, "units": {}, "kinds": {}}
    for scope in data.resource_metrics[0].scope_metrics:
        for metric in scope.metrics if scope.scope.name == "mcpc" else ():
            found["units"][metric.name] = metric.unit
            grows = getattr(metric.data, "is_monotonic", None)
            found["kinds"][metric.name] = {None: "histogram", True: "counter", False: "level"}[grows]
            for point in metric.data.data_points:
                value = point.value if hasattr(point, "value") else point.count
                found["metrics"].setdefault(metric.name, []).append([dict(point.attributes), value])
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
            **seen_metrics(),
        }
    )
)

"""A task that waits in a store, begun and run in processes of their own, with OpenTelemetry switched on in each.

`python traced_store.py call|leave|finish STORE`: calls the tool and leaves; takes the task and gives it back; takes it
and runs it to its end. Each prints the spans that it recorded as JSON.
"""

import json
import sys
from typing import Any

import anyio
from mcp.server import MCPServer
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mcpc

ROLE, STORE = sys.argv[1:]

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)

server = MCPServer[Any]("traced", log_level="CRITICAL")
callbacks = mcpc.MCPCHelper(server, store=STORE)
taken = anyio.Event()


@callbacks.tool(run="worker", on_interrupt="restart")
async def far(task: mcpc.Task) -> str:
    taken.set()
    if ROLE == "leave":
        await anyio.sleep_forever()
    with trace.get_tracer("test").start_as_current_span("the worker's"):
        return "done"


async def call() -> None:
    async with mcpc.Client(server) as client:
        with trace.get_tracer("test").start_as_current_span("the user's"):
            await client.start_task("far")


async def work() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(mcpc.work, server)
        await taken.wait()
        while ROLE == "finish" and not any(span.name == "mcpc.task far" for span in spans.get_finished_spans()):  # noqa: ASYNC110
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()


async def main() -> None:
    with anyio.fail_after(60):
        await (call() if ROLE == "call" else work())


anyio.run(main)
print(
    json.dumps(
        [
            {
                "name": span.name,
                "trace": span.context.trace_id,
                "id": span.context.span_id,
                "parent": None if span.parent is None else span.parent.span_id,
            }
            for span in spans.get_finished_spans()
            if span.context is not None
        ]
    )
)

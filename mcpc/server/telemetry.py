"""What an operator sees of tasks: spans and metrics, by `opentelemetry-api` alone. Without its SDK it does nothing.

A task's span is a child of its call's (the SDK's, which takes the caller's trace context from `_meta`), so a trace
shows the call, the task that outlives it, and its end. A task that another process runs, or the next one after a
restart, keeps the trace of its call in its state. Knows tasks, and nothing of who follows them.
"""

from collections.abc import Awaitable
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mcpc.tasks import Status as TaskStatus
from mcpc.tasks import TaskState
from mcpc.wire.jsontext import as_object

__all__ = ["Telemetry", "trace_of_call"]

SCOPE = "mcpc"
"""The name of the instrumentation scope."""


_propagator = TraceContextTextMapPropagator()
"""Not the one that the application has set: what else travels with its requests has no place in a store."""


def trace_of_call() -> dict[str, str] | None:
    """The trace context of the call that is being handled, as it travels; None where nothing is traced."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier or None


class Telemetry:
    """The spans and metrics of one server's tasks.

    Spans `mcpc.task TOOL`, with `mcpc.task.id`, `mcpc.tool`, `mcpc.session.id`, and at their end `mcpc.task.status`.
    Metrics `mcpc.tasks.running`, `mcpc.tasks.ended` (by status), `mcpc.task.duration` (seconds), each by `mcpc.tool`.
    """

    def __init__(self) -> None:
        self._tracer = trace.get_tracer(SCOPE)
        meter = metrics.get_meter(SCOPE)
        self._running = meter.create_up_down_counter("mcpc.tasks.running", "{task}", "Tasks that run now")
        self._ended = meter.create_counter("mcpc.tasks.ended", "{task}", "Tasks that have ended")
        self._duration = meter.create_histogram("mcpc.task.duration", "s", "How long tasks ran")
        self._spans: dict[str, Span] = {}

    def began(self, state: TaskState) -> None:
        """A task has been entered, in the context of its call, or taken over with the trace that its state names."""
        context = None if state.trace is None else _propagator.extract(state.trace)
        span = self._tracer.start_span(f"mcpc.task {state.tool_name}", context)
        if span.is_recording():
            span.set_attributes(
                {"mcpc.task.id": state.task_id, "mcpc.tool": state.tool_name, "mcpc.session.id": state.session_id}
            )
            self._spans[state.task_id] = span
        self._running.add(1, {"mcpc.tool": state.tool_name})

    async def below(self, state: TaskState, work: Awaitable[Any]) -> Any:
        """What `work` gives; what it traces stands below its task's span. (A task that was called stands in its call.)

        Raises:
            Exception: what it raised. The span is not told.
        """
        span = self._spans.get(state.task_id)
        if span is None:
            return await work
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            return await work

    def ended(self, state: TaskState) -> None:
        """A task has ended."""
        status, tool = _status(state), {"mcpc.tool": state.tool_name}
        self._running.add(-1, tool)
        self._ended.add(1, {**tool, "mcpc.task.status": status})
        self._duration.record(max(0.0, state.updated_at - state.created_at), tool)
        span = self._spans.pop(state.task_id, None)
        if span is None:
            return
        span.set_attribute("mcpc.task.status", status)
        if state.status is TaskStatus.FAILED and status != "stopped":
            span.set_status(Status(StatusCode.ERROR, status))
        span.end()


def _status(state: TaskState) -> str:
    """`complete`, `stopped`, or `failed`. What exactly failed is the task's own to say: it may be secret."""
    failure: Any = as_object(state.result).get("error")
    return "stopped" if failure == "stopped" and state.status is TaskStatus.FAILED else str(state.status)

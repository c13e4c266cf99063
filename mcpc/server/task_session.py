"""The SDK's session in the hands of a background worker: what it tells and asks reaches whoever follows the task.

An ordinary tool's session ends with its request, and a worker's `ctx.info`, `ctx.report_progress` and `ctx.elicit`
may come when the request has long been answered. So they become what a task has: an update, a log entry, a question.
All else is the session of the call.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from mcp.server.session import ServerSession
from mcp_types import ElicitResult, RequestId

from mcpc.errors import PromptError
from mcpc.server.execution import Execution
from mcpc.wire.names import WORKER_TOKEN

__all__ = ["PROGRESS_TOKEN", "Log", "TaskSession"]

PROGRESS_TOKEN = WORKER_TOKEN
"""The progress token that a worker's request has: FastMCP reports no progress without one."""

Log = Callable[[Execution, dict[str, Any]], Awaitable[None]]
"""Takes a log entry, `{"level", "data", "logger"?}`, to whoever follows the task."""


class TaskSession:
    """A session whose messages are its task's.

    Args:
        session: The session of the call.
        task: Gives the task; None before there is one, and then all is the call's own.
        log: Takes a log entry to who follows the task.
    """

    def __init__(self, session: ServerSession, task: Callable[[], Execution | None], log: Log) -> None:
        self._session = session
        self._task = task
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    # --- what it tells ---

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Send an update, `{"progress", "total"?, "message"?}`."""
        task = self._task()
        if task is None:
            await self._session.report_progress(progress, total, message)
            return
        update = {"progress": progress, "total": total, "message": message}
        await task.update({name: value for name, value in update.items() if value is not None})

    async def send_progress_notification(
        self,
        progress_token: str | int,
        progress: float,
        total: float | None = None,
        message: str | None = None,
        related_request_id: str | None = None,
    ) -> None:
        """Send an update; see `report_progress`."""
        await self.report_progress(progress, total, message)

    async def send_log_message(
        self, level: Any, data: Any, logger: str | None = None, related_request_id: RequestId | None = None
    ) -> None:
        """Log an entry."""
        task = self._task()
        if task is None:
            await self._session.send_log_message(level, data, logger, related_request_id)  # pyright: ignore[reportDeprecated]
            return
        entry = {"level": level, "data": data}
        await self._log(task, entry if logger is None else {**entry, "logger": logger})

    # --- what it asks ---

    @property
    def can_send_request(self) -> bool:
        """Whether somebody can be asked: a task's follower may be."""
        return self._task() is not None or self._session.can_send_request

    async def elicit(
        self, message: str, requested_schema: Any, related_request_id: RequestId | None = None
    ) -> ElicitResult:
        """Ask a question."""
        return await self.elicit_form(message, requested_schema, related_request_id)

    async def elicit_form(
        self, message: str, requested_schema: Any, related_request_id: RequestId | None = None
    ) -> ElicitResult:
        """Ask a question whose answer is an object."""
        task = self._task()
        if task is None:
            return await self._session.elicit_form(message, requested_schema, related_request_id)
        try:
            answer = await task.ask(message, None, cast("dict[str, Any]", requested_schema), None)
        except PromptError as exc:
            if exc.action is None:
                raise
            return ElicitResult(action=cast("Any", exc.action))
        return ElicitResult(action="accept", content=answer)

    async def create_message(self, messages: Any, **options: Any) -> Any:
        """Ask the client's model, over its connection: the request of the call may be over."""
        if self._task() is not None:
            options.pop("related_request_id", None)
        create: Any = self._session.create_message  # pyright: ignore[reportDeprecated]
        return await create(messages, **options)

"""The SDK's session in the hands of a background worker: what it tells and asks reaches whoever follows the task.

An ordinary tool's session ends with its request, and a worker's `ctx.info`, `ctx.report_progress` and `ctx.elicit`
may come when the request has long been answered. So they become what a task has: an update, a log entry, a question.
What it asks of the client's program, its model say, becomes a question too where whoever follows the task answers such.
All else is the session of the call.
"""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Any, cast

from mcp.server.session import ServerSession
from mcp_types import ElicitResult, RequestId

from mcpc.errors import PromptError
from mcpc.server.execution import Execution
from mcpc.tasks import Prompt
from mcpc.wire.client_requests import response_value, roots_request, sampling_request
from mcpc.wire.message import METHOD
from mcpc.wire.names import WORKER_TOKEN
from mcpc.wire.standard import ROOTS_METHOD, SAMPLING_METHOD

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
        answers: The methods of the standard's requests that whoever follows the task answers as questions of it.
        waits: Whether the request of the call is open for as long as the task runs.
    """

    __slots__ = ("_answers", "_log", "_session", "_task", "_waits")

    def __init__(
        self,
        session: ServerSession,
        task: Callable[[], Execution | None],
        log: Log,
        *,
        answers: AbstractSet[str] = frozenset(),
        waits: bool = True,
    ) -> None:
        self._session = session
        self._task = task
        self._log = log
        self._answers = answers
        self._waits = waits

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
            schema = cast("dict[str, Any]", requested_schema)
            answer = await task.ask(Prompt(task.prompt_id(None), message, schema=schema))
        except PromptError as exc:
            if exc.action is None:
                raise
            return ElicitResult(action=cast("Any", exc.action))
        return ElicitResult(action="accept", content=answer)

    async def create_message(self, messages: Any, **options: Any) -> Any:
        """Ask the client's model: by a question of the task, or over the connection that the call came over."""
        task = self._task()
        if task is not None and not self._waits:
            options.pop("related_request_id", None)
        if task is None or SAMPLING_METHOD not in self._answers:
            create: Any = self._session.create_message  # pyright: ignore[reportDeprecated]
            return await create(messages, **options)
        options.pop("related_request_id", None)
        return await _request(task, sampling_request(messages, options))

    async def list_roots(self) -> Any:
        """Ask for the client's roots, in the same ways."""
        task = self._task()
        if task is None or ROOTS_METHOD not in self._answers:
            return await self._session.list_roots()  # pyright: ignore[reportDeprecated]
        return await _request(task, roots_request())


async def _request(task: Execution, request: dict[str, Any]) -> Any:
    """What whoever follows the task responds."""
    method = request[METHOD]
    asked = Prompt(task.prompt_id(None), f"{method}, for the program of the client", request=request)
    response = await task.ask(asked)
    return response_value(request, response)

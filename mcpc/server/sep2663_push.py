"""One subscription to tasks (SEP-2663, `subscriptions/listen` with `taskIds`): what it is to be sent, and the sending.

A change is rendered when it happens and waits here for a slow reader; when many
wait, each task keeps its newest state only, so memory is bounded and the last
state always arrives.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server.session import ServerSession
from mcp_types import Notification, RequestId

from mcpc.server.desk import Observed
from mcpc.server.sep2663_state import detailed_state
from mcpc.tasks import TaskState
from mcpc.wire.message import params_of, with_meta
from mcpc.wire.names import SUBSCRIPTION_META
from mcpc.wire.requests import TASK_ID
from mcpc.wire.sep2663 import ACKNOWLEDGED_METHOD, TASKS_NOTIFICATION, acknowledging

__all__ = ["AcknowledgingSession", "TaskStream", "notify", "send_states"]

MAX_WAITING = 256
"""States that wait for a slow reader, beside one a task, before older ones of the same task go."""


class TaskStream:
    """The states that one subscription is still to be sent.

    It begins with each task as it stands: who subscribes a moment after the end must learn of the end.

    Args:
        tasks: The tasks to follow.
        running: What runs of them.
        max_size, with_details: See `detailed_state`.
    """

    def __init__(
        self, tasks: Sequence[TaskState], running: Sequence[Observed], *, max_size: int, with_details: bool
    ) -> None:
        self.ended: anyio.Event = anyio.Event()
        """Set when nothing more is sent."""
        self.task_ids: list[str] = [state.task_id for state in tasks]
        """The tasks being followed."""
        self._running = running
        self._max_size = max_size
        self._with_details = with_details
        self._limit = MAX_WAITING + len(tasks)
        self._waiting: deque[dict[str, Any]] = deque()
        self._last: dict[str, dict[str, Any]] = {}
        self._came = anyio.Event()
        self._finishing = False
        for execution in running:
            execution.observers.append(self._changed)
        for state in tasks:
            self._changed(state)

    def _changed(self, task: TaskState) -> None:
        state = detailed_state(task, max_size=self._max_size, with_details=self._with_details)
        if self._last.get(state[TASK_ID]) == state:
            return
        self._last[state[TASK_ID]] = state
        if len(self._waiting) >= self._limit:
            self._coalesce()
        self._waiting.append(state)
        self._came.set()

    def _coalesce(self) -> None:
        """Of each task keep the newest state that waits."""
        newest = {state[TASK_ID]: state for state in self._waiting}
        self._waiting = deque(newest.values())

    async def next(self) -> dict[str, Any] | None:
        """The next state to send; None once it is finished and all is sent."""
        while not self._waiting:
            if self._finishing:
                return None
            self._came = anyio.Event()
            await self._came.wait()
        return self._waiting.popleft()

    def finish(self) -> None:
        """End once everything that waits has been sent."""
        self._finishing = True
        self._came.set()

    def end(self) -> None:
        """Follow the tasks no more."""
        for execution in self._running:
            if self._changed in execution.observers:
                execution.observers.remove(self._changed)
        self._running = ()
        self._waiting.clear()
        self.finish()
        self.ended.set()


async def notify(session: ServerSession, request_id: RequestId, method: str, params: dict[str, Any]) -> None:
    """Send a notification of a subscription, on its stream, with its id."""
    addressed = with_meta(params, SUBSCRIPTION_META, request_id)
    notification: Any = Notification[dict[str, Any], str](method=method, params=addressed)
    await session.send_notification(notification, related_request_id=request_id)


async def send_states(session: ServerSession, request_id: RequestId, stream: TaskStream) -> None:
    """Send what the stream has, until it is finished."""
    while (state := await stream.next()) is not None:
        await notify(session, request_id, TASKS_NOTIFICATION, state)
        await checkpoint()


class AcknowledgingSession:
    """A request's session in the hands of the server's own `subscriptions/listen` handler.

    All is passed on; the acknowledgement, which must come first, names our tasks too.
    """

    def __init__(self, inner: ServerSession, task_ids: list[str]) -> None:
        self.acknowledged: anyio.Event = anyio.Event()
        """Set when the acknowledgement is sent: now others may send on the stream."""
        self._inner = inner
        self._task_ids = task_ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send_notification(self, notification: Any, related_request_id: RequestId | None = None) -> None:
        """Send a notification."""
        if notification.method == ACKNOWLEDGED_METHOD:
            theirs = params_of(notification.model_dump(by_alias=True, mode="json", exclude_none=True))
            params = acknowledging(theirs, self._task_ids)
            notification = Notification[dict[str, Any], str](method=ACKNOWLEDGED_METHOD, params=params)
        await self._inner.send_notification(notification, related_request_id=related_request_id)
        if notification.method == ACKNOWLEDGED_METHOD:
            self.acknowledged.set()

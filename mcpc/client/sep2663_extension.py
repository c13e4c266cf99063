"""Tasks of any SEP-2663 server (`io.modelcontextprotocol/tasks`), for our client.

`RemoteTasks` is the client's hold on the extension. A plain call that becomes a
task is followed to its result (`CalledTask`); a task with a handle has its
states turned into messages (`RemoteTask`), so that the handle looks the same
whatever the server speaks.
"""

import contextvars
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mcp.client import ClientExtension
from mcp.client.extension import ClaimContext, ResultClaim
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY, CallToolResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.client.handle import TaskHandle
from mcpc.client.questions import Questions
from mcpc.client.router import Router
from mcpc.client.sep2663_follow import TaskStreams, undeclared
from mcpc.client.sep2663_tasks import CalledTask, Host, RemoteTask
from mcpc.client.started import StartedCall
from mcpc.wire.sep2663 import TASK_RESULT, TASKS_EXTENSION, TaskState, requires_tasks
from mcpc.wire.sep2663_result import CreateTaskResult

__all__ = ["RemoteTasks", "call_as_asked", "needs_tasks"]


@dataclass(frozen=True)
class _Manner:
    """How one tool call is made; a call made inside of it (by a callback of the application) has its own."""

    captured: list[TaskState] | None = None
    """Where a call that becomes a task is noted instead of being followed."""
    progress: ProgressFnT | None = None
    """Who wants to know how the task goes on."""


_manner: contextvars.ContextVar[_Manner | None] = contextvars.ContextVar("mcpc_call_manner", default=None)


@contextmanager
def _calling(manner: _Manner, *, declared: bool = True) -> Generator[None]:
    ours, theirs = _manner.set(manner), undeclared.set(not declared)
    try:
        yield
    finally:
        undeclared.reset(theirs)
        _manner.reset(ours)


def needs_tasks(exc: MCPError) -> bool:
    """Whether the server refused a call because it did not declare the extension."""
    return exc.code == MISSING_REQUIRED_CLIENT_CAPABILITY and requires_tasks(exc.error.data)


async def call_as_asked(call: Any, progress: ProgressFnT | None) -> CallToolResult:
    """Make a tool call whose caller may have asked for progress.

    Tasks have no progress notifications (SEP-2663), so a call that asks for them does not declare the extension, and
    gets both the progress and the result on one request. Where the server serves the tool as a task only, it is
    called again as one, and the task's status messages stand for its progress.

    Args:
        call: Makes the call.
        progress: The caller's progress callback.
    """
    if progress is not None:
        with _calling(_Manner(), declared=False):
            try:
                return await call()
            except MCPError as exc:
                if not needs_tasks(exc):
                    raise
    with _calling(_Manner(progress=progress)):
        return await call()


class _Extension(ClientExtension):
    """What the SDK is told: we declare the extension, and finish calls that became tasks."""

    identifier = TASKS_EXTENSION

    def __init__(self, resolve: Callable[[CreateTaskResult, ClaimContext], Awaitable[CallToolResult]]) -> None:
        self._resolve = resolve

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return (ResultClaim(result_type=TASK_RESULT, model=CreateTaskResult, resolve=self._resolve),)


class RemoteTasks:
    """The extension, for one client.

    Args:
        host: The client, as far as following a task needs it.
        router: Where messages go.
        questions: Answers what is asked in the standard's way.
        call: Calls a tool, as the SDK's client does.
    """

    def __init__(
        self, host: Host, router: Router, questions: Questions, call: Callable[..., Awaitable[CallToolResult]]
    ) -> None:
        self.streams: TaskStreams = TaskStreams()
        self.extension: ClientExtension = _Extension(self.resolve)
        self._host = host
        self._router = router
        self._questions = questions
        self._call = call

    @property
    def available(self) -> bool:
        """Whether the present server serves tasks."""
        session = self._host.session
        capabilities = session.server_capabilities
        if session.protocol_version not in MODERN_PROTOCOL_VERSIONS or capabilities is None:
            return False
        return TASKS_EXTENSION in (capabilities.extensions or {})

    async def resolve(self, result: CreateTaskResult, context: ClaimContext) -> CallToolResult:
        """Finish a call that became a task.

        Raises:
            MCPError: the task failed with it, or the connection went away.
            UnknownTask: the server forgot it.
        """
        seed = TaskState.read(result.model_dump(by_alias=True, mode="json"))
        manner = _manner.get() or _Manner()
        if manner.captured is not None:
            manner.captured.append(seed)
            return CallToolResult(content=[], is_error=True)  # an error is not held against the tool's schema
        called = CalledTask(self._host, self._router, self.streams, seed.task_id, manner.progress)
        return await called.run(context.session, seed, context.read_timeout_seconds)

    async def start(self, call: StartedCall, arguments: dict[str, Any]) -> CallToolResult | None:
        """Call a tool for a handle: as a task, or, where the server runs it at once, to its result.

        Raises:
            MCPError: the server refused the call.
        """
        handle, captured = call.handle, list[TaskState]()
        with _calling(_Manner(captured=captured)):
            result = await self._call(handle.tool_name, arguments, meta=call.token)
        if not captured:
            call.goes_on()
            return result
        self._router.rename(handle, captured[0].task_id)  # the task's id is the server's to make
        if not call.is_ordinary:
            self._router.emit(handle, "created", captured[0].message or f"{handle.tool_name} has started")
        self.follow(handle, captured[0])
        return None

    def follow(self, handle: TaskHandle, seed: TaskState | None) -> None:
        """Let `handle` follow the task of its id."""
        task = RemoteTask(self._host, self._router, self.streams, handle, seed)
        task.has_callback = self._questions.callback is not None
        handle.steering = task
        self._router.spawn(task.run)

"""The requests of the tasks extension (SEP-2663), as a client makes them.

No waiting and no delivery here. Specification: modelcontextprotocol/ext-tasks, specification/draft/tasks.md.
"""

from typing import Any

from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Request, RequestParams, Result
from pydantic import ConfigDict

from mcpc.errors import PromptError, UnknownTask
from mcpc.wire.message import META
from mcpc.wire.reasons import UNKNOWN_TASK, reason_of
from mcpc.wire.requests import TASK_ID
from mcpc.wire.sep2663 import CANCEL_METHOD, GET_METHOD, UPDATE_METHOD, TaskState
from mcpc.wire.standard import INPUT_RESPONSES

__all__ = ["cancel_task", "get_task", "update_task"]


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _TaskRequest(Request[_Params, str]):
    name_param = TASK_ID  # over HTTP it travels as `Mcp-Name` too


class _Answer(Result):
    model_config = ConfigDict(extra="allow")


async def _ask(session: ClientSession, method: str, params: dict[str, Any]) -> dict[str, Any]:
    request = _TaskRequest(method=method, params=_Params.model_validate(params))
    try:
        answer = await session.send_request(request, _Answer)
    except MCPError as exc:
        if exc.code == INVALID_PARAMS and reason_of(exc.error.data) in (None, UNKNOWN_TASK):
            raise UnknownTask(f"the server does not know this task: {exc.message}") from exc
        if exc.code == INVALID_PARAMS:
            raise PromptError(exc.message) from exc
        raise
    return {**(answer.__pydantic_extra__ or {}), META: answer.meta or {}}


async def get_task(session: ClientSession, task_id: str) -> TaskState:
    """The task's state.

    Raises:
        UnknownTask: the server does not know it, or does not let us see it.
        MessageError: the answer is not a task's state.
        MCPError: any other error.
    """
    return TaskState.read(await _ask(session, GET_METHOD, {TASK_ID: task_id}))


async def update_task(session: ClientSession, task_id: str, responses: dict[str, Any]) -> None:
    """Answer some of the task's questions.

    Raises:
        PromptError: a server of ours did not take an answer.
        UnknownTask, MCPError: see `get_task`.
    """
    await _ask(session, UPDATE_METHOD, {TASK_ID: task_id, INPUT_RESPONSES: responses})


async def cancel_task(session: ClientSession, task_id: str) -> None:
    """Ask for the task to be stopped.

    Raises:
        UnknownTask, MCPError: see `get_task`.
    """
    await _ask(session, CANCEL_METHOD, {TASK_ID: task_id})

"""One task of a SEP-2663 server while our client follows it: its questions, its states as messages, its result.

`CalledTask` is a plain call that became a task: it is followed to the call's
result. `RemoteTask` has a handle: its states become messages.
"""

import logging
from functools import partial
from typing import Any, Protocol

import anyio
from mcp.client.session import ClientRequestContext, ClientSession
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, REQUEST_TIMEOUT, CallToolResult, ErrorData, InputRequest, TextContent
from pydantic import TypeAdapter, ValidationError

from mcpc.client.handle import TaskHandle
from mcpc.client.redialling import Redialling, Redials
from mcpc.client.requests import typed
from mcpc.client.router import Router
from mcpc.client.sep2663_follow import Follower, TaskStreams
from mcpc.client.sep2663_requests import cancel_task, get_task, update_task
from mcpc.errors import ConnectionLost, InputRefused, MCPCError, PromptError
from mcpc.foreign import hold_back
from mcpc.logs import logger_of
from mcpc.messages import Prompt
from mcpc.wire.message import method_of
from mcpc.wire.prompts import prompt_from_request, prompt_update, response_to
from mcpc.wire.requests import SESSION_ID, TOOL_NAME
from mcpc.wire.results import failure
from mcpc.wire.sep2663 import TaskState
from mcpc.wire.standard import ELICITATION_METHOD

__all__ = ["CalledTask", "Host", "RemoteTask"]

logger: logging.Logger = logger_of(__name__)

GOODBYE = 1.0
"""Seconds that telling the server to cancel may take, when a call is cancelled here."""

_input_requests: TypeAdapter[InputRequest] = TypeAdapter(InputRequest)


class Host(Redials, Protocol):
    """The client, as far as following a task needs it."""

    @property
    def session(self) -> ClientSession:
        """The session of the present connection; raises `ConnectionLost` where there is none."""
        ...


class _Followed:
    """A task that is being followed, and the questions that it asks."""

    def __init__(self, host: Host, router: Router, streams: TaskStreams, task_id: str) -> None:
        self.task_id = task_id
        self.tool_name: str = ""
        self.session_id: str | None = None
        self._host = host
        self._router = router
        self._streams = streams
        self._requests: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._follower: Follower | None = None

    async def _follow(self, session: ClientSession, seed: TaskState | None) -> None:
        """Follow it over `session` to its end; see `Follower.run`."""
        self._follower = Follower(session, self._streams, self.task_id, self._take, seed)
        await self._follower.run()

    def _take(self, state: TaskState) -> None:
        """A state that is news."""
        self.tool_name = state.tool_name or self.tool_name
        self.session_id = state.session_id or self.session_id
        for key in set(self._requests) - set(state.requests):
            del self._requests[key]
            self._closed(key)
        for key, request in state.requests.items():
            self._requests[key] = request
            # A key stands for the same question for the task's whole life, so each is asked once.
            if key not in self._asked and self._put(key, request):
                self._asked.add(key)

    def _closed(self, key: str) -> None:
        """A question is no longer open."""

    def _put(self, key: str, request: dict[str, Any]) -> bool:
        """Ask what the task wants to know; False where there is no room for the question now."""
        raise NotImplementedError

    async def answer(self, key: str, answer: Any) -> None:
        """Answer one of the task's questions.

        Raises:
            PromptError: it is not open, or the answer does not fit.
            UnknownTask, MCPError: see `update_task`.
        """
        request = self._requests.get(key)
        if request is None:
            raise PromptError("no such open prompt", closed=True)
        await update_task(self._host.session, self.task_id, {key: response_to(request, answer)})

    def _dispatch_soon(self, key: str, request: dict[str, Any]) -> None:
        assert self._follower is not None
        self._follower.spawn(partial(self._dispatch, key, request))

    async def _dispatch(self, key: str, request: dict[str, Any]) -> None:
        """Answer with the client's callbacks (elicitation, sampling, roots), as an ordinary request of its kind.

        Raises:
            MCPError: the client cannot answer, and the request is of a kind that cannot be declined.
        """
        session = self._host.session
        try:
            wanted = _input_requests.validate_python(request)
            context = ClientRequestContext(session=session, request_id=key)
            response = await session.dispatch_input_request(context, wanted)
        except ValidationError as exc:
            logger.debug("a task wants to know something that cannot be read: %s", exc)
            response = ErrorData(code=INTERNAL_ERROR, message="the request could not be read")
        if not isinstance(response, ErrorData):
            answer: dict[str, Any] = response.model_dump(by_alias=True, mode="json", exclude_none=True)
        elif method_of(request) == ELICITATION_METHOD:
            answer = {"action": "decline"}
        else:
            await cancel_task(session, self.task_id)
            raise MCPError.from_error_data(response)
        try:
            await update_task(session, self.task_id, {key: answer})
        except PromptError as exc:
            logger.warning("the server did not take the answer to a question: %s", exc)
            await self._decline(key)

    async def _decline(self, key: str) -> None:
        """Nobody here can answer a question: let the task know, if it still wants to."""
        try:
            await update_task(self._host.session, self.task_id, {key: {"action": "decline"}})
        except (MCPCError, MCPError) as exc:
            logger.debug("a question could not be declined: %s", exc)


class CalledTask(_Followed):
    """A plain call that became a task."""

    def __init__(
        self, host: Host, router: Router, streams: TaskStreams, task_id: str, progress: ProgressFnT | None
    ) -> None:
        super().__init__(host, router, streams, task_id)
        self._progress = progress
        self._told = 0
        self._text: str | None = None
        self._end: TaskState | None = None

    async def run(self, session: ClientSession, seed: TaskState, timeout: float | None) -> CallToolResult:
        """Follow it to its result, for `timeout` seconds at the most; if the caller gives up, so does the server.

        Raises:
            MCPError: it failed with it, the time is over, or the connection went away.
            UnknownTask: the server forgot it.
        """
        self._text = seed.message
        try:
            with anyio.move_on_after(timeout):
                await self._follow(session, seed)
        finally:
            if self._end is None:
                with anyio.move_on_after(GOODBYE, shield=True):
                    await _cancel_quietly(session, self.task_id)
        if self._end is None:
            raise MCPError(REQUEST_TIMEOUT, f"the task had no result within {timeout:g} s, and was cancelled")
        return _call_result(self._end)

    def _take(self, state: TaskState) -> None:
        super()._take(state)
        if state.terminal:
            self._end = state
        elif self._progress is not None and state.message is not None and state.message != self._text:
            self._text = state.message
            self._told += 1
            assert self._follower is not None
            self._follower.spawn(partial(self._report, float(self._told), state.message))

    async def _report(self, count: float, text: str) -> None:
        assert self._progress is not None
        try:
            await self._progress(count, None, text)
        except BaseException as exc:
            await hold_back(exc)
            logger.error("a progress callback raised", exc_info=exc)

    def _put(self, key: str, request: dict[str, Any]) -> bool:
        body = prompt_from_request(key, request)
        if body is None or not self._router.answering.handlers:
            self._dispatch_soon(key, request)
        else:
            assert self._follower is not None
            about = {"task_id": self.task_id, "session_id": self.session_id, "tool_name": self.tool_name}
            prompt = Prompt.model_validate({**body, **about})
            self._follower.spawn(partial(self._answer, prompt))
        return True

    async def _answer(self, prompt: Prompt) -> None:
        """Let the client's prompt handler answer. There is nobody else, so what it cannot answer is declined."""
        try:
            await self.answer(prompt.id, await self._router.answering.ask(prompt))
        except BaseException as exc:
            await hold_back(exc)
            logger.error("a prompt of %s was not answered", self.tool_name or self.task_id, exc_info=exc)
            await self._decline(prompt.id)


def _call_result(state: TaskState) -> CallToolResult:
    """What the call would have answered.

    Raises:
        MCPError: the error that it would have answered with.
    """
    if state.status == "completed":
        return CallToolResult.model_validate(state.result)
    if state.status == "failed":
        raise MCPError(_code(state), _text(state), state.error.get("data"))
    return CallToolResult(content=[TextContent(type="text", text=_text(state))], is_error=True)


def _code(state: TaskState) -> int:
    code = state.error.get("code")
    return code if isinstance(code, int) else INTERNAL_ERROR


def _text(state: TaskState) -> str:
    return str(state.error.get("message") or state.message or f"the task is {state.status}")


def _may_pass(failure: Exception) -> bool:
    """Whether trying again may help: the connection went away, or the server is in trouble."""
    if isinstance(failure, MCPError):
        return failure.code in (INTERNAL_ERROR, REQUEST_TIMEOUT)
    return isinstance(failure, ConnectionLost)


async def _cancel_quietly(session: ClientSession, task_id: str) -> None:
    try:
        await cancel_task(session, task_id)
    except (MCPError, MCPCError, anyio.ClosedResourceError) as exc:
        logger.debug("a task could not be cancelled: %s", exc)


class RemoteTask(_Followed):
    """A task with a handle: its states become messages.

    `update` when the status message changes (or, from a server of ours, with the update's own value), a prompt for
    each question, `complete` or `failed` at the end. It is found again after a lost connection.
    """

    on_channel = False

    def __init__(
        self, host: Host, router: Router, streams: TaskStreams, handle: TaskHandle, seed: TaskState | None
    ) -> None:
        super().__init__(host, router, streams, handle.task_id)
        self.has_callback: bool = False
        """Whether the application has an elicitation callback, for what no prompt handler takes."""
        self._handle = handle
        self._seed = seed
        self._text = None if seed is None else seed.message
        self._value: Any = None
        self._redialling = Redialling(host)

    # --- following ---

    async def run(self) -> None:
        """Follow it to its end, over as many connections as it takes."""
        while not self._handle.ended:
            try:
                await self._follow(self._host.session, self._seed)
                return
            except Exception as exc:
                failure = typed(exc) if isinstance(exc, MCPError) else exc
            if not _may_pass(failure) or self._redialling.is_over:
                self._router.fail(self._handle, failure)
                return
            self._seed = None
            await self._redialling.wait()

    # --- messages ---

    def _take(self, state: TaskState) -> None:
        self._redialling.succeeded()
        self._handle.tool_name = state.tool_name or self._handle.tool_name
        self._handle.known()
        self._tell_update(state)
        super()._take(state)
        if state.terminal:
            self._tell_end(state)

    def _tell_update(self, state: TaskState) -> None:
        if state.update is not None:
            value: Any = state.update[0]
        elif state.status in ("working", "completed") and state.message is not None and state.message != self._text:
            value = {"status": state.message}
        else:
            return
        if value != self._value and self._router.emit(self._handle, "update", value):
            self._value = value
            self._text = state.message

    def _tell_end(self, state: TaskState) -> None:
        router, handle = self._router, self._handle
        if state.value is not None and state.status == "completed":
            router.emit(handle, "complete", state.value[0])
        elif state.status == "completed":
            router.finish(handle, CallToolResult.model_validate(state.result))
        elif state.status == "cancelled":
            router.emit(handle, "failed", failure("stopped", _text(state)))
        else:
            details = {**failure("MCPError", _text(state)), "code": _code(state)}
            router.emit(handle, "failed", details)
        router.forget(handle)

    def _put(self, key: str, request: dict[str, Any]) -> bool:
        body = prompt_from_request(key, request)
        if body is None:
            self._dispatch_soon(key, request)
            return True
        if not self._router.emit(self._handle, "update", prompt_update(body)):
            return False
        if not self._router.answering.handlers and self.has_callback:
            self._dispatch_soon(key, request)
        return True

    async def _dispatch(self, key: str, request: dict[str, Any]) -> None:
        try:
            await super()._dispatch(key, request)
        except Exception:
            logger.exception("a question of %s was not answered", self._handle.tool_name)

    def _closed(self, key: str) -> None:
        self._handle.closed(key)

    # --- steering ---

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        """Answer a question; a task of this kind takes nothing else.

        Raises:
            InputRefused: it is not an answer.
            PromptError, UnknownTask, ConnectionLost: see `_Followed.answer`.
        """
        if prompt_id is None:
            raise InputRefused("this task is followed by the tasks extension, and takes answers to its prompts only")
        await _typed(self.answer(prompt_id, value))

    async def stop(self) -> None:
        """Ask for the task to be stopped."""
        await _typed(cancel_task(self._host.session, self.task_id))

    async def state(self) -> dict[str, Any]:
        """The task's state in our words, with the server's own members beside them."""
        state = await _typed(get_task(self._host.session, self.task_id))
        words = {"working": "running", "input_required": "waiting", "completed": "complete"}
        handle = self._handle
        return {
            **state.members,
            TOOL_NAME: handle.tool_name,
            SESSION_ID: handle.session_id,
            "status": words.get(state.status, "failed"),
        }


async def _typed(request: Any) -> Any:
    """The outcome of a request, its error as one of ours where there is one."""
    try:
        return await request
    except MCPError as exc:
        raise typed(exc) from exc

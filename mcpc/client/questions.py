"""`Questions`: what servers ask in the standard's way (elicitation), answered as prompts of tasks are.

A question that belongs to a call which a handle follows is one of the handle's prompts. Another goes to the prompt
handler alone. Before 2026-07-28 a server asks by a request of its own, and nothing says which call it belongs to; since
then a question is the answer to its call (SEP-2322). Knows nothing of connections and of tasks that servers keep.
"""

import itertools
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from mcp.client import ClientSession
from mcp.client.session import ClientRequestContext, ElicitationFnT
from mcp_types import ElicitRequestParams, ElicitResult, ErrorData
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcpc.client.router import Router
from mcpc.client.standard_tap import tap_standard
from mcpc.client.started import StartedCall, started_call
from mcpc.errors import PromptError
from mcpc.foreign import hold_back
from mcpc.logs import logger_of
from mcpc.messages import Prompt
from mcpc.transport import StreamPair
from mcpc.wire.prompts import elicitation, prompt_from_request, prompt_update, request_prompt, response_to

__all__ = ["Questions"]

logger: logging.Logger = logger_of(__name__)

DECLINED = ElicitResult(action="decline")

T = TypeVar("T")


class Questions:
    """The elicitation callback of one client.

    Args:
        router: Where prompts go.
        callback: The application's own: it is asked where there is no prompt handler.
    """

    def __init__(self, router: Router, callback: ElicitationFnT | None) -> None:
        self.callback = callback
        self.unanswered: ElicitResult | ErrorData = DECLINED
        """What a server is told whose question nobody here answers."""
        self._router = router
        self._numbers = itertools.count(1)
        self._calls: list[StartedCall | None] = []
        """The calls that are open; None for one without a handle."""

    def _answerable(self) -> bool:
        """Whether somebody could answer a question that a call leads to which is made now."""
        return bool(self.callback is not None or self._router.answering.handlers or started_call() is not None)

    async def during(self, call: Awaitable[T]) -> T:
        """Make a call, and know meanwhile that it is open."""
        started = started_call()
        self._calls.append(started)
        try:
            return await call
        finally:
            self._calls.remove(started)

    def tap(self, streams: StreamPair) -> StreamPair:
        """The same streams, tapped."""
        return tap_standard(streams, self._router.take_progress, self._answerable)

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        """Answer one question. Where nobody can, it is declined."""
        request = elicitation(params.model_dump(by_alias=True, mode="json", exclude_none=True))
        call = self._asker_on(context.session)
        if call is not None and (answer := await self._by_handle(call, request, context, params)) is not None:
            return answer
        if self._router.answering.handlers:
            return await self._by_handler(request)
        if self.callback is not None:
            return await self.callback(context, params)
        logger.warning("the server asked something that nobody here answers (see Client.on_prompt): it was declined")
        return self.unanswered

    async def left_to_handle(self, context: ClientRequestContext, request: dict[str, Any]) -> Any:
        """The response to a request of the client's program, given by whoever holds the handle of the call that it
        belongs to; None where that cannot be told, or there is no room for it.
        """
        call = self._asker_on(context.session)
        if call is None:
            return None
        call.goes_on()
        asked = _Asked(DECLINED, lambda response: response)
        key = f"{context.request_id}.{next(self._numbers)}"
        with self._shown(call, request_prompt(key, request), asked) as shown:
            return await asked.answer() if shown else None

    def _asker_on(self, session: ClientSession) -> StartedCall | None:
        return self.asker(alone=session.protocol_version not in MODERN_PROTOCOL_VERSIONS)

    def asker(self, *, alone: bool) -> StartedCall | None:
        """The call that what a server says belongs to, where that can be told and a handle follows it.

        Args:
            alone: Whether it belongs to the only call that is open, where nothing else tells.
        """
        call = started_call()
        if call is None and alone and len(self._calls) == 1:
            call = self._calls[0]
        return call

    # --- by a handle ---

    async def _by_handle(
        self, call: StartedCall, request: dict[str, Any], context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult | ErrorData | None:
        """Let the handle show it, and wait for whoever answers it; None where there is no room for it."""
        call.goes_on()
        key = f"{context.request_id}.{next(self._numbers)}"
        asked = _Asked(DECLINED, lambda answer: _response(request, answer))
        prompt = prompt_from_request(key, request)
        assert prompt is not None
        with self._shown(call, prompt, asked) as shown:
            if not shown:
                return None
            if self.callback is not None and not self._router.answering.handlers:
                return await self.callback(context, params)
            return await asked.answer()

    @contextmanager
    def _shown(self, call: StartedCall, prompt: dict[str, Any], asked: "_Asked") -> Generator[bool]:
        """One of the handle's open prompts. A prompt handler answers it as it does any other."""
        key = prompt["id"]
        call.steering.questions[key] = asked.take
        try:
            yield self._router.emit(call.handle, "update", prompt_update(prompt))
        finally:
            del call.steering.questions[key]
            call.handle.closed(key)

    # --- by the prompt handler ---

    async def _by_handler(self, request: dict[str, Any]) -> ElicitResult:
        """What the prompt handler answers; what it cannot answer is declined, as there is nobody else."""
        body = prompt_from_request(str(next(self._numbers)), request)
        try:
            return _accepted(request, await self._router.answering.ask(Prompt.model_validate(body)))
        except PromptError as exc:
            logger.warning("the answer to a question of the server is none, and it was declined: %s", exc)
        except BaseException as exc:
            await hold_back(exc)
            logger.error("a question of the server was not answered", exc_info=exc)
        return DECLINED


class _Asked:
    """One question that waits for its answer.

    Args:
        unanswered: What stands for an answer until there is one.
        read: From the answer to what the server is told.
    """

    def __init__(self, unanswered: Any, read: Callable[[Any], Any]) -> None:
        self._read = read
        self._answered = anyio.Event()
        self._result = unanswered

    def take(self, answer: Any) -> None:
        """The answer.

        Raises:
            PromptError: it does not fit the question.
        """
        self._result = self._read(answer)
        self._answered.set()

    async def answer(self) -> Any:
        """Wait for it."""
        await self._answered.wait()
        return self._result


def _response(request: dict[str, Any], answer: Any) -> ElicitResult:
    """The result for what was answered; one that is a result already stays as it is.

    Raises:
        PromptError: a form cannot hold the answer.
    """
    return answer if isinstance(answer, ElicitResult) else _accepted(request, answer)


def _accepted(request: dict[str, Any], answer: Any) -> ElicitResult:
    """The result that accepts a question with an answer.

    Raises:
        PromptError: a form cannot hold it.
    """
    try:
        return ElicitResult.model_validate(response_to(request, answer))
    except ValidationError as exc:
        raise PromptError("a form takes texts, numbers, true and false, and lists of texts") from exc

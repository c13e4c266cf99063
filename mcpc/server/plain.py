"""A caller that speaks plain MCP: it waits for the result, sees progress, and is asked as its era allows.

Before 2026-07-28 a question is a request to the caller (elicitation) while its call waits. Since then it is the
answer to the call, which comes back with the answers (`rounds`); the worker runs on meanwhile.
"""

from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server.context import HandlerResult
from mcp.server.session import ServerSession
from mcp_types import RequestId
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.errors import PromptError
from mcpc.server.call import Call, current_principal
from mcpc.server.execution import Execution
from mcpc.server.invocation import Invocation
from mcpc.server.outlet import OpenPrompt
from mcpc.server.outlets import ProgressOutlet, asked_again, can_be_asked
from mcpc.server.rounds import RoundTable
from mcpc.server.workshop import Workshop
from mcpc.tasks import TaskState
from mcpc.wire.jsontext import as_object
from mcpc.wire.prompts import answer_from_form, input_request

__all__ = ["PlainCaller"]

SETTLING = 5
"""Turns of the event loop in which further questions join the first in one round."""


class _RoundsOutlet(ProgressOutlet):
    """Progress on the request that waits; questions wait for the next round.

    Args:
        session: That of the first request.
        request_id: Its id.
        max_rounds: How often the caller may be asked in all.
    """

    def __init__(self, session: ServerSession, request_id: RequestId, max_rounds: int) -> None:
        super().__init__(session, request_id)
        self.rounds = 0
        """How often it has been asked."""
        self._askable = can_be_asked(session)
        self._max_rounds = max_rounds

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Leave the question to the next round."""
        if not self._askable:
            raise PromptError("this caller cannot be asked: it speaks no MCPC and declared no elicitation")
        if self.rounds >= self._max_rounds:
            raise PromptError(
                f"this caller was asked {self.rounds} times in one call; clients go along with no more (max_rounds)"
            )
        await checkpoint()


class PlainCaller:
    """One call of such a caller, through all its rounds. Its task is stopped if the call is cancelled.

    Args:
        call: The call.
        workshop: Where the task is done.
        rounds: Where calls wait for their callers.
    """

    def __init__(self, call: Call, workshop: Workshop, rounds: RoundTable) -> None:
        self._call = call
        self._workshop = workshop
        self._rounds = rounds
        self._invocation: Invocation | None = None
        self._refusals: dict[str, str] = {}
        """Why the last answers to questions that are still open were none."""
        self._news = anyio.Event()
        by_rounds = call.session.protocol_version in MODERN_PROTOCOL_VERSIONS
        self._by_rounds = by_rounds
        self._outlet = (
            _RoundsOutlet(call.session, call.request_id, workshop.limits.max_rounds)
            if by_rounds
            else ProgressOutlet(call.session, call.request_id)
        )

    # --- the call ---

    def enter(self, tool_name: str) -> Execution:
        """Enter a task that lives as long as the call."""
        call = self._call
        running = self._workshop.start(
            tool_name=tool_name,
            session_id=call.metadata.session_id,
            principal=current_principal(),
            outlet=self._outlet,
        )
        running.observers.append(self._changed)
        running.started.set()
        return running

    async def answer(self, invocation: Invocation) -> HandlerResult:
        """The result, or questions."""
        self._invocation = invocation
        invocation.when_over(self._wake)
        return await self._wait(invocation)

    async def log(self, running: Execution, entry: dict[str, Any]) -> None:
        """Log on the request that waits."""
        session = self._outlet.session
        if session is not None:
            await session.send_log_message(  # pyright: ignore[reportDeprecated]
                entry["level"], entry["data"], entry.get("logger"), self._outlet.request_id
            )

    def _changed(self, state: TaskState) -> None:
        self._wake()

    def _wake(self) -> None:
        self._news.set()

    async def _wait(self, invocation: Invocation) -> HandlerResult:
        """For the end, or for questions that make a round."""
        left = True
        try:
            while not invocation.over.is_set():
                if self._has_questions(invocation):
                    await self._settle()
                if self._has_questions(invocation):
                    left = False
                    return self._ask(invocation)
                self._news = anyio.Event()
                await self._news.wait()
            return invocation.answer()
        finally:
            self._outlet.session = None
            if left:
                invocation.scope.cancel()  # over, or the call was cancelled

    # --- rounds ---

    def _has_questions(self, invocation: Invocation) -> bool:
        return self._by_rounds and invocation.running is not None and bool(invocation.running.state.prompts)

    async def _settle(self) -> None:
        for _ in range(SETTLING):
            await checkpoint()

    def _ask(self, invocation: Invocation) -> dict[str, Any]:
        """The answer that asks every open question."""
        running, outlet = invocation.running, self._outlet
        assert running is not None
        assert isinstance(outlet, _RoundsOutlet)
        outlet.rounds += 1
        requests: dict[str, Any] = {}
        for key, prompt in running.state.prompts.items():
            why = self._refusals.get(key)
            requests[key] = input_request(prompt, None if why is None else asked_again(prompt.message, why))
        state = self._rounds.open(self, current_principal(), self._call.tool_name)
        self._workshop.host.spawn(lambda: self._rounds.expire(state))
        return {"resultType": "input_required", "inputRequests": requests, "requestState": state}

    async def resume(self, call: Call, responses: dict[str, Any]) -> HandlerResult:
        """The caller came back."""
        invocation, outlet = self._invocation, self._outlet
        assert invocation is not None
        assert isinstance(outlet, _RoundsOutlet)
        outlet.session, outlet.request_id = call.session, call.request_id
        self._refusals.clear()
        if invocation.running is not None:
            for key in list(invocation.running.state.prompts):
                self._read(invocation.running, key, as_object(responses.get(key)), outlet)
        return await self._wait(invocation)

    def _read(self, running: Execution, key: str, response: dict[str, Any], outlet: _RoundsOutlet) -> None:
        """One response. What is no answer leaves its question open for the next round."""
        try:
            self._respond(running, key, response)
        except PromptError as exc:
            self._refusals[key] = str(exc)
            if outlet.rounds >= self._workshop.limits.max_rounds:
                running.refuse(key, "cancel")  # it may not be asked again, and must not be left waiting

    def _respond(self, running: Execution, key: str, response: dict[str, Any]) -> None:
        action = response.get("action")
        if action == "accept":
            running.answer(key, answer_from_form(running.state.prompts[key], as_object(response.get("content"))))
        elif action in ("decline", "cancel"):
            running.refuse(key, action)
        else:
            raise PromptError("the question was not answered")

    def abandon(self) -> None:
        """The caller did not come back: the task is stopped, as by a cancelled call."""
        invocation = self._invocation
        if invocation is not None and invocation.running is not None:
            invocation.running.cancel()

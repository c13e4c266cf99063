"""A caller that speaks plain MCP: it waits for the result, sees progress, and is asked as its era allows.

Before 2026-07-28 a question is a request to the caller (elicitation) while its call waits. Since then it is the
answer to the call, which comes back with the answers (`rounds`); the worker runs on meanwhile. A host that waits only
seconds is given a handle after some, and companion tools look after the task from then on.
"""

from collections.abc import Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server.context import HandlerResult
from mcp.server.session import ServerSession
from mcp_types import RequestId
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import from_json

from mcpc.errors import PromptError
from mcpc.server.call import Call, current_principal
from mcpc.server.companions import handle_answer
from mcpc.server.entries import PlainEntry
from mcpc.server.execution import Execution
from mcpc.server.handed import HandedTasks, News
from mcpc.server.invocation import Invocation
from mcpc.server.outlet import OpenPrompt
from mcpc.server.outlets import ProgressOutlet, asked_again, can_be_asked
from mcpc.server.rounds import RoundTable
from mcpc.server.terms import Terms
from mcpc.server.workshop import Workshop
from mcpc.tasks import Prompt, TaskState
from mcpc.wire.jsontext import as_object
from mcpc.wire.prompts import input_request, read_response
from mcpc.wire.standard import INPUT_REQUESTS, REQUEST_STATE, RESULT_TYPE

__all__ = ["PlainCaller"]

SETTLING = 5
"""Turns of the event loop in which further questions join the first in one round."""


class _PlainOutlet(ProgressOutlet):
    """Progress on the request that waits; what is told is kept for whoever is handed the task.

    Args:
        session: That of the first request.
        request_id: Its id.
    """

    def __init__(self, session: ServerSession, request_id: RequestId) -> None:
        super().__init__(session, request_id)
        self.news: News | None = None
        """Where what is told is kept, where the caller may be given a handle."""
        self._asking: set[anyio.CancelScope] = set()
        self.handed = False
        """Whether the caller has a handle, and does not wait."""

    async def update(self, data: bytes, result: Any) -> None:
        """Keep it, and report it."""
        if self.news is not None:
            self.news.add("update", from_json(data).get("result"))
        await super().update(data, result)

    def hand_over(self) -> None:
        """Nobody waits any more: questions that are open are for the companion tools."""
        self.session = None
        self.handed = True
        for scope in tuple(self._asking):
            scope.cancel()

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Ask the caller who waits; leave the question to the companion tools where nobody does."""
        if not self.handed:
            with anyio.CancelScope() as scope:
                self._asking.add(scope)
                try:
                    await self._ask(prompt, data)
                finally:
                    self._asking.discard(scope)
                return
        if self.news is None or prompt.prompt.request is not None:
            raise PromptError("this caller cannot be asked")
        self.news.add("question", from_json(data)["result"]["prompt"])

    async def _ask(self, prompt: OpenPrompt, data: bytes) -> None:
        if self.news is not None and (self.session is None or not can_be_asked(self.session)):
            await prompt.answered.wait()  # its caller gets a handle soon
            return
        await super().prompt(prompt, data)


class _RoundsOutlet(_PlainOutlet):
    """The same for a caller that is asked by rounds: questions wait for the next.

    Args:
        session: That of the first request.
        request_id: Its id.
        max_rounds: How often the caller may be asked in all.
    """

    def __init__(self, session: ServerSession, request_id: RequestId, max_rounds: int) -> None:
        super().__init__(session, request_id)
        self.rounds = 0
        """How often it has been asked."""
        self.askable = can_be_asked(session)
        """Whether the caller declared that it can be asked."""
        self._max_rounds = max_rounds

    def may_be_asked(self, prompt: Prompt) -> bool:
        """Whether a question may stand in a round. A request of the standard is one for those only who answer it."""
        return self.askable or prompt.request is not None

    async def _ask(self, prompt: OpenPrompt, data: bytes) -> None:
        """Leave the question to the next round."""
        askable = self.may_be_asked(prompt.prompt)
        if not askable and self.news is not None:
            await prompt.answered.wait()  # its caller gets a handle soon
            return
        if not askable:
            raise PromptError("this caller cannot be asked: it speaks no MCPC and declared no elicitation")
        if self.rounds >= self._max_rounds:
            raise PromptError(
                f"this caller was asked {self.rounds} times in one call; clients go along with no more (max_rounds)"
            )
        await prompt.answered.wait()


class PlainCaller:
    """One call of such a caller, through all its rounds. Its task is stopped if the call is cancelled.

    Args:
        call: The call.
        workshop: Where the task is done.
        rounds: Where calls wait for their callers.
        handed: The tasks whose callers do not wait.
    """

    def __init__(self, call: Call, workshop: Workshop, rounds: RoundTable, handed: HandedTasks) -> None:
        self._call = call
        self._handed = handed
        self._after: float | None = None
        """Seconds after which it is given a handle; None where it waits for the end."""
        self._patience = anyio.CancelScope()
        self._workshop = workshop
        self._rounds = rounds
        self._invocation: Invocation | None = None
        self._refusals: dict[str, str] = {}
        """Why the last answers to questions that are still open were none."""
        self._news = anyio.Event()
        by_rounds = call.session.protocol_version in MODERN_PROTOCOL_VERSIONS
        self._outlet = (
            _RoundsOutlet(call.session, call.request_id, workshop.limits.max_rounds)
            if by_rounds
            else _PlainOutlet(call.session, call.request_id)
        )
        self.entry: PlainEntry = PlainEntry(call, workshop, self._outlet, self._changed, self._learn)

    # --- the call ---

    async def answer(self, invocation: Invocation, begin: Callable[[], None]) -> HandlerResult:
        """The result, or questions."""
        self._invocation = invocation
        invocation.when_over(self._wake)
        begin()
        return await self._wait(invocation)

    async def log(self, running: Execution, entry: dict[str, Any]) -> None:
        """Log on the request that waits."""
        if self._outlet.news is not None:
            self._outlet.news.add("log", entry)
        session = self._outlet.session
        if session is not None:
            await session.send_log_message(  # pyright: ignore[reportDeprecated]
                entry["level"], entry["data"], entry.get("logger"), self._outlet.request_id
            )

    def _learn(self, terms: Terms) -> None:
        """The tool is known: a server that mounts another learns only now how its callers wait."""
        self._after = terms.handle_after
        if self._after is not None:
            self._outlet.news = News()
            self._begin_to_wait()

    def _begin_to_wait(self) -> None:
        if self._after is not None:
            self._patience.deadline = anyio.current_time() + self._after

    def _changed(self, state: TaskState) -> None:
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._outlet.news is not None:
            self._outlet.news.wake()

    async def _wait(self, invocation: Invocation) -> HandlerResult:
        """For the end, or for questions that make a round."""
        goes_on = False
        try:
            with anyio.CancelScope() as self._patience:
                self._begin_to_wait()
                await self._until_over_or_asked(invocation)
            if invocation.over.is_set():
                return invocation.answer()
            if self._has_questions(invocation):
                answer: HandlerResult = self._ask(invocation)
            else:
                answer = await self._hand_over(invocation)
                invocation.let_go()
            goes_on = True
            return answer
        finally:
            self._outlet.session = None
            if not goes_on:
                invocation.scope.cancel()  # over, or the call was cancelled
                invocation.let_go()

    async def _until_over_or_asked(self, invocation: Invocation) -> None:
        while not invocation.over.is_set():
            if self._has_questions(invocation):
                await self._settle()
            if self._has_questions(invocation):
                return
            self._news = anyio.Event()
            await self._news.wait()

    # --- a handle ---

    async def _hand_over(self, invocation: Invocation) -> HandlerResult:
        """The answer that names the task, for a caller that waits no longer."""
        await invocation.begun.wait()
        running = invocation.running
        if running is None:
            await invocation.over.wait()
            return invocation.answer()
        told = self._outlet.news
        assert told is not None
        self._outlet.hand_over()
        self._handed.add(running, told)
        self._workshop.host.spawn(lambda: self._handed.expire(running))
        return handle_answer(running, told, self._call.tool_name)

    # --- rounds ---

    def _has_questions(self, invocation: Invocation) -> bool:
        return bool(self._questions(invocation))

    def _questions(self, invocation: Invocation) -> dict[str, Prompt]:
        """The open questions that a round can carry."""
        running, outlet = invocation.running, self._outlet
        if running is None or not isinstance(outlet, _RoundsOutlet):
            return {}
        return {key: prompt for key, prompt in running.state.prompts.items() if outlet.may_be_asked(prompt)}

    async def _settle(self) -> None:
        for _ in range(SETTLING):
            await checkpoint()

    def _ask(self, invocation: Invocation) -> dict[str, Any]:
        """The answer that asks every open question."""
        outlet = self._outlet
        assert isinstance(outlet, _RoundsOutlet)
        outlet.rounds += 1
        requests: dict[str, Any] = {}
        for key, prompt in self._questions(invocation).items():
            why = self._refusals.get(key)
            requests[key] = input_request(prompt, None if why is None else asked_again(prompt.message, why))
        state = self._rounds.open(self, current_principal(), self._call.tool_name)
        self._workshop.host.spawn(lambda: self._rounds.expire(state))
        return {RESULT_TYPE: "input_required", INPUT_REQUESTS: requests, REQUEST_STATE: state}

    async def resume(self, call: Call, responses: dict[str, Any]) -> HandlerResult:
        """The caller came back."""
        invocation, outlet = self._invocation, self._outlet
        assert invocation is not None
        assert isinstance(outlet, _RoundsOutlet)
        outlet.session, outlet.request_id = call.session, call.request_id
        self._refusals.clear()
        if invocation.running is not None:
            for key in self._questions(invocation):
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
        action, answer = read_response(running.state.prompts[key], response)
        if action == "accept":
            running.answer(key, answer)
        else:
            running.refuse(key, action)

    def abandon(self) -> None:
        """The caller did not come back: the task is stopped, as by a cancelled call."""
        invocation = self._invocation
        if invocation is not None and invocation.running is not None:
            invocation.running.cancel()
            invocation.let_go()

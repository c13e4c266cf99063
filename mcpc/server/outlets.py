"""Where a task's messages go, by what its caller can do: its channel, progress notifications, or nowhere.

Knows the SDK's session, which some callers are told and asked by; knows no task.
"""

import math
from collections.abc import Callable
from typing import Any, cast

from anyio.lowlevel import checkpoint
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import ClientCapabilities, ElicitationCapability, RequestId

from mcpc.errors import PromptError
from mcpc.server.journal import Journal
from mcpc.server.outlet import OpenPrompt
from mcpc.wire.jsontext import encode_json
from mcpc.wire.prompts import answer_from_form, form_schema

__all__ = ["JournalOutlet", "NullOutlet", "ProgressOutlet", "asked_again", "can_be_asked"]

MAX_ASKED = 10
"""Times that one question is asked by elicitation before its answers are given up."""


class NullOutlet:
    """For a task that nobody follows by messages: who polls it sees its state, open questions included."""

    is_log = False

    def offer(self, data: bytes) -> bool:
        """No: `update` lets the event loop have a turn."""
        return False

    async def update(self, data: bytes, result: Any) -> None:
        """Go on."""
        await checkpoint()

    def post(self, data: bytes) -> None:
        """Go on."""

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Nothing to do. Who polls a task may be another process than the one that began it: it waits for an answer."""
        await checkpoint()

    async def ready(self, size: int) -> None:
        """Go on."""

    def end(self, data: bytes, event: str, result: Any) -> None:
        """Nothing is sent."""


class JournalOutlet:
    """For a client that speaks MCPC: messages go to its journal, which is its channel on the wire.

    Args:
        journal: The client's journal.
        expiry: Gives the time at which a terminal message sent now may be forgotten.
    """

    __slots__ = ("_expiry", "journal", "offer")

    is_log = True

    def __init__(self, journal: Journal, expiry: Callable[[], float]) -> None:
        self.journal = journal
        self._expiry = expiry
        journal.running += 1
        self.offer = journal.offer

    async def update(self, data: bytes, result: Any) -> None:
        """Post it, under the journal's back-pressure."""
        await self.journal.post_with_pressure(data)

    def post(self, data: bytes) -> None:
        """Post it."""
        self.journal.post(data)

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Post the prompt as an update."""
        await self.journal.post_with_pressure(data)

    async def ready(self, size: int) -> None:
        """Wait for room in the log."""
        await self.journal.pressure.room_for(size)

    def end(self, data: bytes, event: str, result: Any) -> None:
        """Post it, to be kept until its time is over."""
        self.journal.running -= 1
        self.journal.post(data, expires_at=self._expiry())


class ProgressOutlet:
    """For a plain MCP caller: progress notifications on its request, if it sent a token; prompts as elicitations."""

    is_log = False

    def __init__(self, session: ServerSession | None, request_id: RequestId | None) -> None:
        self.session: ServerSession | None = session
        """That of the request which waits; None while none does."""
        self.request_id = request_id
        self._last = -math.inf

    def offer(self, data: bytes) -> bool:
        """No: the SDK's session has to be awaited."""
        return False

    async def update(self, data: bytes, result: Any) -> None:
        """Report progress; the SDK leaves it out where there is no token."""
        if self.session is None:
            await checkpoint()
            return
        progress, total, text = self._read(result)
        await self.session.report_progress(progress, total, text)

    def post(self, data: bytes) -> None:
        """Left out: progress is sent by `update`, which may wait."""

    def _read(self, result: Any) -> tuple[float, float | None, str | None]:
        """Progress, total and text of an update. MCP wants the progress to rise with each notification."""
        members = cast("dict[str, Any]", result) if isinstance(result, dict) else {}
        progress = _number(members.get("progress"))
        if progress is None:
            progress = math.floor(self._last) + 1.0 if math.isfinite(self._last) else 0.0
        elif progress <= self._last:
            progress = math.nextafter(self._last, math.inf)
        self._last = progress
        text = members.get("status") or members.get("message")
        if text is None:
            text = result if isinstance(result, str) else encode_json(result).decode()
        return progress, _number(members.get("total")), str(text)

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Ask by elicitation, where the caller declared that; again, as long as the answer is none."""
        session = self.session
        if session is None or not session.can_send_request or not can_be_asked(session):
            raise PromptError("this caller cannot be asked: it speaks no MCPC and declared no elicitation")
        asked = prompt.prompt
        message = asked.message
        for _ in range(MAX_ASKED):
            try:
                outcome = await session.elicit_form(message, form_schema(asked), related_request_id=self.request_id)
            except MCPError as exc:
                raise PromptError(f"the caller could not be asked: {exc}") from exc
            if outcome.action != "accept":
                prompt.refuse(outcome.action)
            if prompt.answered.is_set():
                return
            try:
                prompt.accept(answer_from_form(asked, dict(outcome.content or {})))
                return
            except PromptError as exc:
                message = asked_again(asked.message, str(exc))
        raise PromptError(f"the question was asked {MAX_ASKED} times, and no answer was one")

    async def ready(self, size: int) -> None:
        """Go on."""

    def end(self, data: bytes, event: str, result: Any) -> None:
        """Nothing is sent: the result is the call's answer."""


def can_be_asked(session: ServerSession) -> bool:
    """Whether a caller declared that it can be asked by elicitation."""
    return session.check_client_capability(ClientCapabilities(elicitation=ElicitationCapability()))


def asked_again(message: str, why: str) -> str:
    """A question whose last answer was refused."""
    return f"{message}\n(Once more: {why}.)"


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

"""What tasks ask, answered: by the application's prompt handler, or by the client's program itself.

Knows no connection and no handle: the answer is given back to whoever sends it on.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from mcp.shared.exceptions import MCPError

from mcpc.client.program import Program
from mcpc.dispatcher import Spawn
from mcpc.errors import MCPCError
from mcpc.foreign import hold_back
from mcpc.logs import logger_of
from mcpc.messages import ClientRequest, MCPCMessage, Prompt, prompt_of, request_of

__all__ = ["Answering", "PromptHandler"]

logger: logging.Logger = logger_of(__name__)

MAX_ASKED = 10_000
"""Questions that are remembered as asked."""

PromptHandler = Callable[[Prompt], Any]
"""Answers a prompt: its return value (or what it awaits to) is the answer."""


class Answering:
    """Who answers the tasks of one client.

    Args:
        spawn: Runs an async function in the background.
        send: Sends an answer to the task that asked.
    """

    def __init__(self, spawn: Spawn, send: Callable[[Prompt, Any], Awaitable[None]]) -> None:
        self.handlers: list[PromptHandler] = []
        """What answers prompts; the last one does."""
        self.program: Program | None = None
        """What answers requests of the standard that come as questions of tasks."""
        self.left: tuple[str, ...] = ()
        """The methods of such requests that whoever holds the task's handle answers, where there is no program."""
        self._spawn = spawn
        self._send = send
        self._asked: dict[str, None] = {}
        """The ids of questions that were asked, the newest last."""

    @property
    def is_there(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.handlers) or self.program is not None

    @property
    def answers(self) -> tuple[str, ...]:
        """The methods of the standard's requests that somebody here answers where they come as questions of tasks."""
        return self.left if self.program is None else self.program.answers

    def take(self, message: MCPCMessage) -> None:
        """Ask what a message asks, if it asks anything."""
        prompt = prompt_of(message) if self.handlers else None
        if prompt is None and self.program is not None:
            prompt = request_of(message)
        if prompt is not None:
            self._asked[prompt.id] = None
            if len(self._asked) > MAX_ASKED:
                del self._asked[next(iter(self._asked))]
            self._spawn(partial(self._answer, prompt))

    def take_once(self, message: MCPCMessage) -> None:
        """The same, unless it was asked before."""
        if message.result["prompt"]["id"] not in self._asked:
            self.take(message)

    async def ask(self, prompt: Prompt) -> Any:
        """What is answered."""
        if isinstance(prompt, ClientRequest):
            assert self.program is not None
            return await self.program.respond(prompt)
        answer = self.handlers[-1](prompt)
        return await answer if inspect.isawaitable(answer) else answer

    async def _answer(self, prompt: Prompt) -> None:
        try:
            await self._send(prompt, await self.ask(prompt))
        except (MCPCError, MCPError) as exc:
            logger.info("the answer to a prompt of %s came to nothing: %s", prompt.tool_name, exc)
        except BaseException as exc:
            await hold_back(exc)
            logger.error("a prompt of %s was not answered", prompt.tool_name, exc_info=exc)

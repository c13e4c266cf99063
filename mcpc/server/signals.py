"""What is said to a task of the store, from wherever it is said to wherever it runs.

A signal is written first, so that it survives whoever was told of it. The process
that runs the task reads it then: at once where it is this one, at a bell where it
is another. An answer is checked against the question as it was stored.
"""

import logging
from collections.abc import Callable
from typing import Any

from mcpc.errors import PromptError, StoreError
from mcpc.logs import logger_of
from mcpc.server.outlet import check_answer
from mcpc.server.stored_execution import StoredExecution
from mcpc.store import Store
from mcpc.stored import Signal
from mcpc.tasks import TaskState
from mcpc.wire.jsontext import encode_json

__all__ = ["Signals"]

logger: logging.Logger = logger_of(__name__)

READ_AT_ONCE = 100
"""Tasks that the store is asked about in one call."""


class Signals:
    """The signals of one process.

    Args:
        store: Gives the store.
        running: Gives what runs a task here, if anything does.
    """

    def __init__(self, store: Callable[[], Store], running: Callable[[str], StoredExecution | None]) -> None:
        self._store = store
        self._running = running

    async def send_input(self, state: TaskState, value: Any, key: str | None = None) -> None:
        """An input for a running task. One that was sent before with the same key is left out where the task runs.

        Raises:
            TaskEnded, InputRefused, UnknownTask: it takes none.
            StoreError: it could not be kept.
        """
        encoded = encode_json([key, value])
        running = self._running(state.task_id)
        if running is not None:
            running.inputs.check(len(encoded))
        await self._say(state, Signal("input", encoded))

    async def answer(self, state: TaskState, prompt_id: str, answer: Any) -> None:
        """The answer to one of a task's questions.

        Raises:
            TaskEnded, PromptError, UnknownTask: it cannot be taken.
            StoreError: it could not be kept.
        """
        prompt = state.prompts.get(prompt_id)
        if prompt is None:
            raise PromptError("no such open prompt", closed=True)
        check_answer(prompt, answer)
        await self._say(state, Signal("answer", encode_json(answer), prompt_id))

    async def refuse(self, state: TaskState, prompt_id: str, action: str) -> None:
        """The user will not answer one of a task's questions: `decline` or `cancel`."""
        if prompt_id in state.prompts:
            await self._say(state, Signal("refusal", action.encode(), prompt_id))

    async def stop(self, state: TaskState) -> None:
        """Ask a task to stop; one that has ended is left alone."""
        await self._say(state, Signal("stop"))

    async def _say(self, state: TaskState, signal: Signal) -> None:
        running = self._running(state.task_id)
        heard = 0 if running is None else running.heard
        number = await self._store().signal(state.task_id, signal)
        if running is not None and number <= heard:
            running.hear_late(signal)  # the store has lost its newest: that number was another's, and will not be read
        running = self._running(state.task_id)
        if running is not None:
            await self.listen(running)

    async def listen(self, *tasks: StoredExecution) -> None:
        """Let tasks hear what was said to them. What cannot be read now is heard at the next bell or look."""
        # One without a claim is being entered: nobody knows of it yet.
        claimed = {running.line.claim: running for running in tasks if running.line.claim is not None}
        claims = [*claimed]
        for start in range(0, len(claims), READ_AT_ONCE):
            some = claims[start : start + READ_AT_ONCE]
            try:
                heard = await self._store().signals({claim: claimed[claim].heard for claim in some})
            except StoreError as exc:
                logger.warning("what was said to a task could not be read: %s", exc)
                return
            for claim, signals in heard.items():
                claimed[claim].hear(signals)

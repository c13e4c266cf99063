"""The questions of one running task: asked, answered once, and closed; their state is the task's."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcpc.errors import PromptError
from mcpc.later import later
from mcpc.server.outlet import OpenPrompt
from mcpc.tasks import Move, Prompt, TaskRegistry, TaskState

if TYPE_CHECKING:
    import jsonschema
    from jsonschema import validators
else:
    jsonschema, validators = later("jsonschema"), later("jsonschema.validators")

__all__ = ["Questions"]


class Questions:
    """The questions of one task.

    Args:
        state: The task. Its `prompts` are those that wait for an answer.
        registry: Where its moves are made.
        max_open: How many may be open at once.
        changed: Called after each change.
    """

    __slots__ = ("_asked", "_changed", "_max_open", "_registry", "_state")

    def __init__(self, state: TaskState, registry: TaskRegistry, max_open: int, changed: Callable[[], None]) -> None:
        self._state = state
        self._registry = registry
        self._max_open = max_open
        self._changed = changed
        self._asked: dict[str, OpenPrompt] = {}
        """Those whose worker waits; an answered one is here until it has run on."""

    def ask(self, prompt: Prompt) -> OpenPrompt:
        """Open a question.

        Raises:
            PromptError: too many are open, this one is, or the schema is not one.
        """
        if prompt.prompt_id in self._asked:
            raise PromptError("this question is being asked already; give each one that is open a key of its own")
        if len(self._asked) >= self._max_open:
            raise PromptError(f"{self._max_open} prompts are open, which is the limit")
        if prompt.schema is not None:
            try:
                validators.validator_for(prompt.schema).check_schema(prompt.schema)
            except jsonschema.SchemaError as exc:
                raise PromptError(f"not a JSON schema: {exc.message}") from exc
        asked = OpenPrompt(prompt)
        self._registry.move(self._state, Move.ASK)
        self._asked[asked.prompt.prompt_id] = asked
        self._state.prompts[asked.prompt.prompt_id] = asked.prompt
        self._changed()
        return asked

    def answer(self, prompt_id: str, answer: Any) -> None:
        """Answer an open question.

        Raises:
            PromptError: no such prompt is open, it has been answered, or the answer does not fit it.
        """
        asked = self._asked.get(prompt_id)
        if asked is None:
            raise PromptError("no such open prompt", closed=True)
        asked.accept(answer)
        self._settle(asked)

    def refuse(self, prompt_id: str, action: str) -> None:
        """The user will not answer: `decline` or `cancel`. Nothing happens to one that is not open."""
        asked = self._asked.get(prompt_id)
        if asked is not None:
            asked.refuse(action)
            self._settle(asked)

    def close(self, asked: OpenPrompt) -> None:
        """Its worker waits no more."""
        if self._asked.pop(asked.prompt.prompt_id, None) is not None:
            self._settle(asked)

    def _settle(self, asked: OpenPrompt) -> None:
        """It waits for no answer any more."""
        prompts = self._state.prompts
        if prompts.pop(asked.prompt.prompt_id, None) is None or self._state.ended:
            return
        # With others still open, this is no move of the task's own, but it is a change.
        self._registry.move(self._state, Move.UPDATE if prompts else Move.ANSWER)
        self._changed()

    def end(self) -> None:
        """The task shall stop, or has ended: whoever waits goes on, without an answer."""
        self._state.prompts.clear()
        for asked in self._asked.values():
            asked.answered.set()

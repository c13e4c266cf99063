"""Where a task's messages go, as a protocol; and a question that waits for its answer.

Knows no task and no caller: what runs a task sends to an outlet, and `outlets`
has one for each kind of caller.
"""

from typing import TYPE_CHECKING, Any, Protocol

import anyio

from mcpc.errors import PromptError
from mcpc.later import later
from mcpc.tasks import Prompt
from mcpc.wire.client_requests import check_response
from mcpc.wire.jsontext import is_same_json

if TYPE_CHECKING:
    import jsonschema
else:
    jsonschema = later("jsonschema")

__all__ = ["OpenPrompt", "Outlet", "check_answer"]


class OpenPrompt:
    """A question that waits for its answer."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        """What is asked."""
        self.answered: anyio.Event = anyio.Event()
        """Set when nobody needs to answer any more: it was answered or refused, or its task ends."""
        self.answer: Any = None
        self.refused: str | None = None
        """How the user refused to answer (`decline`, `cancel`)."""

    def accept(self, answer: Any) -> None:
        """Take the answer.

        Raises:
            PromptError: it was answered already, is none of the choices, or does not fit the schema.
        """
        if self.answered.is_set():
            raise PromptError("this prompt has been answered", closed=True)
        check_answer(self.prompt, answer)
        self.answer = answer
        self.answered.set()

    def refuse(self, action: str) -> None:
        """The user will not answer: `decline` or `cancel`. Nothing happens where it is answered already."""
        if not self.answered.is_set():
            self.refused = action
            self.answered.set()


def check_answer(prompt: Prompt, answer: Any) -> None:
    """Whether `answer` is one.

    Raises:
        PromptError: it is none of the choices, or does not fit the schema, or is no response to the request.
    """
    if prompt.request is not None:
        check_response(prompt.request, answer)
    if prompt.choices is not None and not any(is_same_json(answer, choice) for choice in prompt.choices):
        raise PromptError("the answer is none of the choices")
    if prompt.schema is not None:
        try:
            jsonschema.validate(answer, prompt.schema)
        except jsonschema.ValidationError as exc:
            raise PromptError(f"the answer does not fit the schema: {exc.message}") from exc


class Outlet(Protocol):
    """Where a task's messages go."""

    @property
    def is_log(self) -> bool:
        """Whether updates are only put into a log, as bytes: then `update` needs no value, and raises nothing."""
        ...

    def offer(self, data: bytes) -> bool:
        """Take an update if nobody has to wait for that; False where `update` must be awaited instead."""
        ...

    async def update(self, data: bytes, result: Any) -> None:
        """An update: the encoded message, and the value it carries. May wait for the reader."""
        ...

    def post(self, data: bytes) -> None:
        """A message that is not the last one, without waiting."""
        ...

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Put a question to the caller. It may be answered when this returns, or later.

        Args:
            prompt: The question.
            data: An update that shows it, encoded.

        Raises:
            PromptError: this caller cannot be asked, or refused to answer.
        """
        ...

    async def ready(self, size: int) -> None:
        """Wait until a last message of `size` bytes pushes out none still to be sent; bounded, as `update` is."""
        ...

    def end(self, data: bytes, event: str, result: Any) -> None:
        """The terminal message. Never waits."""
        ...

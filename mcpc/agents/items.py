"""One thing that a model is to be told, as a line of text.

What tools say is data: it is shown as JSON, which has no line breaks, so it cannot look like a line of ours.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from mcpc.errors import MessageError
from mcpc.messages import MCPCMessage, Prompt, prompt_of
from mcpc.wire.jsontext import encode_json

__all__ = ["Item", "Kind", "clipped", "item_of", "short_id", "word"]

Kind = Literal["update", "question", "end", "event"]

SHORT_ID = 8
"""Characters of a task's id that a model is shown; it may give back as many, or all."""
_PLAIN = re.compile(r"[\w.:/-]{1,80}")


@dataclass(slots=True)
class Item:
    """One thing to tell.

    A question and an end are always told, if need be clipped; an update and an event may be left out, and are counted.
    """

    number: int
    """Its place in the order of arrival."""
    kind: Kind
    head: str
    """What it is about, in our own words."""
    body: str
    """What the tool or the server said, as JSON on one line, clipped to what can ever be shown."""
    task_id: str | None = None
    prompt: Prompt | None = None
    left_out: int = 0
    """Updates of the task before it that are not shown."""
    again: bool = False
    """Whether it was told before, in a turn that did not come to its end."""

    @property
    def must_be_told(self) -> bool:
        """Whether it may never be left out."""
        return self.kind in ("question", "end")

    def line(self, body_limit: int) -> str:
        """The line that a model reads, with a body of at most `body_limit` characters."""
        counted = f" ({self.left_out} earlier updates not shown)" if self.left_out else ""
        repeated = " (told before)" if self.again else ""
        return f"- {self.head}{counted}{repeated}: {clipped(self.body, body_limit)}"


def item_of(message: MCPCMessage, number: int, limit: int, *, asks_model: bool = False) -> Item:
    """A message as an item whose body is no longer than `limit` characters.

    Args:
        message: A task's message or a server event.
        number: Its place in the order of arrival.
        limit: As many characters as can ever be shown of it.
        asks_model: Whether a prompt in it is for the model to answer; else somebody else is asked, and it is an update.
    """
    if message.type == "server_event":
        return Item(number, "event", f"event {word(message.event)}", clipped(_json(message.result), limit))
    about = f"task {short_id(message.task_id or '')} {word(message.tool_name or 'task')}"
    prompt = prompt_of(message)
    if prompt is not None:
        body = clipped(_json(_question(prompt)), limit)
        if not asks_model:
            return Item(number, "update", f"{about} asks the user", body, message.task_id)
        return Item(number, "question", f"{about} asks, question id {word(prompt.id)}", body, message.task_id, prompt)
    kind: Kind = "end" if message.terminal else "update"
    return Item(number, kind, f"{about} {message.event}", clipped(_json(message.result), limit), message.task_id)


def _question(prompt: Prompt) -> dict[str, Any]:
    asked: dict[str, Any] = {"question": prompt.message, "choices": prompt.choices, "schema": prompt.schema_}
    return {name: value for name, value in asked.items() if value is not None}


def _json(value: Any) -> str:
    try:
        return encode_json(value).decode()
    except MessageError:
        return encode_json(repr(value)).decode()


def clipped(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; what was cut off is said."""
    if len(text) <= limit:
        return text
    note = f"… ({len(text)} characters)"
    return text[: max(0, limit - len(note))] + note


def short_id(task_id: str) -> str:
    """The part of a task's id that a model is shown."""
    return word(task_id[:SHORT_ID])


def word(name: str) -> str:
    """A peer's name as one word: as it is where it is plain, else as JSON, clipped."""
    return name if _PLAIN.fullmatch(name) else clipped(_json(name), 80)

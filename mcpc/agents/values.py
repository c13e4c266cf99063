"""What a model writes as text, as the value that is meant."""

import json
from typing import Any, cast

from mcpc.messages import Prompt

__all__ = ["answer_value", "arguments_of", "input_value"]


def arguments_of(text: str | dict[str, Any]) -> dict[str, Any]:
    """The arguments of a tool, given as the text of a JSON object.

    Raises:
        ValueError: it is not one.
    """
    value: Any = _json_or_none(text or "{}") if isinstance(text, str) else text
    if not isinstance(value, dict):
        raise ValueError(f'the arguments must be a JSON object such as {{"path": "a.txt"}}, not {text!r}')
    return cast("dict[str, Any]", value)


def answer_value(text: Any, prompt: Prompt) -> Any:
    """An answer, as the question wants it: one of its choices, a value of its schema, else the text as it is."""
    if not isinstance(text, str):
        return text
    value = _json_or_none(text)
    if prompt.choices is not None:
        # Text first: where "1" is a choice it is meant, not the number.
        return text if text in prompt.choices or value is None else value
    if prompt.schema_ is not None and prompt.schema_.get("type") != "string" and value is not None:
        return value
    return text


def input_value(text: Any) -> Any:
    """What is sent to a running task: a JSON object or array as such, everything else as the text it is."""
    value = _json_or_none(text) if isinstance(text, str) else text
    return cast("Any", value) if isinstance(value, dict | list) or not isinstance(text, str) else text


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None

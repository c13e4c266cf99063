"""What is typed, as values: JSON where it is JSON, `NAME=VALUE` pairs, objects; and values as one line."""

import json
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn, cast

from mcpc.cli.mistakes import UserMistake

__all__ = ["as_json", "assignments", "compact", "read_json", "read_object", "read_value", "token_from"]


STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON lets stand in a text, and a terminal obeys: controls, and what turns the direction of writing."""


def compact(value: Any) -> str:
    """A JSON value in one line."""
    return as_json(value)


def as_json(value: Any, indent: int | None = None) -> str:
    """A JSON value; what would steer a terminal is escaped, so the value is the same."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def read_value(text: str) -> Any:
    """A value as it was typed: JSON where it is JSON, else the text."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read_json(text: str, what: str) -> Any:
    """A value that has to be JSON.

    Raises:
        UserMistake: it is not.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as exc:
        raise UserMistake(f"{what} is not JSON: {exc}") from exc


def read_object(text: str | None, flag: str) -> dict[str, Any] | None:
    """What an option holds that takes a JSON object; None where it was not given.

    Raises:
        UserMistake: it is not one.
    """
    if text is None:
        return None
    value = read_json(text, flag)
    if not isinstance(value, dict):
        raise UserMistake(f"{flag} must be a JSON object, like '{{\"n\": 3}}'")
    return cast("dict[str, Any]", value)


def assignments(items: Sequence[str] | None, what: str, *, secret: bool = False) -> dict[str, str]:
    """`NAME=VALUE` items as a dictionary.

    Args:
        items: The items.
        what: What they are, for the error.
        secret: Keep them out of the error.

    Raises:
        UserMistake: one has no name or no `=`, or a name comes twice.
    """
    found: dict[str, str] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserMistake(f"{what} must look like NAME=VALUE" + ("" if secret else f", not {item!r}"))
        if name in found:
            raise UserMistake(f"{what} {name!r} is given twice")
        found[name] = value
    return found


def token_from(variable: str) -> str:
    """The token in an environment variable.

    Raises:
        UserMistake: it is not set, or empty.
    """
    token = os.environ.get(variable)
    if not token:
        raise UserMistake(f"--token-env: the environment variable {variable!r} is not set, or is empty")
    return token

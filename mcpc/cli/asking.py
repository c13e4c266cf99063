"""A task's prompt on the terminal: how it looks, and how what was typed becomes an answer."""

from collections.abc import Callable
from typing import Any, cast

import mcpc
from mcpc.cli.speech import printable, say
from mcpc.cli.terminal import LineReader
from mcpc.cli.values import compact, read_value

__all__ = ["answer_of", "ask", "show_question"]

YES = frozenset(("y", "yes", "true", "1"))
NO = frozenset(("n", "no", "false", "0"))


async def ask(prompt: mcpc.Prompt, lines: LineReader) -> Any:
    """Put the question and read the answer; asks again until it can be one.

    Raises:
        EOFError: standard input has ended.
    """
    show_question(prompt, say)
    if prompt.choices:
        return await _choose(prompt, lines)
    schema = prompt.schema_ or {"type": "string"}
    properties = cast("dict[str, dict[str, Any]]", schema.get("properties") or {})
    if schema.get("type") == "object" and properties:
        required = cast("list[str]", schema.get("required") or [])
        return await _fill_in(properties, required, lines)
    return await _field("", schema, lines)


def show_question(prompt: mcpc.Prompt, write: Callable[[str], None]) -> None:
    """Write the question, and what can be chosen."""
    write(f"? {printable(prompt.message)}")
    texts = _texts(prompt)
    for number, text in enumerate(texts, 1):
        write(f"  {number}. {text}" if _are_numbered(texts) else f"  {text}")


def answer_of(prompt: mcpc.Prompt, typed: str) -> Any:
    """What was typed, as an answer.

    Raises:
        ValueError: it cannot be one; the message is for the user.
    """
    if not prompt.choices:
        return _read(typed, prompt.schema_ or {"type": "string"})
    texts = _texts(prompt)
    wanted = typed.strip()
    if wanted in texts:
        return prompt.choices[texts.index(wanted)]
    if _are_numbered(texts) and wanted.isdecimal() and 1 <= int(wanted) <= len(texts):
        return prompt.choices[int(wanted) - 1]
    raise ValueError("that is none of the choices")


def _texts(prompt: mcpc.Prompt) -> list[str]:
    return [printable(choice) if isinstance(choice, str) else compact(choice) for choice in prompt.choices or ()]


def _are_numbered(texts: list[str]) -> bool:
    return not any(text.isdecimal() for text in texts)  # else a number typed could mean either


async def _choose(prompt: mcpc.Prompt, lines: LineReader) -> Any:
    while True:
        typed = await _typed("", lines)
        try:
            return answer_of(prompt, typed)
        except ValueError as exc:
            say(f"  {exc}")


async def _fill_in(properties: dict[str, dict[str, Any]], required: list[str], lines: LineReader) -> dict[str, Any]:
    """An object, field by field; a field that is not required may be left empty."""
    filled: dict[str, Any] = {}
    for name, schema in properties.items():
        value = await _field(f"{printable(name)}: ", schema, lines, may_be_empty=name not in required)
        if value is not None:
            filled[name] = value
    return filled


async def _field(label: str, schema: dict[str, Any], lines: LineReader, *, may_be_empty: bool = False) -> Any:
    if schema.get("description"):
        say(f"  {printable(str(schema['description']))}")
    if schema.get("enum"):
        say(f"  one of: {', '.join(printable(str(each)) for each in schema['enum'])}")
    while True:
        typed = await _typed(label, lines)
        if may_be_empty and not typed.strip():
            return None
        try:
            return _read(typed, schema)
        except ValueError as exc:
            say(f"  {exc}")


async def _typed(label: str, lines: LineReader) -> str:
    # On a line of its own: a prompt that stayed on the line would be torn by the next thing written.
    if label:
        say(f"  {label}")
    return await lines.read_line()


def _read(typed: str, schema: dict[str, Any]) -> Any:
    """What was typed, as the schema's type wants it.

    Raises:
        ValueError: it cannot be that; the message is for the user.
    """
    kind = schema.get("type")
    if kind == "string":
        return typed
    if kind == "boolean":
        if typed.strip().lower() in YES | NO:
            return typed.strip().lower() in YES
        raise ValueError("answer yes or no")
    value = read_value(typed)
    if kind in ("number", "integer") and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError("answer with a number")
    if kind in ("object", "array") and isinstance(value, str):
        raise ValueError(f"answer with a JSON {kind}")
    return value

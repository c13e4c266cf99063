"""The arguments of a tool call: from what was typed to what the tool's schema says, or a clear word why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from mcp_types import Tool
from referencing import Registry
from referencing.exceptions import Unresolvable

from mcpc.cli.mistakes import UserMistake
from mcpc.cli.toolset import nearest, parameters
from mcpc.cli.values import assignments, compact, read_object, read_value

__all__ = ["Arguments", "tool_arguments"]


@dataclass(frozen=True)
class Arguments:
    """What was typed for a tool."""

    given: Mapping[str, str]
    """The `key=value` arguments."""
    base: dict[str, Any] | None
    """What `--json-args` holds."""

    @classmethod
    def wanted(cls, uri: str, pairs: Sequence[str] | None, json_args: str | None) -> "Arguments":
        """Read what the command line says.

        Raises:
            UserMistake: it cannot be read.
        """
        try:
            return cls(assignments(pairs, "an argument"), read_object(json_args, "--json-args"))
        except UserMistake as exc:
            if uri.startswith("stdio:") and " " not in uri:  # the shell has made arguments of the command's words
                hint = "a stdio: address with spaces needs quotes: 'stdio:command arg ...'"
                raise UserMistake(f"{exc}; {hint}") from exc
            raise

    def for_tool(self, tool: Tool | None) -> dict[str, Any]:
        """See `tool_arguments`."""
        return tool_arguments(self.given, self.base, tool)


def tool_arguments(given: Mapping[str, str], base: dict[str, Any] | None, tool: Tool | None) -> dict[str, Any]:
    """What is sent to the tool.

    Args:
        given: The `key=value` arguments. Each becomes JSON or text, whichever the tool takes there.
        base: What `--json-args` holds: sent as it is, and then nothing is checked.
        tool: The tool, where the server tells of it.

    Raises:
        UserMistake: one is missing, of another type, or unknown to the tool.
    """
    validator = None if tool is None else _validator_of(tool.input_schema)
    if tool is None or validator is None:
        return {**(base or {}), **{name: read_value(text) for name, text in given.items()}}
    properties: dict[str, Any] = tool.input_schema.get("properties") or {}
    typed = {name: _typed(text, properties.get(name), validator) for name, text in given.items()}
    if base is None:
        _check(typed, tool, validator)
    return {**(base or {}), **typed}


def _validator_of(schema: dict[str, Any]) -> Validator | None:
    """A validator that fetches nothing: what a schema refers to elsewhere stays unknown."""
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError:
        return None  # the server's fault, and the server will say what it takes
    return kind(schema, registry=Registry())


def _typed(text: str, schema: Any, validator: Validator) -> Any:
    """A value: text where the tool wants text, so that `id=42` is a string there."""
    if not isinstance(schema, dict):
        return read_value(text)
    if cast("dict[str, Any]", schema).get("type") == "string":
        return text
    value = read_value(text)
    part = cast("Any", validator).evolve(schema=schema)  # in the root's place, so that its $ref are found
    try:
        return text if not part.is_valid(value) and part.is_valid(text) else value
    except Unresolvable:
        return value


def _check(arguments: dict[str, Any], tool: Tool, validator: Validator) -> None:
    schema = tool.input_schema
    takes = f"it takes: {parameters(schema) or 'nothing'}"
    properties: dict[str, Any] | None = schema.get("properties")
    if properties is not None and not schema.get("additionalProperties") and not schema.get("patternProperties"):
        for name in arguments.keys() - properties.keys():
            hint = nearest(name, list(properties))
            raise UserMistake(f"{tool.name} has no argument {name!r}; {hint}{takes}")
    required: list[str] = schema.get("required") or []
    missing = [name for name in required if name not in arguments]
    if missing:
        raise UserMistake(f"{tool.name} needs {', '.join(missing)}; {takes}")
    try:
        problem = next(iter(validator.iter_errors(arguments)), None)
    except Unresolvable:
        return
    if problem is not None:
        raise UserMistake(f"{tool.name}: {_in_words(problem)}; {takes}")


def _in_words(problem: ValidationError) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.absolute_path)
    kind = problem.validator_value
    if problem.validator == "type" and isinstance(kind, str):
        return f"{where.removeprefix('.')} must be of type {kind}, not {compact(problem.instance)}"
    return f"{where.removeprefix('.')}: {problem.message}".removeprefix(": ")

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

from mcpc.cli.addresses import is_command
from mcpc.cli.mistakes import UserMistake
from mcpc.cli.schemas import parameters, properties_of, required_by
from mcpc.cli.toolset import nearest
from mcpc.cli.values import assignments, compact, read_json, read_object, read_value

__all__ = ["Arguments"]


@dataclass(frozen=True)
class Arguments:
    """What was typed for a tool."""

    given: Mapping[str, str]
    """The `key=value` arguments: JSON or text, whichever the tool takes there."""
    base: Mapping[str, Any]
    """What was typed as JSON: `key:=value`, an object, `--json-args`."""
    checked: bool
    """Whether all of it is checked against the tool's schema."""

    @classmethod
    def wanted(cls, uri: str, words: Sequence[str] | None, json_args: str | None) -> "Arguments":
        """Read what the command line says.

        Raises:
            UserMistake: it cannot be read.
        """
        plain: list[str] = []
        base: dict[str, Any] = read_object(json_args, "--json-args") or {}
        try:
            for word in words or ():
                name, is_json, value = word.partition(":=")
                if word.lstrip().startswith("{"):
                    base |= read_object(word, "an argument that begins with {") or {}
                elif is_json and name and "=" not in name:
                    base[name] = read_json(value, f"{name}:=")
                else:
                    plain.append(word)
            given = assignments(plain, "an argument")
        except UserMistake as exc:
            if " " not in uri and is_command(uri):  # the shell has made arguments of the command's words
                hint = "the address of a command with spaces needs quotes: 'stdio:command arg ...'"
                raise UserMistake(f"{exc}; {hint}") from exc
            raise
        for name in given.keys() & base.keys():
            raise UserMistake(f"an argument {name!r} is given twice")
        return cls(given, base, checked=json_args is None)

    def for_tool(self, tool: Tool | None) -> dict[str, Any]:
        """What is sent to the tool.

        Args:
            tool: The tool, where the server tells of it.

        Raises:
            UserMistake: one is missing, of another type, or unknown to the tool.
        """
        validator = None if tool is None else _validator_of(tool.input_schema)
        if tool is None or validator is None:
            return {**self.base, **{name: read_value(text) for name, text in self.given.items()}}
        properties = properties_of(tool.input_schema)
        arguments = {
            **self.base,
            **{name: _typed(text, properties.get(name), validator) for name, text in self.given.items()},
        }
        if self.checked:
            _check(arguments, tool, validator)
        return arguments


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
    properties = properties_of(schema)
    if "properties" in schema and not schema.get("additionalProperties") and not schema.get("patternProperties"):
        for name in arguments.keys() - properties.keys():
            hint = nearest(name, list(properties))
            raise UserMistake(f"{tool.name} has no argument {name!r}; {hint}{takes}")
    missing = [name for name in required_by(schema) if name not in arguments]
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

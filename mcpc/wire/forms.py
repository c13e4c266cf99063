"""Forms: a JSON schema as an MCP elicitation can show it, and the answer read back from what was filled in.

An elicitation's schema is one flat object of simple properties (specification 2025-11-25, client/elicitation). So:

- what is no object is the one field `answer`;
- a nested object's members are fields with dots in their names, `who.name`;
- an optional value is a field that is not required;
- what no field can hold (a list of objects, say) is a text field that takes JSON;
- a choice is shown as a text, and comes back as the value that it stands for.

Whether the answer fits the schema is for others to say.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

from mcpc.wire.jsontext import as_object, encode_json

__all__ = ["ANSWER", "read_form", "show_form"]

ANSWER = "answer"
"""The one field of a form that stands for a plain question."""
MAX_DEPTH = 4
"""Levels of objects whose members become fields; what lies deeper is JSON in a text field."""

_FORMATS = frozenset(("email", "uri", "date", "date-time"))
_KEPT = {
    "string": ("title", "description", "default", "minLength", "maxLength", "pattern"),
    "integer": ("title", "description", "default", "minimum", "maximum"),
    "number": ("title", "description", "default", "minimum", "maximum"),
    "boolean": ("title", "description", "default"),
    "array": ("title", "description", "default", "minItems", "maxItems"),
}
"""The members that a field of each type may have."""


@dataclass(frozen=True)
class _Field:
    """One field: where its value belongs, and how it is shown."""

    path: tuple[str, ...]
    shown: dict[str, Any]
    required: bool
    choices: tuple[Any, ...] = ()
    """The values that stand behind the texts of an `enum`."""
    as_json: bool = False
    """Whether it is a text that holds JSON."""


def show_form(schema: dict[str, Any] | None, choices: list[Any] | None) -> dict[str, Any]:
    """The `requestedSchema` that asks for a value of `schema`, or for one of `choices`."""
    fields = _fields(schema, choices)
    form: dict[str, Any] = {"type": "object", "properties": {name: field.shown for name, field in fields.items()}}
    if required := [name for name, field in fields.items() if field.required]:
        form["required"] = required
    return form


def read_form(schema: dict[str, Any] | None, choices: list[Any] | None, content: dict[str, Any]) -> Any:
    """The value that was filled in.

    What is no field of the form is taken as it is: a client that was shown more than a form may fill in the object.
    """
    fields = _fields(schema, choices)
    if all(not field.path for field in fields.values()):
        return _read(fields[ANSWER], content.get(ANSWER))
    answer: dict[str, Any] = {}
    for name, value in content.items():
        field = fields.get(name)
        _put(answer, (name,) if field is None else field.path, value if field is None else _read(field, value))
    return answer


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        inner = target.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # it was given as a whole, as something else: for the schema to refuse
        target = cast("dict[str, Any]", inner)
    target[path[-1]] = value


def _read(field: _Field, value: Any) -> Any:
    for choice in field.choices:
        if value == _text(choice):
            return choice
    if field.as_json and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _text(choice: Any) -> str:
    return choice if isinstance(choice, str) else encode_json(choice).decode()


def _fields(schema: dict[str, Any] | None, choices: list[Any] | None) -> dict[str, _Field]:
    """The fields of the form by name."""
    if choices is not None:
        return {ANSWER: _choice({"title": "Answer"}, (), choices, required=True)}
    root = schema if schema is not None else {"type": "string"}
    plain = _plain(root, root)
    if _has_members(plain):
        found: dict[str, _Field] = {}
        _add_members(found, plain, root, (), required=True)
        return found
    field = _field(plain, root, (), required=True)
    return {ANSWER: _Field((), {"title": "Answer", **field.shown}, True, field.choices, field.as_json)}


def _has_members(schema: dict[str, Any]) -> bool:
    return schema.get("type", "object") == "object" and bool(as_object(schema.get("properties")))


def _add_members(
    found: dict[str, _Field], schema: dict[str, Any], root: dict[str, Any], path: tuple[str, ...], *, required: bool
) -> None:
    needed: Any = schema.get("required")
    for name, member in as_object(schema.get("properties")).items():
        inner = _plain(as_object(member), root)
        must = required and isinstance(needed, list) and name in needed
        here = (*path, name)
        if _has_members(inner) and len(here) < MAX_DEPTH:
            _add_members(found, inner, root, here, required=must)
        else:
            found[".".join(here)] = _field(inner, root, here, required=must)


def _plain(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A schema without what a form has no words for: references, and the `null` of an optional value."""
    seen: set[str] = set()
    while True:
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            schema = {**_resolve(reference, root), **_without(schema, "$ref")}
            continue
        for word in ("anyOf", "oneOf", "allOf"):
            arms: Any = schema.get(word)
            left = [arm for arm in cast("list[Any]", arms) if arm != {"type": "null"}] if isinstance(arms, list) else []
            if len(left) == 1 and isinstance(left[0], dict):
                schema = {**cast("dict[str, Any]", left[0]), **_without(schema, word)}
                break
        else:
            return schema if schema.get("default", 0) is not None else _without(schema, "default")


def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name}


def _resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    """What a reference within the schema refers to; nothing, where it leads elsewhere."""
    if not reference.startswith("#/"):
        return {}
    found: Any = root
    for part in reference[2:].split("/"):
        found = as_object(found).get(part.replace("~1", "/").replace("~0", "~"))
    return as_object(found)


def _field(schema: dict[str, Any], root: dict[str, Any], path: tuple[str, ...], *, required: bool) -> _Field:
    values: Any = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, list) and values:
        return _choice(schema, path, cast("list[Any]", values), required=required)
    kind: Any = schema.get("type")
    if isinstance(kind, list):
        kinds = [name for name in cast("list[Any]", kind) if name != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    items = _plain(as_object(schema.get("items")), root)
    if isinstance(kind, str) and kind in _KEPT and (kind != "array" or _all_texts(items.get("enum"))):
        shown = {"type": kind, **_about(schema, kind)}
        if kind == "array":
            shown["items"] = {"type": "string", "enum": items["enum"]}
        if schema.get("format") in _FORMATS and kind == "string":
            shown["format"] = schema["format"]
        return _Field(path, shown, required)
    return _Field(path, {"type": "string", **_json_about(schema, root)}, required, as_json=True)


def _about(schema: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: schema[name] for name in _KEPT[kind] if name in schema}


def _all_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in cast("list[Any]", values))


def _choice(schema: dict[str, Any], path: tuple[str, ...], values: list[Any], *, required: bool) -> _Field:
    shown = {"type": "string", "enum": list(dict.fromkeys(map(_text, values)))}
    about = {name: schema[name] for name in ("title", "description") if name in schema}
    if "default" in schema:
        about["default"] = _text(schema["default"])
    return _Field(path, {**shown, **about}, required, choices=tuple(values))


def _json_about(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """What is said of a text field that takes JSON: also what the JSON shall be."""
    whole = {**schema, "$defs": root["$defs"]} if "$defs" in root and "$ref" in encode_json(schema).decode() else schema
    asked = f"As JSON: {encode_json(_without(_without(whole, 'title'), 'description')).decode()}"
    about = {"title": schema["title"]} if "title" in schema else {}
    return {**about, "description": f"{schema['description']} {asked}" if "description" in schema else asked}

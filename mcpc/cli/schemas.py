"""A tool's schema in words: what each parameter takes. Whatever a server sends is read as far as it goes."""

from collections.abc import Mapping
from typing import Any, cast

from mcpc.cli.values import compact

__all__ = ["parameters", "properties_of", "required_by"]

ANY, NOTHING = "any", "nothing"
DEPTH = 6
"""How far references and unions are followed; what lies deeper is `any`."""


def properties_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that a schema names; none where it names none in a form that can be read."""
    found: Any = schema.get("properties")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def required_by(schema: Mapping[str, Any]) -> list[str]:
    """The names that it requires."""
    found: Any = schema.get("required")
    return [name for name in cast("list[Any]", found) if isinstance(name, str)] if isinstance(found, list) else []


def parameters(schema: Mapping[str, Any]) -> str:
    """The parameters of a tool in one line: `a: integer, b?: "big" | "small"`."""
    required = required_by(schema)
    named = properties_of(schema).items()
    return ", ".join(f"{name}{'' if name in required else '?'}: {_words(about, schema)}" for name, about in named)


def _words(part: Any, root: Mapping[str, Any], depth: int = DEPTH) -> str:
    """A schema in a few words."""
    if part is False:
        return NOTHING
    if not isinstance(part, dict) or depth == 0:
        return ANY
    schema = cast("dict[str, Any]", part)
    if "$ref" in schema:
        return _words(_referred(schema["$ref"], root), root, depth - 1)
    if "const" in schema:
        return compact(schema["const"])
    if isinstance(schema.get("enum"), list):
        return " | ".join(compact(value) for value in schema["enum"])
    for word, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if isinstance(schema.get(word), list) and schema[word]:
            return sign.join(dict.fromkeys(_words(each, root, depth - 1) for each in schema[word]))
    return _kinds(schema.get("type"))


def _kinds(kind: Any) -> str:
    """What `type` says: one name, or several."""
    if isinstance(kind, str):
        return kind
    names = [name for name in cast("list[Any]", kind) if isinstance(name, str)] if isinstance(kind, list) else []
    return " | ".join(names) or ANY


def _referred(pointer: Any, root: Mapping[str, Any]) -> Any:
    """What a reference within the schema leads to (RFC 6901); what it refers to elsewhere is not fetched."""
    if not isinstance(pointer, str) or not pointer.startswith("#"):
        return None
    found: Any = root
    for part in pointer.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            return None
        found = cast("dict[str, Any]", found)[name]
    return found

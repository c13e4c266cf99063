"""Each word of the wire is written once: in `mcpc/wire`, and everywhere else by the name that it has there.

The words are read from `mcpc/wire` itself. A word that could be no other (`mcpc/listen`, `taskId`, `_meta`, what mcpc
0.2 says) may stand nowhere else. One that may be an ordinary word too (`method`) may not be used to look into a value.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from house_kit import MODULES, tree_of
from mcpc.wire.envelope import ENVELOPE_NAMES

WIRE = [module for module in MODULES if module.startswith("mcpc.wire.") and module != "mcpc.wire.forms"]
"""Where the words are at home. (A form is written in the words of JSON Schema, which are not ours.)"""

OTHERS = [module for module in MODULES if not module.startswith("mcpc.wire")]

ORDINARY = {"id", "result", "error"}
"""Members of a JSON-RPC message whose names many other things have; looked for only where messages pass."""

PASSED_THROUGH = ("mcpc.bridge", "mcpc.framing", "mcpc.taps", "mcpc.pair", "mcpc.client.tap", "mcpc_transports")
"""Where decoded messages pass, so that an `id` can hardly be anything else."""

UNMISTAKABLE = re.compile(r"[a-z]+(?:[A-Z][a-z0-9]*)+|[a-z._]+/[A-Za-z_/]*|_?(?:mcpc|MCPC)_\w+|is_mcpc_\w+|_meta\w*")


@cache
def texts(module: str) -> tuple[tuple[int, str], ...]:
    """The texts in a module's code, with their lines: no docstrings, and nothing else that stands alone."""
    alone = {node.value for node in ast.walk(tree_of(module)) if isinstance(node, ast.Expr)}
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in alone:
            found.append((node.lineno, node.value))
    return tuple(found)


def looked_up(module: str) -> Iterator[tuple[int, str]]:
    """The texts by which a module's code looks into values, or makes them: keys, subscripts, `get`, `in`."""
    for node in ast.walk(tree_of(module)):
        for key in keys_of(node):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.lineno, key.value


def keys_of(node: ast.AST) -> list[ast.expr | None]:
    match node:
        case ast.Dict():
            return node.keys
        case ast.Subscript() if not is_scope(node.value):
            return [node.slice]
        case ast.Compare() if isinstance(node.ops[0], ast.In | ast.NotIn):
            return [node.left]
        case ast.Call(func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[first, *_]):
            return [first]
        case _:
            return []


def is_scope(value: ast.expr) -> bool:
    """Whether it is an ASGI scope, whose `method` is HTTP's."""
    return ast.unparse(value).rpartition(".")[2].lstrip("_") == "scope"


def named_methods(module: str) -> Iterator[str]:
    """What a module of the wire calls a method (`INITIALIZE_METHOD`)."""
    for node in tree_of(module).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if "_METHOD" in name:
                yield text
            case _:
                pass


WORDS = {text for module in WIRE for _, text in texts(module) if UNMISTAKABLE.fullmatch(text)} | {
    text for module in WIRE for text in named_methods(module)
}
"""The words that could be no others."""

FAMILIES = tuple({word.partition("/")[0] + "/" for word in WORDS if "/" in word})
"""How methods and our `_meta` keys begin, also those that the wire does not know yet."""


def is_word(text: str) -> bool:
    return text in WORDS or (text.startswith(FAMILIES) and UNMISTAKABLE.fullmatch(text) is not None)


def test_the_words_were_found() -> None:
    some = {"mcpc/listen", "notifications/mcpc/messages", "taskId", "taskIds", "tasks/get", "_meta", "initialize"}
    originals = {"MCPC_CALLBACK", "_mcpc_init", "is_mcpc_enabled", "_metadata", "mcpc_params", "mcpc_task_id"}
    assert (some | originals) - WORDS == set()
    assert {"mcpc/", "notifications/", "tasks/", "tools/", "io.modelcontextprotocol/"} <= set(FAMILIES)
    assert is_word("notifications/none/such")
    assert not any(map(is_word, ("task", "status", "text/plain", "mcpc", "application/json", "maxItems")))


@pytest.mark.parametrize("module", OTHERS)
def test_a_word_of_the_wire_is_written_in_the_wire_only(module: str) -> None:
    assert [f"line {line}: {text}" for line, text in texts(module) if is_word(text)] == []


@pytest.mark.parametrize("module", OTHERS)
def test_nobody_else_looks_into_a_message_by_hand(module: str) -> None:
    names = set(ENVELOPE_NAMES) if module.startswith(PASSED_THROUGH) else set(ENVELOPE_NAMES) - ORDINARY
    assert [f"line {line}: {name}" for line, name in looked_up(module) if name in names] == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('message["method"]', True),
        ('message.get("params", {})', True),
        ('"jsonrpc" in message', True),
        ('{"method": 1}', True),
        ('scope["method"]', False),
        ('self._scope["method"]', False),
        ('say("method")', False),
    ],
)
def test_a_look_into_a_message_is_found(code: str, found: bool) -> None:
    keys = [key for node in ast.walk(ast.parse(code)) for key in keys_of(node)]
    assert any(isinstance(key, ast.Constant) and key.value in ENVELOPE_NAMES for key in keys) is found

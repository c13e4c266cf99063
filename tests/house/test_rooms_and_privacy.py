"""What is private to others is reached in `mcpc/sdk.py` and `mcpc/slots.py` only, where each thing has its reason.

"Others" are the SDK, FastMCP and pydantic: their private names may change with any release.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator

import pytest

from house_kit import MODULES, imports_of, tree_of

ROOMS = {"mcpc.sdk", "mcpc.slots"}
"""Where private things are touched."""

OTHERS = [module for module in MODULES if module not in ROOMS]

ABROAD = ("mcp", "mcp_types", "fastmcp", "pydantic", "pydantic_core")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> set[str]:
    """The private names that a module gives itself: to functions, classes, variables and attributes of `self`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case _:
                pass
    return found


def reached_for(tree: ast.Module) -> Iterator[str]:
    """Private names of objects that are not this module's own, by a dot or by a text."""
    own = own_names(tree) | {"_exit"}  # of `os`, where it is documented
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass  # its own, or its heir's: see below
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr=name) if is_private(name) and name not in own:
                yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]
            ):
                if is_private(name):
                    yield f"line {node.lineno}: {ast.unparse(node)}"
            case _:
                pass


@pytest.mark.parametrize("module", OTHERS)
def test_no_private_name_of_another_object_is_used(module: str) -> None:
    assert list(reached_for(tree_of(module))) == []


@pytest.mark.parametrize("module", OTHERS)
def test_no_private_module_or_name_is_imported_from_abroad(module: str) -> None:
    taken = [str(found) for found in imports_of(module) if found.target.partition(".")[0] in ABROAD]
    assert [name for name in taken if any(map(is_private, name.split(".")))] == []


@pytest.mark.parametrize("module", OTHERS)
def test_pydantic_is_not_looked_into(module: str) -> None:
    """Its models show `model_fields` and their like; what has two underscores on either side is no promise."""
    inner = re.compile(r"__pydantic_(?!extra__)\w+__")
    found = [node.attr for node in ast.walk(tree_of(module)) if isinstance(node, ast.Attribute)]
    found += [
        node.value
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [name for name in found if inner.fullmatch(name)] == []


def heirs() -> Iterator[tuple[str, str, type]]:
    """Our classes that inherit from one of the SDK's: the module, the class, and what it inherits from."""
    for module in OTHERS:
        for node in tree_of(module).body:
            if isinstance(node, ast.ClassDef) and node.bases:
                made: type = getattr(importlib.import_module(module), node.name)
                for base in made.__mro__[1:]:
                    if base.__module__.partition(".")[0] in ("mcp", "fastmcp"):
                        yield module, node.name, base


HEIRS = list(heirs())


def private_to(base: type) -> set[str]:
    """The private attributes that a class of the SDK has or gives its objects."""
    given = set(re.findall(r"\bself\.(_[a-z]\w*)", inspect.getsource(base)))
    return {name for name in {*vars(base), *getattr(base, "__annotations__", {}), *given} if is_private(name)}


def test_there_are_heirs_of_the_sdk() -> None:
    assert {name for _, name, _ in HEIRS} >= {"Client", "ProxyServer"}
    assert any(private_to(base) for _, _, base in HEIRS)


@pytest.mark.parametrize(("module", "name", "base"), HEIRS, ids=[f"{name}-{base.__name__}" for _, name, base in HEIRS])
def test_an_heir_uses_no_private_name_of_the_sdk_for_anything(module: str, name: str, base: type) -> None:
    """To reach it, or by accident for a thing of its own: the SDK would find our thing in the place of its own."""
    (tree,) = [node for node in tree_of(module).body if isinstance(node, ast.ClassDef) and node.name == name]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "super()")
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert (used | defined) & private_to(base) == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("session._connection", True),
        ("getattr(server, '_mcp_server', None)", True),
        ("self.inner._private", True),
        ("self._own", False),
        ("def _own(): ...\nmodule._own", False),
        ("module.__dict__", False),
        ("getattr(server, 'routes', ())", False),
    ],
)
def test_what_reaches_into_another_object_is_found(code: str, found: bool) -> None:
    assert bool(list(reached_for(ast.parse(code)))) is found

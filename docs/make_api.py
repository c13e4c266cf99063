"""Writes `docs/api.md` from the docstrings: `python docs/make_api.py`, or `make docs`.

What is shown is what a module's `__all__` names, in its order, under the headings that stand there as comments. Of a
class: its public attributes, properties and methods that have a docstring, those of its unshown bases included.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import mcpc

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).with_name("api.md")

MODULES = ("mcpc", "mcpc.agents", "mcpc.testing", "mcpc.transport", "mcpc.experimental")
"""What users import from: the library, and what is for those who test with it or write a transport."""

HEAD = """# API reference

Everything public, from the docstrings. Made by `make docs`; a test compares. The pages that teach are in the
[index](index.md).
"""

WIDTH = 100
"""Columns that a signature may have before it is written with a parameter a line."""

SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):\n", re.MULTILINE)

NAME = re.compile(r"[*\w.]+(, [*\w.]+)*")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The whole page."""
    return "\n".join((HEAD, *(line for name in MODULES for line in _of_module(name))))


def _of_module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"## {name}\n"
    yield _text(module.__doc__)
    for heading, shown in _groups(module):
        if heading:
            yield f"### {name}: {heading}\n"
        for one in shown:
            yield from _of_object(f"{name}.{one}", getattr(module, one))


def _groups(module: Any) -> Iterator[tuple[str, list[str]]]:
    """The names of `__all__`, by the comments that stand between them."""
    source = inspect.getsource(module)
    listed = re.search(r"^__all__ = \[(.*?)\]", source, re.MULTILINE | re.DOTALL)
    assert listed, f"{module.__name__} shows nothing"
    heading, shown = "", list[str]()
    for word in re.findall(r"#.*|\"\w+\"", listed[1]):
        if word.startswith("#"):
            if shown:
                yield heading, shown
            heading, shown = word[1:].strip(), []
        else:
            shown.append(word.strip('"'))
    yield heading, shown


def _of_object(name: str, value: Any) -> Iterator[str]:
    if inspect.ismodule(value):
        return
    yield f"#### `{name}`\n"
    if inspect.isclass(value):
        yield from _of_class(value)
    elif inspect.isfunction(value):
        yield from _of_function(_parsed(value))
    else:
        yield f"`{_plain(value)}`\n"


def _plain(value: Any) -> str:
    """A constant, or what an alias stands for."""
    if isinstance(value, frozenset):
        return f"frozenset({sorted(value)})"
    return str(value).replace("typing.", "").replace("collections.abc.", "")


def _parsed(value: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def _of_class(value: type) -> Iterator[str]:
    node = _parsed(value)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield _block(f"class {value.__name__}({bases}): ..." if bases else f"class {value.__name__}: ...")
    yield _text(inspect.getdoc(value))
    nodes = [node, *map(_parsed, _unshown_bases(value))]
    attributes = [line for one in nodes for line in (*_attributes(one), *_of_instances(one), *_properties(one))]
    if attributes:
        yield "Has:\n"
        yield "\n".join(attributes) + "\n"
    told = set[str]() if "__init__" in vars(value) else {"__init__"}
    for method in (method for one in nodes for method in _methods(one)):
        if method.name not in told:
            yield from _of_function(method)
        told.add(method.name)


def _unshown_bases(value: type) -> Iterator[type]:
    """Bases of ours that are no names of the package: what they have is told with the class."""
    for base in value.__mro__[1:]:
        if base.__module__.startswith("mcpc.") and getattr(mcpc, base.__name__, None) is not base:
            yield base


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    """Fields, with the docstrings that stand below them."""
    for index, line in enumerate(node.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id[0] != "_":
            below = node.body[index + 1] if index + 1 < len(node.body) else None
            told = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            yield _item(line.target.id, line.annotation, line.value, str(told))


def _of_instances(node: ast.ClassDef) -> Iterator[str]:
    """What `__init__` sets and says something of."""
    begin = next((line for line in node.body if isinstance(line, ast.FunctionDef) and line.name == "__init__"), None)
    body = [] if begin is None else begin.body
    for line, below in pairwise(body):
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Attribute):
            continue
        if line.target.attr[0] != "_" and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield _item(line.target.attr, line.annotation, None, str(below.value.value))


def _item(name: str, annotation: ast.expr | None, value: ast.expr | None, told: str) -> str:
    kind = f": {ast.unparse(annotation)}" if annotation is not None else ""
    default = f" = {ast.unparse(value)}" if value is not None else ""
    return f"- `{name}{kind}{default}`" + (f": {_flat(told)}" if told else "")


def _properties(node: ast.ClassDef) -> Iterator[str]:
    for method in node.body:
        if isinstance(method, Function) and method.name[0] != "_" and "property" in _decorators(method):
            yield _item(method.name, method.returns, None, ast.get_docstring(method) or "")


def _decorators(method: Function) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0] for decorator in method.decorator_list}


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    for method in node.body:
        if not isinstance(method, Function) or _decorators(method) & {"property", "overload"}:
            continue
        if method.name == "__init__" or (method.name[0] != "_" and ast.get_docstring(method)):
            yield method


def _of_function(node: Function) -> Iterator[str]:
    yield _block(_signature(node))
    if told := ast.get_docstring(node):
        yield _text(told)


def _signature(node: Function) -> str:
    """A stub, on one line where it fits."""
    start = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    end = f" -> {ast.unparse(node.returns)}: ..." if node.returns is not None else ": ..."
    line = f"{start} {node.name}({', '.join(_parameters(node.args))}){end}"
    if len(line) <= WIDTH:
        return line
    parameters = "".join(f"    {one},\n" for one in _parameters(node.args))
    return f"{start} {node.name}(\n{parameters}){end}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    """Each parameter as it is written."""
    plain = [*arguments.posonlyargs, *arguments.args]
    without = len(plain) - len(arguments.defaults)
    for index, one in enumerate(plain):
        yield _parameter(one, arguments.defaults[index - without] if index >= without else None)
        if index + 1 == len(arguments.posonlyargs):
            yield "/"
    if arguments.vararg:
        yield f"*{ast.unparse(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(one, default)
    if arguments.kwarg:
        yield f"**{ast.unparse(arguments.kwarg)}"


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    told = ast.unparse(one)
    if default is None:
        return told
    return f"{told} = {ast.unparse(default)}" if one.annotation else f"{told}={ast.unparse(default)}"


def _block(code: str) -> str:
    return f"```python no-run\n{code}\n```\n"


def _text(told: str | None) -> str:
    """A docstring, its sections (`Args:`, `Raises:`) as lists."""
    parts = SECTION.split(inspect.cleandoc(told or ""))
    whole = parts[0].rstrip() + "\n"
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        whole += f"\n{title}:\n\n" + "".join(_entry(entry) for entry in _entries(body))
    return whole


def _entries(body: str) -> list[str]:
    """What stands in a section: each line that is set in once begins an entry, deeper ones go on with it."""
    return [_flat(entry) for entry in re.split(r"\n(?=    \S)", body.strip("\n")) if entry.strip()]


def _entry(told: str) -> str:
    name, colon, rest = told.partition(": ")
    return f"- `{name}`: {rest}\n" if colon and NAME.fullmatch(name) else f"- {told}\n"


def _flat(told: str) -> str:
    return " ".join(told.split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stderr.write(f"{PAGE} is written\n")

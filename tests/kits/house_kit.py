"""The house as a program can read it: its files, what each imports, and how large and how winding they are.

Everything is read from the source, nothing is imported. An import counts wherever it stands: in a function and for
the type checker only, too, as a reader has to follow it all the same.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = [
    "HOMES",
    "MODULES",
    "ROOT",
    "Import",
    "circles",
    "complexities",
    "floors",
    "imports_of",
    "internal",
    "internal_imports",
    "lengths",
    "path_of",
    "tree_of",
]

ROOT = Path(__file__).parents[2]
HOMES = {
    "mcpc": ROOT / "mcpc",
    "mcpc_transports": ROOT / "transports" / "mcpc_transports",
    "mcpc_stores": ROOT / "stores" / "mcpc_stores",
}
"""Where each package is."""


@dataclass(frozen=True)
class Import:
    """One module that another imports."""

    target: str
    name: str | None
    """What is taken from it; None where the module itself is."""
    inside: tuple[str, ...]
    """The classes and functions that the import stands in."""
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.target}.{self.name}" if self.name else self.target


# --- the files and their imports --------------------------------------------------------------------------------


def _modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for package, home in HOMES.items():
        for path in home.rglob("*.py"):
            parts = path.relative_to(home).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return dict(sorted(found.items()))


MODULES = _modules()
"""Every module of both packages, by its name."""


def path_of(module: str) -> str:
    """The file of a module, as one would name it from the root of the repository."""
    return MODULES[module].relative_to(ROOT).as_posix()


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _walk(node: ast.AST, inside: tuple[str, ...] = (), typing_only: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, None, inside, typing_only) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from _taken(child, inside, typing_only)
        else:
            scope = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            deeper = (*inside, child.name) if scope else inside
            yield from _walk(child, deeper, typing_only or _is_typing_only(child))


def _taken(node: ast.ImportFrom, inside: tuple[str, ...], typing_only: bool) -> Iterator[Import]:
    assert node.level == 0, "imports are absolute"
    for alias in node.names:
        whole = f"{node.module}.{alias.name}"
        if whole in MODULES:
            yield Import(whole, None, inside, typing_only)
        else:
            yield Import(str(node.module), alias.name, inside, typing_only)


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    """Everything that a module imports."""
    return tuple(_walk(tree_of(module)))


def internal(module: str) -> Iterator[Import]:
    """What a module imports of the house."""
    return (found for found in imports_of(module) if found.target.partition(".")[0] in HOMES)


def internal_imports() -> dict[str, set[str]]:
    """For each module the modules of the house that it imports."""
    return {module: {found.target for found in internal(module) if found.target != module} for module in MODULES}


# --- circles and floors -----------------------------------------------------------------------------------------


def _reach(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """All that can be come to from a module, by one arrow or more."""
    seen: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(arrows[module])
    return seen


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """The sets of modules that import one another, however long the way round is."""
    reach = {module: _reach(module, arrows) for module in arrows}
    found: dict[str, list[str]] = {}
    for module in sorted(arrows):
        if module in reach[module]:
            ring = sorted(other for other in reach[module] if module in reach[other])
            found[ring[0]] = ring
    return list(found.values())


def floors(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """The modules from the ground up: each stands one floor above the highest that it imports.

    Modules in a circle, and all that is built on one, have no floor.
    """
    height: dict[str, int] = {}
    waiting = dict(arrows)
    while ready := [module for module, below in waiting.items() if below <= height.keys()]:
        for module in ready:
            height[module] = 1 + max((height[other] for other in waiting.pop(module)), default=-1)
    top = max(height.values(), default=-1)
    return [sorted(module for module, floor in height.items() if floor == number) for number in range(top + 1)]


# --- sizes ------------------------------------------------------------------------------------------------------


def _named(node: ast.AST, inside: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.AST]]:
    """Classes and functions with the names of what they stand in."""
    for child in ast.iter_child_nodes(node):
        scope = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        deeper = (*inside, child.name) if scope else inside
        if scope:
            yield ".".join(deeper), child
        yield from _named(child, deeper)


def lengths(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> dict[str, int]:
    """The lines of each file (`ast.Module`), class or function, without its decorators."""
    if kind is ast.Module:
        return {path_of(name): len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    found: dict[str, int] = {}
    for module in MODULES:
        for name, node in _named(tree_of(module)):
            if isinstance(node, kind):
                first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
                found[f"{path_of(module)}:{name}"] = last - first + 1
    return found


def complexities(above: int) -> dict[str, int]:
    """Functions of a higher cyclomatic complexity than `above`, as ruff counts it (McCabe)."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--output-format=json", "--exit-zero"]
    rule = ["--select=C901", f"--config=lint.mccabe.max-complexity={above}", *map(str, HOMES.values())]
    done = subprocess.run([*command, *rule], capture_output=True, text=True, check=True, timeout=200)
    found: dict[str, int] = {}
    for row in json.loads(done.stdout):
        _, name, says = row["message"].split("`")
        path = Path(row["filename"]).relative_to(ROOT).as_posix()
        number = int(says.partition("(")[2].partition(" ")[0])
        found[f"{path}:{name}"] = max(number, found.get(f"{path}:{name}", 0))
    return found

"""The bounds that keep rooms readable, file by file: no circle of imports, and nothing too large or too winding.

What is over a bound today stands in `exceptions.toml`, which only ever shrinks.
"""

import ast
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from house_kit import MODULES, circles, complexities, floors, internal, internal_imports, lengths, path_of

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")

MOVED = "(What has moved takes its line along.)"

BOUNDS = {"lines of a file": 400, "lines of a class": 250, "lines of a function": 60, "complexity of a function": 8}
"""The most that each may have. A function has 5 to 15 lines as a rule; 60 is where a rule becomes a bound."""


@cache
def listed() -> Mapping[str, Any]:
    return tomllib.loads(EXCEPTIONS.read_text(encoding="utf-8"))


def measured(what: str) -> dict[str, int]:
    """What is over the bound, and by how much."""
    match what:
        case "lines of a file":
            found = lengths(ast.Module)
        case "lines of a class":
            found = lengths(ast.ClassDef)
        case "lines of a function":
            found = lengths((ast.FunctionDef, ast.AsyncFunctionDef))
        case _:
            found = complexities(BOUNDS[what])
    return {name: number for name, number in found.items() if number > BOUNDS[what]}


def complaints(what: str, bound: int, found: Mapping[str, int], allowed: Mapping[str, int]) -> list[str]:
    """What is wrong with a measurement, in words that say what to do."""
    wrong: list[str] = []
    for name, number in found.items():
        if name not in allowed:
            wrong.append(f"{name}: {number}, and {bound} is the bound. Take it apart: the list does not grow. {MOVED}")
        elif number > allowed[name]:
            wrong.append(f"{name}: {number}, and it was {allowed[name]}: an exception may not grow. Make it smaller.")
    for name in allowed.keys() - found.keys():
        wrong.append(f"{name}: is no exception any more. Remove its line from {what!r} in {EXCEPTIONS.name}.")
    return sorted(wrong)


@pytest.mark.parametrize("what", BOUNDS)
def test_nothing_is_over_its_bound_but_what_is_listed_and_that_does_not_grow(what: str) -> None:
    wrong = complaints(what, BOUNDS[what], measured(what), listed().get(what, {}))
    assert not wrong, "\n".join(wrong)


def members(found: list[list[str]]) -> dict[str, int]:
    """The files that stand in a circle, and how many others it has."""
    return {path_of(module): len(ring) for ring in found for module in ring}


def test_no_file_imports_one_that_imports_it_back() -> None:
    """By whatever way round. Then each file stands on a floor above all that it imports: arrows run down only."""
    found = circles(internal_imports())
    what = "files in a circle of imports"
    wrong = complaints(what, 0, members(found), listed().get(what, {}))
    assert not wrong, "\n".join((*wrong, *map(str, found)))


def test_no_file_of_the_house_is_imported_in_a_function() -> None:
    """That hides an arrow from the reader, and most often a circle."""
    what = "imports in a function"
    found = {f"{path_of(module)}:{one.target}": 1 for module in MODULES for one in internal(module) if one.inside}
    wrong = complaints(what, 0, found, listed().get(what, {}))
    assert not wrong, "\n".join(wrong)


def test_the_list_of_exceptions_has_only_what_is_checked() -> None:
    known = {*BOUNDS, "files in a circle of imports", "imports in a function"}
    assert listed().keys() - known == set()


# --- the checks find what they are for --------------------------------------------------------------------------


def test_a_circle_is_found_however_long_and_its_neighbours_are_not_in_it() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set[str](), "e": {"a"}, "f": {"g"}, "g": {"f"}}
    assert circles(arrows) == [["a", "b", "c"], ["f", "g"]]


def test_floors_start_at_what_imports_nothing_and_leave_out_circles() -> None:
    arrows = {"a": set[str](), "b": {"a"}, "c": {"a", "b"}, "d": {"a"}, "e": {"f"}, "f": {"e"}, "g": {"e"}}
    assert floors(arrows) == [["a"], ["b", "d"], ["c"]]


@pytest.mark.parametrize(
    ("found", "allowed", "says"),
    [
        ({"x": 401}, {}, "the list does not grow"),
        ({"x": 450}, {"x": 449}, "an exception may not grow"),
        ({}, {"x": 449}, "Remove its line"),
        ({"x": 440}, {"x": 449}, ""),
    ],
)
def test_an_exception_only_shrinks(found: dict[str, int], allowed: dict[str, int], says: str) -> None:
    wrong = complaints("lines of a file", 400, found, allowed)
    assert [says in one for one in wrong] == ([True] if says else [])

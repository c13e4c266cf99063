"""Who serves a scheme, for any kind of thing: found once, loaded when used, and clear where it is not there."""

import logging
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from mcpc.errors import MissingExtra, UnknownOption, UnknownScheme, URIError
from mcpc.keywords import refuse_unknown
from mcpc.registry import Registry, options_of

Things = Registry[Any]


def things(**hints: str) -> Things:
    return Registry("tests.things", "thing", register="keep.register()", hints=hints)


class Offered:
    """What packages seem to offer, and how often somebody looked."""

    def __init__(self) -> None:
        self.points: list[tuple[str, str]] = []
        self.looks = 0

    def entry_points(self, *, group: str) -> tuple[EntryPoint, ...]:
        """In place of `importlib.metadata.entry_points`."""
        self.looks += 1
        assert group == "tests.things"
        return tuple(EntryPoint(name, value, group) for name, value in self.points)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Offered:
    found = Offered()
    monkeypatch.setattr("mcpc.registry.entry_points", found.entry_points)
    return found


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Make a module that can be imported."""
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])

    def write(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(code)

    return write


def test_what_is_installed_is_looked_up_once_however_often_it_is_used(offered: Offered) -> None:
    offered.points = [("one", "collections:OrderedDict"), ("two", "collections:deque")]
    keep = things()
    for _ in range(3):
        assert keep.schemes() == ["one", "two"]
        assert keep.resolve("one") is keep.resolve("ONE")
        keep.resolve("two")
    assert offered.looks == 1


def test_what_was_installed_since_is_found_when_somebody_asks_for_it(offered: Offered) -> None:
    keep = things()
    assert keep.schemes() == []
    offered.points = [("late", "collections:deque")]
    keep.resolve("late")
    assert keep.schemes() == ["late"]


def test_an_unknown_scheme_names_the_known_ones_and_how_others_come(offered: Offered) -> None:
    offered.points = [("one", "a:b")]
    keep = things()
    keep.register("Two", object())
    with pytest.raises(UnknownScheme) as caught:
        keep.resolve("three")
    for part in ("no thing for scheme 'three'", "one, two", "'tests.things'", "keep.register()"):
        assert part in str(caught.value)


def test_an_unknown_scheme_that_comes_with_an_extra_names_the_extra(offered: Offered) -> None:
    assert offered.points == []
    with pytest.raises(UnknownScheme, match=r"pip install 'lib\[blue\]'"):
        things(blue="pip install 'lib[blue]'").resolve("blue")


def test_a_missing_package_is_named_with_the_way_to_get_it(
    offered: Offered, module: Callable[[str, str], None]
) -> None:
    module("needy_thing", "import no_such_package.deep")
    offered.points = [("needy", "needy_thing:Needy"), ("blue", "needy_thing:Blue")]
    keep = things(blue="pip install 'lib[blue]'")
    with pytest.raises(MissingExtra, match=r"'no_such_package'.*pip install no_such_package"):
        keep.resolve("needy")
    with pytest.raises(MissingExtra, match=r"'no_such_package'.*pip install 'lib\[blue\]'"):
        keep.resolve("blue")


def test_a_module_that_python_lacks_on_this_platform_is_nothing_to_install(
    offered: Offered, module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    module("posix_thing", "import fcntl")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    offered.points = [("posix", "posix_thing:Posix")]
    with pytest.raises(MissingExtra, match=r"does not run on this platform.*'fcntl'") as caught:
        things().resolve("posix")
    assert "pip" not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["class Other: ...", "1 / 0", "class Broken(", "from collections import no_such_name"], ids=repr
)
def test_what_cannot_be_loaded_is_an_error_of_ours(
    code: str, offered: Offered, module: Callable[[str, str], None]
) -> None:
    name = f"broken_thing_{abs(hash(code))}"
    module(name, code)
    offered.points = [("broken", f"{name}:Broken")]
    with pytest.raises(URIError, match="the thing for 'broken' cannot be loaded") as caught:
        things().resolve("broken")
    assert not isinstance(caught.value, MissingExtra)


def test_what_was_offered_twice_is_told_once(offered: Offered, caplog: pytest.LogCaptureFixture) -> None:
    offered.points = [("one", "collections:deque"), ("one", "collections:Counter")]
    keep = things()
    with caplog.at_level(logging.WARNING):
        keep.schemes()
        assert type(keep.resolve("one")).__name__ == "deque"
    assert [record.message.partition(";")[0] for record in caplog.records] == ["scheme 'one' is offered twice"]


def test_an_implementation_that_counts_as_false_is_one_all_the_same(offered: Offered) -> None:
    assert offered.looks == 0
    keep = things()
    keep.register("empty", [])
    assert keep.resolve("empty") == []


def test_what_is_registered_comes_first_and_is_never_replaced_in_silence(offered: Offered) -> None:
    offered.points = [("one", "collections:deque")]
    keep = things()
    with pytest.raises(URIError, match="'one' is taken; pass replace=True to replace its thing"):
        keep.register("ONE", "ours")
    keep.register("one", "ours", replace=True)
    assert keep.resolve("one") == "ours"


def test_what_is_registered_inside_a_restored_block_is_gone_after_it(offered: Offered) -> None:
    assert offered.looks == 0
    keep = things()
    keep.register("before", 1)
    with keep.restored():
        keep.register("inside", 2)
        keep.register("before", 3, replace=True)
    assert (keep.schemes(), keep.resolve("before")) == (["before"], 1)


def test_options_are_keyword_only_parameters_and_others_are_refused() -> None:
    def opener(uri: str, /, *, speed: int = 5, colour: str | None = None) -> None: ...

    known = options_of(opener)
    assert known == {"speed": 5, "colour": None}
    refuse_unknown("thing: open", known, {"speed": 1})
    with pytest.raises(UnknownOption, match="thing: open does not take 'sped', 'hue'; it takes: speed, colour"):
        refuse_unknown("thing: open", known, {"sped": 1, "speed": 2, "hue": 3})
    with pytest.raises(UnknownOption, match="it takes: no options"):
        refuse_unknown("thing: open", {}, ["any"])

"""The pictures of the state machines are those of the tables in the code."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from docs_kit import ROOT


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script behind `make docs`."""
    spec = importlib.util.spec_from_file_location("make_states", ROOT / "docs" / "make_states.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_states_is_made_from_the_tables_of_today(maker: ModuleType) -> None:
    same = maker.PAGE.read_text(encoding="utf-8") == maker.page()
    assert same, "a table of a state machine has changed: run `make docs`"


def test_the_pictures_on_other_pages_are_those_of_the_tables_too(maker: ModuleType) -> None:
    for page in maker.PAGES_WITH_PICTURES:
        text = Path(page).read_text(encoding="utf-8")
        assert "<!-- states: " in text
        assert text == maker.with_pictures(text), f"{page.name}: run `make docs`"


def test_every_table_of_the_code_is_on_the_page(maker: ModuleType) -> None:
    """A module with a table says so by the name."""
    homes = (ROOT / "mcpc", ROOT / "transports", ROOT / "stores")
    files = [file for home in homes for file in home.rglob("*.py")]
    found = {file for file in files if "\nTRANSITIONS" in file.read_text(encoding="utf-8")}
    assert len(found) == len(maker.MACHINES)


def test_a_picture_shows_each_move_that_changes_something_once(maker: ModuleType) -> None:
    for machine in maker.MACHINES.values():
        arrows = [line for line in maker.picture(machine).splitlines() if "-->" in line and "[*]" not in line]
        moves = {(state, to) for state, row in machine.table.items() for to in row.values() if to is not state}
        assert len(arrows) == len(set(arrows)) == len(moves)

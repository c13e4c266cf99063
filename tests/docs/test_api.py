"""The reference is what the docstrings say."""

import importlib.util
from types import ModuleType

import pytest

from docs_kit import ROOT


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script behind `make docs`."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_made_from_the_docstrings_of_today(maker: ModuleType) -> None:
    same = maker.PAGE.read_text(encoding="utf-8") == maker.page()
    assert same, "a public docstring or signature has changed: run `make docs`"


def test_every_public_name_of_the_library_is_in_the_reference(maker: ModuleType) -> None:
    text = maker.PAGE.read_text(encoding="utf-8")
    for name in maker.MODULES:
        module = importlib.import_module(name)
        shown = [one for one in module.__all__ if not isinstance(getattr(module, one), ModuleType)]
        assert [one for one in shown if f"#### `{name}.{one}`\n" not in text] == []

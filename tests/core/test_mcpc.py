"""The front door: what `import mcpc` shows."""

import tomllib
from pathlib import Path

import mcpc


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert mcpc.__version__ == project["version"]


def test_every_name_that_is_shown_is_there() -> None:
    assert [name for name in mcpc.__all__ if not hasattr(mcpc, name)] == []

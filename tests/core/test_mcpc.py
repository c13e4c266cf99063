"""The front door: what `import mcpc` shows."""

import doctest
import pydoc
import re
import tomllib
from pathlib import Path

import mcpc


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert mcpc.__version__ == project["version"]


def test_every_name_that_is_shown_is_there() -> None:
    assert [name for name in mcpc.__all__ if not hasattr(mcpc, name)] == []


def test_help_begins_with_a_map_and_an_example_that_runs() -> None:
    text = mcpc.__doc__ or ""
    shown = pydoc.plain(pydoc.render_doc(mcpc)).splitlines()
    assert {line.strip() for line in text.splitlines()[1:]} <= {line.strip() for line in shown[:22]}
    assert len(text.splitlines()) <= 15
    named = set(re.findall(r"`(\w+)`", text))
    assert named - set(mcpc.__all__) == set()
    assert {"MCPCHelper", "Client", "SyncClient", "run", "listen", "bridge"} <= named
    example = doctest.DocTestParser().get_doctest(text, {}, "help", None, None)
    runner = doctest.DocTestRunner()
    said: list[str] = []
    failed, tried = runner.run(example, out=said.append)
    assert (failed, tried) == (0, 4), "".join(said)

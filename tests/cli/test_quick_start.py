"""How the program starts: what it needs, and what it leaves alone until that is needed."""

import json
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cli_kit import DEADLINE, ENVIRONMENT
from docs_kit import ROOT

HEAVY = {
    "mcp",
    "mcp_types",
    "starlette",
    "uvicorn",
    "httpx2",
    "websockets",
    "jsonschema",
    "opentelemetry",
    "rich",
    "mcpc.client",
    "mcpc.server",
    "mcpc.bridge",
    "mcpc_transports.http",
    "mcpc_transports.memory",
    "mcpc_transports.sockets",
    "mcpc_transports.stdio",
    "mcpc_transports.websocket",
}
"""What takes longer to import than a shell may take to complete a word."""

LOADED = """
import json, sys
from mcpc.cli import main
try:
    main()
finally:
    sys.stderr.write("\\n" + json.dumps([name for name in sys.modules if sys.modules[name]]))
"""


def loaded_by(*arguments: str, **env: str) -> tuple[str, set[str]]:
    """What the program writes, and the modules that it has imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**ENVIRONMENT, **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["call", "--help"], ["serve", "--help"]], ids=" ".join)
def test_help_imports_nothing_that_takes_long(arguments: list[str]) -> None:
    written, modules = loaded_by(*arguments)
    assert "Usage: " in written
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mcpc wa", "watch"),
        ("mcpc call w", "ws://127.0.0.1:8765/mcp"),
        ("mcpc call tcp://127.0.0.1:1 t --js", "--json"),
    ],
)
def test_a_tab_imports_nothing_that_takes_long(line: str, offered: str) -> None:
    env = {"_MCPC_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    written, modules = loaded_by(**env)
    assert offered in written
    assert modules & HEAVY == set()


def files_of_what_the_library_needs() -> set[Path]:
    """The packages that `pip install mcpc` brings, without any extra: their folders and files."""
    found: dict[str, Distribution] = {}
    wanted = [Requirement("mcpc")]
    while wanted:
        one = wanted.pop()
        if one.name not in found or one.extras:
            found[one.name] = distribution(one.name)
            wanted += [
                each
                for each in map(Requirement, found[one.name].requires or ())
                if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *one.extras))
            ]
    del found["mcpc"]
    places = {(package, file.parts[0]) for package in found.values() for file in package.files or () if file.parts}
    return {Path(str(package.locate_file(top))) for package, top in places if top not in ("..", "__pycache__")}


def test_without_its_extra_the_program_says_what_to_install_and_the_library_works(tmp_path: Path) -> None:
    """In an environment that has what the library needs and not what the command line needs."""
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    site = next(bare.glob("lib/python*/site-packages"))
    for path in files_of_what_the_library_needs():
        (site / path.name).symlink_to(path)
    for path in (ROOT / "mcpc", ROOT / "transports" / "mcpc_transports"):
        (site / path.name).symlink_to(path)
    python = str(bare / "bin" / "python")
    told = subprocess.run(
        [python, "-m", "mcpc", "tools", "memory://x"], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "error: the command line needs typer: pip install 'mcpc[cli]'\n"
    library = "import mcpc, mcpc_transports.http; [getattr(mcpc, name) for name in mcpc.__all__]"
    subprocess.run([python, "-c", library], timeout=DEADLINE, check=True)

"""What is shown fits the terminal, has no colours where none are wanted, and goes into a pipe as it is."""

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli_kit import run
from console_kit import Warm, warm
from mcpc.cli.app import app

WIDE = "x" * 300
"""A text that is wider than any terminal here."""
APP = f'''
import mcpc
from mcp.server import MCPServer

server = MCPServer("wide")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
async def widen(rows: int, name: str = "a", *, task: mcpc.Task) -> str:
    """{" ".join(["word"] * 60)}"""
    await task.update({{"status": "{WIDE}"}})
    return "{WIDE}"
'''
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

COMMANDS = sorted(typer.main.get_group(app).commands)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    (folder / "app.py").write_text(APP)
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"one": {"url": "http://127.0.0.1:1/" + "y" * 200}}}))
    return folder


@pytest.fixture(scope="module")
def started(folder: Path) -> Generator[Warm]:
    with warm(folder) as started:
        yield started


def on_terminal(started: Warm, folder: Path, arguments: list[str], **env: str) -> Any:
    with started.run(arguments, env, folder) as running:
        code = running.finish()
        return code, running.shown, running.terminal.written


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_fits_the_terminal(started: Warm, folder: Path, command: str, width: int) -> None:
    code, shown, _ = on_terminal(started, folder, [command, "--help"], COLUMNS=str(width))
    assert code == 0
    assert shown[0].startswith("Usage: mcpc")
    assert [line for line in shown if len(line) > width] == []


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("arguments", [["--help"], ["transports"], ["demo", "--help"]], ids=" ".join)
def test_what_is_a_table_or_a_text_fits_the_terminal(
    started: Warm, folder: Path, arguments: list[str], width: int
) -> None:
    code, shown, _ = on_terminal(started, folder, arguments, COLUMNS=str(width))
    assert code == 0
    assert shown
    assert [line for line in shown if len(line) > width] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], 0),
        (["call", "--help"], 0),
        (["transports"], 0),
        (["tools", "app.py"], 0),
        (["call", "app.py", "widen", "rows=1"], 0),
        (["call", "app.py", "widden"], 2),
        (["call", "--no-such-option"], 2),
        (["servers", "--config", "mcp.json"], 0),
    ],
    ids=str,
)
def test_no_colour_is_shown_where_none_is_wanted(
    started: Warm, folder: Path, arguments: list[str], expected: int
) -> None:
    code, _, written = on_terminal(started, folder, arguments, NO_COLOR="1")
    assert code == expected
    assert COLOUR.search(written) is None


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        (["tools", "{folder}/app.py"], " ".join(["word"] * 60)),
        (["call", "{folder}/app.py", "widen", "rows=1"], WIDE),
        (["servers", "--config", "{folder}/mcp.json"], "y" * 200),
        (["transports"], "memory"),
        (["--help"], "Usage: mcpc"),
    ],
    ids=str,
)
def test_into_a_pipe_goes_the_text_alone_and_no_line_is_broken(folder: Path, arguments: list[str], whole: str) -> None:
    done = run(*(argument.format(folder=folder) for argument in arguments), env={"COLUMNS": "40"})
    assert done.returncode == 0, done.stderr
    assert CONTROL.search(done.stdout) is None
    assert whole in done.stdout

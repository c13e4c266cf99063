"""What the shell offers at the Tab key, asked as the shells ask."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli_kit import DEADLINE, ENVIRONMENT, MCPC, served
from mcpc.cli import offering
from mcpc.cli.app import app as application

APP = """
from mcp.server import MCPServer

server = MCPServer("completed", log_level="WARNING")

@server.tool()
def add(a: int, amount: int) -> int:
    return a + amount

@server.tool()
def adorn(text: str) -> str:
    return text
"""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine is waited for."""
    monkeypatch.setattr(offering, "PATIENCE", 60.0)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("completed") / "app.py"
    path.write_text(APP)
    with served(f"{path}:server", "tcp://127.0.0.1:0") as (_, uris):
        yield uris[0]


def asked(**env: str) -> list[str]:
    answer = CliRunner(env=env).invoke(application, [], prog_name="mcpc")
    assert answer.exit_code == 0, answer.output
    return answer.stdout.split()


def in_fish(line: str) -> list[str]:
    return asked(_MCPC_COMPLETE="complete_fish", _TYPER_COMPLETE_FISH_ACTION="get-args", _TYPER_COMPLETE_ARGS=line)


def in_bash(*words: str) -> list[str]:
    return asked(_MCPC_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))


def test_a_scheme_is_completed_to_an_address_on_this_machine() -> None:
    assert in_fish("mcpc call w") == ["ws://127.0.0.1:8765/mcp", "wss://127.0.0.1:8765/mcp"]
    assert in_fish("mcpc serve app.py:server un") == ["unix:///tmp/mcp.sock"]
    assert in_fish("mcpc bridge st") == ["stdio:"]
    assert in_fish("mcpc transports ws") == ["ws", "wss"]


def test_tools_and_their_arguments_are_asked_of_the_server(uri: str) -> None:
    assert in_fish(f"mcpc call {uri} a") == ["add", "adorn"]
    assert in_fish(f"mcpc call {uri} add a") == ["a=", "amount="]
    assert in_fish(f"mcpc call {uri} add a=1 ") == ["amount="]
    assert in_fish(f"mcpc call {uri} nosuch ") == []


def test_bash_which_breaks_words_at_colons_gets_the_same(uri: str) -> None:
    scheme, host, port = uri.split(":")
    typed = ["mcpc", "call", scheme, ":", host, ":", port]
    assert in_bash(*typed, "ado") == ["adorn"]
    assert in_bash(*typed, "add", "a", "=", "1", "am") == ["amount="]
    assert in_bash(*typed[:-1], "") == []


def test_who_cannot_answer_is_no_error_and_no_command_is_run(tmp_path: Path) -> None:
    assert in_fish("mcpc call tcp://127.0.0.1:1 a") == []
    assert in_fish("mcpc call nonsense a") == []
    assert in_fish(f"mcpc call 'stdio:touch {tmp_path}/mark' a") == []
    marking = tmp_path / "app.py"
    marking.write_text(f"{APP}\nopen({str(tmp_path / 'mark')!r}, 'w').close()\n")
    assert in_fish(f"mcpc call {marking} a") == []
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"marks": {"command": "touch", "args": [str(tmp_path / "mark")]}}}))
    assert in_fish(f"mcpc call --config {config} marks a") == []
    assert {path.name for path in tmp_path.iterdir()} == {"app.py", "mcp.json"}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--help"], {}),
        ([], {"COMP_WORDS": "mcpc ", "COMP_CWORD": "1"}),
        ([], {"COMP_WORDS": "mcpc call w", "COMP_CWORD": "2"}),
        ([], {"COMP_WORDS": "mcpc serve app.py:server un", "COMP_CWORD": "3"}),
    ],
)
def test_help_and_a_tab_import_nothing_that_takes_long(arguments: list[str], environment: dict[str, str]) -> None:
    completing = {"_MCPC_COMPLETE": "complete_bash", **environment} if environment else {}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *MCPC, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**ENVIRONMENT, **completing},
        check=False,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.stdout
    assert "typer" in imported
    assert imported & {"pydantic", "pydantic_core", "rich", "mcp", "mcp_types", "mcpc_transports", "asyncio"} <= {
        "mcpc_transports"  # its examples of addresses are texts
    }

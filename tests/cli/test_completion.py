"""What the shell offers at the Tab key, asked as the shells ask."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp_types import Tool
from typer.testing import CliRunner

from cli_kit import DEADLINE, ENVIRONMENT, MCPC, served
from mcpc.cli import kept_tools, offering
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


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache directory, empty."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.delenv("MCPC_CONFIG", raising=False)
    return home


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


def test_what_a_server_told_is_kept_for_the_next_tab_which_asks_nobody(
    uri: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = f"{uri}/?key=s3cret"
    asked: list[str] = []

    def tools_at(uri: str, params: object) -> list[Tool]:
        asked.append(uri)
        return [Tool(name="old", input_schema={"properties": {"n": {}}})]

    monkeypatch.setattr(offering, "tools_at", tools_at)
    assert in_fish(f"mcpc call {secret} ") == ["old"]
    assert in_fish(f"mcpc call {secret} ") == ["old"]
    assert in_fish(f"mcpc call {secret} old ") == ["n="]
    assert asked == [secret]
    (file,) = [path for path in cache.rglob("*") if path.is_file()]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.read_text() == '{"old": ["n"]}'
    assert "s3cret" not in str(file)
    assert "127.0.0.1" not in str(file)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "b"}', '{"a": [1]}', "[" * 100_000, "\udcff"])
def test_a_list_that_is_damaged_is_asked_for_anew(uri: str, cache: Path, text: str) -> None:
    assert in_fish(f"mcpc call {uri} a") == ["add", "adorn"]
    (file,) = [path for path in cache.rglob("*") if path.is_file()]
    file.write_text(text, errors="surrogateescape")
    assert in_fish(f"mcpc call {uri} a") == ["add", "adorn"]
    assert json.loads(file.read_text()) == {"add": ["a", "amount"], "adorn": ["text"]}


def test_a_list_that_is_old_is_asked_for_anew_and_those_of_other_servers_are_removed(uri: str, cache: Path) -> None:
    kept_tools.keep("another", {}, {"old": []})
    kept_tools.keep(uri, {}, {"old": []})
    assert in_fish(f"mcpc call {uri} ") == ["old"]
    past = time.time() - kept_tools.KEPT - 1
    for file in cache.rglob("*.json"):
        os.utime(file, (past, past))
    assert in_fish(f"mcpc call {uri} a") == ["add", "adorn"]
    assert len(list(cache.rglob("*.json"))) == 1


def test_a_list_is_kept_up_to_its_limit_and_not_above(cache: Path) -> None:
    frame = len('{"": []}')
    kept_tools.keep("at", {}, {"x" * (kept_tools.MAX_BYTES - frame): []})
    kept_tools.keep("above", {}, {"x" * (kept_tools.MAX_BYTES - frame + 1): []})
    assert kept_tools.kept("at", {}) is not None
    assert kept_tools.kept("above", {}) is None


def test_where_nothing_can_be_kept_the_server_is_asked_each_time(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        assert in_fish(f"mcpc call {uri} a") == ["add", "adorn"]


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
        ([], {"COMP_WORDS": "mcpc call memory://kept a", "COMP_CWORD": "3"}),
    ],
)
def test_help_and_a_tab_import_nothing_that_takes_long(
    arguments: list[str], environment: dict[str, str], cache: Path
) -> None:
    kept_tools.keep("memory://kept", {}, {"add": []})
    completing = {"_MCPC_COMPLETE": "complete_bash", **environment} if environment else {}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *MCPC, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**ENVIRONMENT, **completing, "XDG_CACHE_HOME": str(cache)},
        check=False,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.stdout
    assert "typer" in imported
    assert imported & {"pydantic", "pydantic_core", "rich", "mcp", "mcp_types", "mcpc_transports", "asyncio"} <= {
        "mcpc_transports"  # its examples of addresses are texts
    }

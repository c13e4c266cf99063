"""A store that cannot be used, as a user meets it: one plain line, whichever way the store was named."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mcpc
from mcpc.cli.app import app

APP = """
import mcpc
from mcp.server import MCPServer

server = MCPServer("stored", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)
"""


def a_database_of_another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (a)")
    db.close()


def a_schema_from_the_future(path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript(f"PRAGMA application_id = {0x6D637063}; PRAGMA user_version = 99; CREATE TABLE tasks (a)")
    db.close()


def no_database(path: Path) -> None:
    path.write_bytes(b"a letter to my aunt, and no database at all " * 100)


def a_file_for_everybody(path: Path) -> None:
    path.touch(0o644)
    path.chmod(0o644)


ADDRESSES = {
    "postgres://localhost/tasks": r"postgres.*(known|sqlite)",
    "tasks.db": "must start with a scheme and a colon",
    "sqlite:": "needs the path of a file",
    "sqlite://tasks.db": r"has no host.*sqlite:tasks.db a relative one",
    "sqlite:///no/such/folder/tasks.db": r"no folder /no/such/folder .*is the absolute path",
    "sqlite:no-such-folder/tasks.db": r"no folder .*no-such-folder",
    "sqlite:.": "is a folder, and a store is a file",
    "sqlite:tasks.db?fast=1": r"does not take 'fast'; it takes: sync",
    "sqlite:tasks.db?sync=off": r"sync is one of normal, full, not 'off'",
    "sqlite:tasks.db?busy_timeout=soon": "busy_timeout cannot be 'soon'",
    "sqlite:tasks.db?busy_timeout=-1": "busy_timeout",
    "sqlite:tasks.db?busy_timeout=nan": "busy_timeout",
    "sqlite:tasks.db?max_size=-5": "max_size",
}
"""What is wrong with an address itself: told before anything is served."""

FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "another program's": (a_database_of_another_program, "is a database of another program; it was left as it is"),
    "from the future": (a_schema_from_the_future, "has schema 99, and this mcpc knows 1: a newer mcpc made it"),
    "no database": (no_database, "is not a database"),
    "for everybody": (a_file_for_everybody, "others may read or change the store .*chmod 600"),
}
"""What is wrong with the file."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCPC_STORE", "")  # what the command line sets goes with the test
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def told(*arguments: str) -> str:
    """What `mcpc` says of a mistake, as one line."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert done.output.count("\n") == 1, done.output
    return done.output


@pytest.mark.parametrize(("address", "words"), ADDRESSES.items())
def test_a_wrong_address_is_told_in_each_way_to_name_a_store(
    address: str, words: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(mcpc.URIError, match=words):
        mcpc.open_store(address)
    from_option = told("serve", "app.py:server", "tcp://127.0.0.1:0", "--store", address)
    monkeypatch.setenv("MCPC_STORE", address)
    from_environment = told("serve", "app.py:server", "tcp://127.0.0.1:0")
    for said in (from_option, from_environment):
        assert re.search(words, said), said
    assert [file.name for file in place.iterdir()] == ["app.py"], "nothing is made"


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_cannot_be_the_store_is_told_and_left_alone(
    kind: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = FILES[kind]
    path = place / "tasks.db"
    make(path)
    if kind != "for everybody":
        path.chmod(0o600)
    before = path.read_bytes()
    from_option = told("serve", "app.py:server", "tcp://127.0.0.1:0", "--store", "sqlite:tasks.db")
    monkeypatch.setenv("MCPC_STORE", "sqlite:tasks.db")
    from_environment = told("serve", "app.py:server", "tcp://127.0.0.1:0")
    for said in (from_option, from_environment):
        assert re.search(words, said), said
    assert path.read_bytes() == before

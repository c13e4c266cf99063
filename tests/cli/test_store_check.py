"""`mcpc store check`: what it shows of a store, what it complains of, and the mistakes that it tells."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from cli_kit import run
from mcpc.stored import NewTask, channel_id
from redis_kit import ENGINES, redis_server

# The Redis client leaves streams of its own open where it cannot connect.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

QUIET = {"PYTHONWARNINGS": ""}
"""The Redis client warns of streams of its own where it is closed."""


def fill(uri: str) -> None:
    """Two tasks: one runs, one waits."""

    async def main() -> None:
        async with mcpc.open_store(uri) as store:
            channel = channel_id("a secret key of a channel")
            await store.open(channel, principal=None)
            for number, runner in enumerate(("r", None)):
                await store.enter(NewTask(f"task-{number}", channel, "tool", "s", b"{}"), runner=runner)

    anyio.run(main)


def inspected(uri: str) -> mcpc.StoreReport:
    return anyio.run(mcpc.inspect_store, uri)


def checked(uri: str) -> tuple[int, dict[str, Any]]:
    done = run("store", "check", uri, "--json", env=QUIET)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_file_is_shown_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    uri = f"sqlite:{path}"
    missing = run("store", "check", uri)
    assert missing.returncode == 2
    assert "the first server that uses it makes it" in missing.stderr
    assert not path.exists()
    fill(uri)
    code, report = checked(f"{uri}?sync=full")
    assert (code, report["ok"], report["schema"], report["problems"]) == (0, True, 1, [])
    assert report["settings"]["mode"] == "0600"
    assert (report["settings"]["sync"], report["notes"]) == ("full", [])
    assert report["counts"]["channels"] == 1
    assert (report["counts"]["queued"], report["counts"]["running"]) == (1, 1)
    path.chmod(0o644)
    plain = run("store", "check", uri)
    assert plain.returncode == 1
    assert "note: a power cut may take the last commits" in plain.stdout
    assert "problem: others may read" in plain.stdout


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_server_is_shown_and_left_as_it_is(engine: str, tmp_path: Path) -> None:
    with redis_server(engine, tmp_path) as server:
        code, shown = checked(server.uri)
        assert (code, shown["schema"], shown["counts"]["channels"]) == (0, 1, 0)
        fill(server.uri)
        report = inspected(server.uri)
        assert (report.problems, report.settings["appendonly"], report.settings["appendfsync"]) == ((), "yes", "always")
        assert (report.counts["channels"], report.counts["queued"]) == (1, 1)
        server.say("CONFIG SET maxmemory-policy allkeys-lru")
        server.say("CONFIG SET appendonly no")
        report = inspected(server.uri)
        assert [problem for problem in report.problems if "noeviction" in problem]
        assert [problem for problem in report.problems if "append-only file" in problem]
        report = inspected(f"{server.uri}?allow_eviction=1")
        assert not [problem for problem in report.problems if "noeviction" in problem]
        code, shown = checked(server.uri)
        assert (code, shown["ok"]) == (1, False)


def test_a_store_that_does_not_say_is_opened() -> None:
    done = run("store", "check", "memory:")
    assert done.returncode == 0
    assert "it lives in one process, and ends with it" in done.stdout


def test_a_mistake_is_told_in_a_line(tmp_path: Path) -> None:
    other, newer, text = tmp_path / "other.db", tmp_path / "newer.db", tmp_path / "text.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (a)")
    fill(f"sqlite:{newer}")
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    text.write_text("no database at all, but long enough to be taken for the head of one" * 20)
    for uri, says in (
        ("redis://127.0.0.1:1/0", "redis cannot be reached"),
        ("nope:", "no store for scheme 'nope'; known: "),
        ("tasks.db", "must start with a scheme"),
        (f"sqlite:{tmp_path}", "is a folder"),
        (f"sqlite:{tmp_path}/nowhere/tasks.db", "no folder"),
        (f"sqlite:{newer}?snyc=full", "snyc"),
        (f"sqlite:{newer}?sync=maybe", "sync is one of"),
        (f"sqlite:{newer}", "a newer mcpc made it"),
        (f"sqlite:{other}", "another program"),
        (f"sqlite:{text}", "is not a database"),
    ):
        with pytest.raises(mcpc.MCPCError) as caught:
            inspected(uri)
        assert says in str(caught.value), uri
    done = run("store", "check", "redis://127.0.0.1:1/0", env=QUIET)
    assert done.returncode == 2
    assert done.stderr.startswith("error: redis cannot be reached")
    assert "Traceback" not in done.stderr

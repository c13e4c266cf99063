"""The fixtures for pytest, as a stranger's tests meet them: each run is a pytest of its own in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs_kit import saved_files

FLAGS = ("-p", "no:cacheprovider", "-W", "error")

QUIET = {"PYTEST_ADDOPTS": "", "NO_COLOR": "1"}

SERVER = """
import anyio, pytest, mcpc
from mcp.server import MCPServer

server = MCPServer("small")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool()
async def square(n: int, task: mcpc.Task) -> int:
    await task.update(n)
    return n * n
"""


def pytest_in(folder: Path, *words: str) -> tuple[int, str]:
    """How a run of pytest ended, and what it said."""
    command = [sys.executable, "-m", "pytest", *FLAGS, *words]
    environment = {**os.environ, **QUIET}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    return done.returncode, done.stdout + done.stderr


def said(folder: Path, code: str, *words: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(code, encoding="utf-8")
    return pytest_in(folder, *words)


def test_the_example_of_the_page_passes_on_both_loops(tmp_path: Path) -> None:
    saved_files("docs/testing.md", tmp_path)
    status, text = pytest_in(tmp_path, "test_counter.py", "-v")
    assert status == 0, text
    assert "6 passed" in text
    assert "[asyncio]" in text
    assert "[trio]" in text


def test_without_asking_for_a_fixture_nothing_of_the_library_is_loaded_but_its_front_door(tmp_path: Path) -> None:
    code = """
import sys

def test_it():
    loaded = {name for name in sys.modules if name.partition(".")[0] in ("mcpc", "mcp", "pydantic", "mcpc_transports")}
    assert loaded == {"mcpc", "mcpc.errors", "mcpc.pytest_plugin"}
"""
    status, text = said(tmp_path, code)
    assert status == 0, text
    assert "warning" not in text.lower()


@pytest.mark.parametrize(
    ("words", "told"),
    [((), "mark the test with @pytest.mark.anyio"), (("-p", "no:anyio"), "leave out `-p no:anyio`")],
    ids=["unmarked", "switched off"],
)
def test_a_test_that_anyio_does_not_run_is_told_what_is_missing(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    fixtures = ("mcpc_client", "mcpc_server", "mcpc_faulty")
    heads = [f"{head} test_{head[0]}_{name}({name}):" for head in ("async def", "def") for name in fixtures]
    status, text = said(tmp_path, "\n".join(f"{head}\n    pass\n" for head in heads), *words)
    assert status == 1
    assert "6 errors" in text
    for name in fixtures:
        assert text.count(f"{name} is for") + text.count(f"and {name} is for") >= 2
    assert text.count(told) >= 6
    assert "Traceback" not in text


def test_what_was_made_stays_beyond_the_scopes_that_it_was_made_in(tmp_path: Path) -> None:
    code = f"""{SERVER}
@pytest.mark.anyio
async def test_it(mcpc_client, mcpc_server):
    with anyio.fail_after(60):
        served = await mcpc_server(server, "memory://small")
        async with anyio.create_task_group():
            client = await mcpc_client(served.uri)
    assert await (await client.start_task("square", {{"n": 3}})).result() == 9
"""
    status, text = said(tmp_path, code)
    assert status == 0, text


def test_all_is_closed_after_the_test_the_last_first_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    code = f"""{SERVER}
from mcpc.uri import schemes
before = schemes()
ended = []

@pytest.fixture(autouse=True)
def looks_afterwards():
    yield
    assert schemes() == before

@pytest.mark.anyio
@pytest.mark.parametrize("again", [1, 2])
async def test_it(mcpc_client, mcpc_faulty, again):
    faulty = await mcpc_faulty(server, "memory://small", refusals=[0])
    assert faulty.uri == "faulty-1://small"
    with pytest.raises(mcpc.ConnectFailed, match="refused on purpose"):
        await mcpc_client(faulty.uri)
    client = await mcpc_client(faulty.uri, on_connection=lambda state: ended.append(state))
    assert await (await client.start_task("square", {{"n": 2}})).result() == 4
    assert faulty.transport.attempts == 2

@pytest.mark.anyio
async def test_later(mcpc_client):
    with pytest.raises(mcpc.ConnectFailed):
        await mcpc_client("memory://small")
"""
    status, text = said(tmp_path, code)
    assert status == 0, text


def test_a_mistake_is_raised_where_it_is_made_and_only_there(tmp_path: Path) -> None:
    code = f"""{SERVER}
@pytest.mark.anyio
@pytest.mark.parametrize(("fixture", "arguments", "options", "error"), [
    ("mcpc_client", ["nosuch://x"], {{}}, "UnknownScheme"),
    ("mcpc_client", ["memory://x"], {{"nosuch": 1}}, "UnknownOption"),
    ("mcpc_client", [5], {{}}, "MCPCError"),
    ("mcpc_server", [server, "nosuch://x"], {{}}, "UnknownScheme"),
    ("mcpc_faulty", [server, "nosuch://x"], {{}}, "UnknownScheme"),
    ("mcpc_faulty", [server, "memory://x"], {{"duplicate": 2}}, "ValueError"),
])
async def test_it(mcpc_client, mcpc_server, mcpc_faulty, fixture, arguments, options, error):
    made = {{"mcpc_client": mcpc_client, "mcpc_server": mcpc_server, "mcpc_faulty": mcpc_faulty}}
    with pytest.raises(Exception) as raised:
        await made[fixture](*arguments, **options)
    assert raised.type.__name__ == error
"""
    status, text = said(tmp_path, code)
    assert status == 0, text
    assert "12 passed" in text

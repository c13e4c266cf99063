"""The documents say what is so: their code runs, their tables are those of the code, their links lead somewhere.

How a block is marked, after its language:

- `python`: runs in the page's own namespace, after the blocks before it; may await at the top level.
- `python NAME.py`: is saved under that name for the page's commands.
- `python no-run`: is only compiled.
- `python varies`: prints something else each time, so no output follows it.
- `text output`: what the block before it printed.
- `sh`: each command must exist; `python NAME.py` of a saved file is run, and the output that follows is its own.
- `console`: a session on a terminal, which is run and compared by `test_console.py`.
"""

import ast
import asyncio
import contextlib
import inspect
import os
import re
import runpy
import shlex
import socket
import subprocess
import sys
import types
from collections.abc import Generator, Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
import typer.main

import mcpc
from docs_kit import FENCE, PAGES, ROOT, Block, blocks, pages_with, saved_files
from mcpc.cli.app import app
from mcpc.client import backlog, under_way
from mcpc.queue import ListenerStats, Overflow
from mcpc.uri import TRANSPORTS, resolve, transport_options
from ports_kit import free_port

PATIENCE = 60
"""Seconds that one block may take."""


# --- code -------------------------------------------------------------------------------------------------------


def compiled(page: str, block: Block) -> types.CodeType:
    source = "\n" * (block.line - 1) + block.code
    return compile(source, str(PAGES[page]), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


class Session:
    """The namespace of one page, and the event loop that its blocks share."""

    def __init__(self, page: str, runner: asyncio.Runner) -> None:
        self._page = page
        self._runner = runner
        self._module = types.ModuleType(f"page_{Path(page).stem.replace('-', '_')}")

    def run(self, block: Block) -> None:
        code = compiled(self._page, block)
        outcome = types.FunctionType(code, vars(self._module))()
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(self._bounded(outcome))

    async def _bounded(self, coroutine: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            await coroutine


@pytest.fixture
def registry() -> Generator[None]:
    """What a page registers is gone afterwards."""
    with TRANSPORTS.restored():
        yield


@pytest.mark.parametrize("page", pages_with("python"))
@pytest.mark.usefixtures("registry")
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    with asyncio.Runner() as runner:
        session = Session(page, runner)
        for before, block in pairwise(blocks(page)[:1] + blocks(page)):
            if block.file is not None:
                Path(block.file).write_text(block.code, encoding="utf-8")
            elif block.language == "python" and "no-run" not in block.words:
                capsys.readouterr()
                session.run(block)
            elif block.words == ("output",) and before.language != "sh":
                assert capsys.readouterr().out.splitlines() == block.code.splitlines(), f"{page}:{block.line}"


@pytest.mark.parametrize("page", pages_with("python"))
def test_every_block_of_code_is_python(page: str) -> None:
    for block in blocks(page, "python"):
        assert compiled(page, block)
        assert {word for word in block.words if not word.endswith(".py")} <= {"no-run", "varies"}


@pytest.mark.parametrize("page", pages_with("python"))
def test_what_prints_is_followed_by_what_it_prints(page: str) -> None:
    after: dict[Block, Block] = dict(pairwise(blocks(page)))
    silent = [
        block.line
        for block in blocks(page, "python")
        if "print(" in block.code and block.file is None and not {"no-run", "varies"} & set(block.words)
        if block not in after or after[block].words != ("output",)
    ]
    assert silent == []


# --- commands ---------------------------------------------------------------------------------------------------


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def check_mcpc(words: list[str]) -> None:
    """A command of ours, and each of its options, must exist."""
    group: Any = typer.main.get_command(app)
    if words[0].startswith("--"):
        assert words[0] in {name for parameter in group.params for name in parameter.opts}
        return
    assert words[0] in group.commands
    options = (parameter.opts + parameter.secondary_opts for parameter in group.commands[words[0]].params)
    known = {name for names in options for name in names}
    assert {word.partition("=")[0] for word in words[1:] if word.startswith("--")} <= known


def check_command(line: str, saved: set[str]) -> None:
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    match words:
        case ["make", target]:
            assert target in make_targets()
        case ["mcpc", *rest]:
            check_mcpc(rest)
        case ["python", "-m", module, *_]:
            assert module in ("mcpc.testing", "asyncio", "benchmarks")
        case ["python", name, *_]:
            assert name in saved or (ROOT / name).is_file()
        case ["pip", "install", *_]:
            pass
        case _:
            raise AssertionError(f"what is this command? {line}")


@pytest.mark.parametrize("page", pages_with("sh"))
def test_every_command_of_a_page_exists(page: str) -> None:
    saved = {block.file for block in blocks(page) if block.file is not None}
    for block in blocks(page, "sh"):
        for line in block.code.replace("\\\n", " ").splitlines():
            if line.strip():
                check_command(line, saved)


def test_the_readme_starts_with_the_two_commands() -> None:
    first = blocks("README.md")[0]
    assert first.code.split("\n")[:2] == ["make demo", "make test"]


# --- the readme's server and client -----------------------------------------------------------------------------


def environment() -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONWARNINGS": "error"}


def run_file(name: str, directory: Path) -> list[str]:
    """What a program prints."""
    command = [sys.executable, name]
    done = subprocess.run(
        command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextlib.contextmanager
def serving(directory: Path, port: int) -> Generator[None]:
    """The server of the readme, once it answers."""
    with subprocess.Popen([sys.executable, "server.py"], cwd=directory, env=environment()) as process:
        try:
            while not answers(port):
                assert process.poll() is None
            yield
        finally:
            process.terminate()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30):
        return True
    return False


def expected_output(page: str, command: str) -> list[str]:
    for block, after in pairwise(blocks(page)):
        if block.code.strip() == command:
            assert (after.language, after.words) == ("text", ("output",))
            return after.code.splitlines()
    raise AssertionError(f"{page} does not say what {command!r} prints")


PROGRAMS = [
    (page, line.removeprefix("python "))
    for page in pages_with("sh")
    for block in blocks(page, "sh")
    for line in block.code.splitlines()
    if re.fullmatch(r"python \w+\.py", line)
]


@pytest.mark.parametrize(("page", "name"), PROGRAMS)
def test_a_program_of_a_page_prints_what_the_page_says(page: str, name: str, tmp_path: Path) -> None:
    saved_files(page, tmp_path)
    assert run_file(name, tmp_path) == expected_output(page, f"python {name}")


@pytest.mark.anyio
async def test_the_server_of_the_first_page_does_what_the_page_says(tmp_path: Path, anyio_backend: str) -> None:
    saved_files("docs/first-server.md", tmp_path)
    server = runpy.run_path(str(tmp_path / "server.py"))["server"]
    with anyio.fail_after(PATIENCE):
        async with mcpc.Client(server) as client:
            task = await client.start_task("process_data", {"data_id": "42"})
            assert [message.event async for message in task] == ["created", *["update"] * 5, "complete"]
            assert await task.result() == {"data_id": "42", "rows": 10}


def test_with_one_string_changed_the_readmes_programs_talk_over_a_websocket(tmp_path: Path) -> None:
    saved_files("README.md", tmp_path)
    port = free_port()
    for block in blocks("README.md", "diff"):
        old, new = (line[1:] for line in block.code.splitlines())
        holders = [path for path in tmp_path.glob("*.py") if old in path.read_text(encoding="utf-8").splitlines()]
        assert len(holders) == 1, f"one program has the line {old!r}"
        changed = holders[0].read_text(encoding="utf-8").replace(old, new.replace("8765", str(port)))
        holders[0].write_text(changed, encoding="utf-8")
    with serving(tmp_path, port):
        assert run_file("client.py", tmp_path) == expected_output("README.md", "python client.py")


def test_the_readmes_server_has_ten_lines_and_its_client_eight() -> None:
    lengths = {block.file: len([line for line in block.code.splitlines() if line]) for block in blocks("README.md")}
    assert (lengths["server.py"], lengths["client.py"]) == (10, 8)


# --- tables of what the code has --------------------------------------------------------------------------------

MARKER = re.compile(r"^<!-- (options|limits|client|bridging|errors|bounds) ?([^>]*?) ?-->\n((?:\|.*\n)+)", re.MULTILINE)


def tables() -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """Each marked table: the page, its kind, the words of its marker, and its first two columns."""
    for page, path in PAGES.items():
        for match in MARKER.finditer(path.read_text(encoding="utf-8")):
            rows = [[cell.strip().strip("`") for cell in row.split("|")[1:3]] for row in match[3].splitlines()[2:]]
            assert len(rows) == len({name for name, _ in rows})
            yield page, match[1], match[2], dict(rows)


def shown(name: str, value: Any) -> str:
    """A default as a table shows it."""
    return oct(value) if name == "mode" else repr(value)


def table_of(kind: str, words: str = "") -> dict[str, str]:
    found = [rows for _, of_kind, of_words, rows in tables() if (of_kind, of_words) == (kind, words)]
    assert len(found) == 1, f"one table is marked <!-- {kind} {words} -->"
    return found[0]


BUILT_IN = ("memory", "stdio", "unix", "tcp", "ws", "wss", "http", "https", "sse+http", "sse+https")


@pytest.mark.parametrize("method", ["connect", "listen"])
@pytest.mark.parametrize("scheme", BUILT_IN)
def test_the_options_of_a_transport_are_those_of_its_table(scheme: str, method: str) -> None:
    found = [
        rows
        for _, kind, words, rows in tables()
        if kind == "options" and words.split()[0] == method and scheme in words.split()[1:]
    ]
    assert len(found) == 1, f"one table is marked <!-- options {method} … {scheme} … -->"
    options = transport_options(resolve(scheme), method)
    assert found[0] == {name: shown(name, default) for name, default in options.items()}
    assert list(found[0]) == list(options)


def test_the_limits_of_a_server_are_those_of_the_table() -> None:
    assert table_of("limits") == {field.name: repr(field.default) for field in fields(mcpc.Limits)}


def test_every_limit_stands_in_the_table_of_security_with_its_default() -> None:
    assert table_of("bounds", "security") == {field.name: repr(field.default) for field in fields(mcpc.Limits)}


def test_every_bound_of_a_listener_stands_in_the_table_of_security_with_its_default() -> None:
    bounds: dict[str, str] = {}
    for scheme in BUILT_IN:
        for name, default in transport_options(resolve(scheme), "listen").items():
            if re.search(r"^max_|_timeout$", name):
                assert bounds.setdefault(name, repr(default)) == repr(default), f"{name} differs by transport"
    assert table_of("bounds", "listeners") == bounds


def test_every_bound_on_what_is_kept_stands_in_the_table_of_delivery_with_its_default() -> None:
    times = {
        field.name for field in fields(mcpc.Limits) if re.search(r"(_(ttl|timeout|grace|after)|lease)$", field.name)
    }
    kept = {field.name: repr(field.default) for field in fields(mcpc.Limits) if field.name not in times}
    assert table_of("bounds", "server") == kept


def test_the_counters_in_the_table_of_bounds_are_those_of_a_server() -> None:
    text = PAGES["docs/delivery.md"].read_text(encoding="utf-8")
    rows = text.partition("<!-- bounds server -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    counters = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[4])}
    assert counters <= {field.name for field in fields(mcpc.ServerStats)}
    assert counters


def test_the_bounds_of_what_a_client_keeps_are_those_of_the_table() -> None:
    parameters = inspect.signature(mcpc.Client.start_task).parameters
    kept = {name: repr(parameters[name].default) for name in ("capacity", "capacity_bytes")}
    modules = (backlog, under_way)
    fixed = {name: repr(value) for one in modules for name, value in vars(one).items() if name.startswith("MAX_")}
    assert table_of("bounds", "client") == {**kept, **fixed}
    for function in (mcpc.Client.add_event_listener, mcpc.Client.task, mcpc.SyncClient.start_task):
        parameters = inspect.signature(function).parameters
        assert {name: repr(parameters[name].default) for name in kept} == kept


def test_the_counters_in_the_table_of_bounds_are_those_of_a_client() -> None:
    text = PAGES["docs/delivery.md"].read_text(encoding="utf-8")
    rows = text.partition("<!-- bounds client -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    counters = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[4])}
    assert counters <= {field.name for stats in (mcpc.ClientStats, ListenerStats) for field in fields(stats)}


@pytest.mark.parametrize(
    ("kind", "function"), [("client", mcpc.Client.__init__), ("bridging", mcpc.bridging), ("bridging", mcpc.bridge)]
)
def test_the_options_of_a_client_and_of_a_bridge_are_those_of_the_table(kind: str, function: Any) -> None:
    parameters = inspect.signature(function).parameters.values()
    assert table_of(kind) == {p.name: repr(p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_every_error_is_in_the_table_and_no_other() -> None:
    errors = {name for name, value in vars(mcpc).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert set(table_of("errors")) == errors


def test_every_command_is_in_the_table_of_commands_and_no_other() -> None:
    text = PAGES["docs/command-line.md"].read_text(encoding="utf-8")
    rows = text.partition("<!-- commands -->\n")[2].partition("\n\n")[0]
    commands: Any = typer.main.get_command(app)
    assert set(re.findall(r"^\| `mcpc (\w+)", rows, re.MULTILINE)) == set(commands.commands)


def test_every_overflow_policy_is_explained() -> None:
    text = PAGES["docs/delivery.md"].read_text(encoding="utf-8")
    assert [policy for policy in get_args(Overflow) if f"| `{policy}` |" not in text] == []


# --- links ------------------------------------------------------------------------------------------------------

PERFORMANCE = ROOT / "docs" / "performance.md"
"""Made from the benchmark's results."""

LINK = re.compile(r"(?<!!)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", list(PAGES))
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for link in LINK.findall(without_code(PAGES[page].read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        name, _, anchor = link.partition("#")
        target = (PAGES[page].parent / name).resolve() if name else PAGES[page]
        assert target.exists() or target == PERFORMANCE, f"{page} links to {link}"
        assert target.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(target), f"{page} links to {link}"


def test_every_page_is_in_the_index() -> None:
    links = LINK.findall(PAGES["docs/index.md"].read_text(encoding="utf-8"))
    pages = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} - {"index.md"}
    assert pages - set(links) == set()


# --- the comparison with others ---------------------------------------------------------------------------------


def test_what_the_readme_claims_beside_others_names_where_it_is_shown() -> None:
    text = PAGES["README.md"].read_text(encoding="utf-8")
    table = text.partition("<!-- peers -->\n")[2].partition("\n\n")[0]
    rows = [row.split("|")[2].strip() for row in table.splitlines()[2:] if row.startswith("|")]
    assert len(rows) >= 10
    assert [ours for ours in rows if ours != "no" and not re.search(r"\]\((tests|docs)/", ours)] == []

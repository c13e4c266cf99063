"""A task lived with from a shell alone: started, left, looked at, answered, sent to, watched and stopped."""

import json
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_kit import MCPC, run, running, served

APP = """
import mcpc
from mcp.server import MCPServer

server = MCPServer("shell", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool()
async def order(item: str, task: mcpc.Task) -> str:
    supplier = await task.ask(f"Who shall deliver the {item}?", choices=["Ant Ltd", "Bee & Co"])
    pieces = await task.ask("How many?", schema={"type": "integer", "minimum": 1})
    return f"{pieces} {item} from {supplier}"

@callbacks.tool()
async def gather(task: mcpc.Task) -> dict:
    found = []
    async for value in task.inputs():
        found.append(value)
        await task.update({"status": f"has {len(found)}"})
        if value == "done":
            break
    return {"found": found}

@callbacks.tool()
async def ask_twice(task: mcpc.Task) -> dict:
    import anyio
    answers = []
    async def ask(text):
        answers.append(await task.ask(text))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "first?")
        tasks.start_soon(ask, "second?")
    return {"answers": sorted(answers)}
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("shell") / "app.py"
    path.write_text(APP)
    with served(f"{path}:server", "http://127.0.0.1:0/mcp") as (_, uris):
        yield uris[0]


class Shell:
    """Runs commands of one user."""

    def __init__(self, uri: str, state: Path) -> None:
        self.uri = uri
        self.state = state
        self.env = {"XDG_STATE_HOME": str(state)}

    def start(self, *arguments: str) -> str:
        """Start a task and leave it; its id."""
        return self("call", self.uri, *arguments, "--no-follow")

    def __call__(self, *arguments: str, code: int = 0, stdin: str = "") -> str:
        """What a command writes to stdout, or, where it fails, to stderr."""
        done = run(*arguments, env=self.env, stdin=stdin)
        assert done.returncode == code, done.stderr
        return (done.stderr if code else done.stdout).strip()

    @property
    def files(self) -> list[Path]:
        return list((self.state / "mcpc" / "tasks").glob("*"))


@pytest.fixture
def shell(uri: str, tmp_path: Path) -> Shell:
    return Shell(uri, tmp_path / "state")


def test_a_task_is_answered_by_commands_that_know_its_id_alone(shell: Shell) -> None:
    task = shell.start("order", "item=tea")
    assert shell("status", task).splitlines() == [
        f"order[{task[:8]}] waiting",
        "? Who shall deliver the tea?",
        "  1. Ant Ltd",
        "  2. Bee & Co",
    ]
    refused = shell("answer", task, "Cow plc", code=2)
    assert refused == "error: that is none of the choices; the task asks: Who shall deliver the tea?"
    shell("answer", task[:8], "2")
    with running([*MCPC, "answer", task], env=shell.env) as typing:
        typing.read_until(r"\? How many\?")
        typing.write("many\n")
        typing.read_until("answer with a number")
        typing.write("3\n")
        assert typing.finish() == 0
    watched = shell("watch", "--task", task)
    assert watched.endswith("complete  3 tea from Bee & Co")
    assert "asks nothing now" in shell("answer", task, "2", "--server", shell.uri, code=2)


def test_a_task_is_sent_to_watched_and_ends(shell: Shell) -> None:
    task = shell.start("gather")
    shell("send", task, "focus=recent", "n:=3")
    shell("send", task, '["a"]')
    with running([*MCPC, "watch", "--task", task, "--json"], env=shell.env) as watcher:
        watcher.read_until(r'"has 2"', "out")
        shell("send", task, "done")
        assert watcher.finish() == 0
    last = json.loads(watcher.written["out"].splitlines()[-1])
    assert last["event"] == "complete"
    assert last["result"] == {"found": [{"focus": "recent", "n": 3}, ["a"], "done"]}
    assert shell.files == []  # there is nothing left to do with it


def test_watching_asks_what_is_asked_and_leaving_it_unanswered_stops_nothing(shell: Shell) -> None:
    task = shell.start("order", "item=salt")
    with running([*MCPC, "watch", "--task", task], env=shell.env) as watcher:
        watcher.read_until(r"2\. Bee & Co")
        watcher.end_input()
        assert watcher.finish(signal.SIGINT) == 0
    with running([*MCPC, "watch", "--task", task], env=shell.env) as watcher:
        watcher.read_until(r"2\. Bee & Co")
        watcher.write("1\n")
        watcher.read_until(r"How many\?")
        watcher.write("7\n")
        assert watcher.finish() == 0
    assert watcher.written["out"].endswith("complete  7 salt from Ant Ltd\n")


def test_which_of_several_questions_is_answered_has_to_be_said(shell: Shell) -> None:
    task = shell.start("ask_twice")
    told = shell("answer", task, "x", code=2)
    ids = {text: name for name, text in re.findall(r"([0-9a-f-]{36}): (first|second)\?", told)}
    shell("answer", task, "two", "--prompt", ids["second"])
    shell("answer", task, "one")
    assert json.loads(shell("watch", "--task", task, "--json").splitlines()[-1])["result"] == {
        "answers": ["one", "two"]
    }


def test_a_task_is_stopped(shell: Shell) -> None:
    task = shell.start("gather")
    assert shell("status", task) == f"gather[{task[:8]}] running"
    stopped = run("stop", task, env=shell.env)
    assert (stopped.returncode, stopped.stderr) == (0, "the task is stopped\n")
    assert shell.files == []


def test_what_is_remembered_is_for_the_user_alone(shell: Shell) -> None:
    shell.start("gather")
    (file,) = shell.files
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_task_that_is_not_known_here_is_reached_by_its_address(shell: Shell, tmp_path: Path) -> None:
    task = shell.start("order", "item=oil")
    stranger = Shell(shell.uri, tmp_path / "another")
    assert "say where it is: --server URI" in stranger("status", task, code=2)
    assert stranger("status", task, "--server", shell.uri).startswith("order[")
    assert "only who started a task can send to it" in stranger("send", task, "1", "--server", shell.uri, code=2)
    stranger("answer", task, "1", "--server", shell.uri)
    assert "there is none of this id" in stranger("status", "nosuch", "--server", shell.uri, code=2)


def test_a_server_that_ends_with_its_command_keeps_no_task(shell: Shell, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    assert "needs a server that stays" in shell("call", str(app), "gather", "--no-follow", code=2)

"""Servers by name on the command line: listed, reached by every command, and a word for each mistake."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_kit import MCPC, run, served

APP = """
import mcpc
from mcp.server import MCPServer

server = MCPServer("named", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool()
async def order(item: str, task: mcpc.Task) -> str:
    supplier = await task.ask("From whom?", choices=["Ant Ltd", "Bee & Co"])
    return f"{item} from {supplier}"

@callbacks.tool()
async def wait(task: mcpc.Task) -> None:
    async for _ in task.inputs():
        pass
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("named")
    (directory / "app.py").write_text(APP)
    with served(f"{directory / 'app.py'}:server", "http://127.0.0.1:0/mcp", env={"TOKEN": "s3cret"}) as (_, (uri,)):
        servers = {
            "here": {"url": "${PLACE}"},
            "ours": {"command": MCPC[0], "args": ["serve", str(directory / "app.py")]},
            "bad": {"command": "x", "url": "http://x"},
        }
        (directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        (directory / "uri").write_text(uri)
        yield directory


class Shell:
    """Commands of one user, in whose environment the configuration is named."""

    def __init__(self, directory: Path, state: Path) -> None:
        self.config = str(directory / "mcp.json")
        self.env = {"PLACE": (directory / "uri").read_text(), "XDG_STATE_HOME": str(state), "MCPC_CONFIG": self.config}

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command writes to stdout, or, where it fails, to stderr."""
        done = run(*arguments, env=self.env)
        assert done.returncode == code, done.stderr
        return (done.stderr if code else done.stdout).strip()


@pytest.fixture
def shell(directory: Path, tmp_path: Path) -> Shell:
    return Shell(directory, tmp_path)


def test_the_servers_of_a_configuration_are_listed_as_they_are_written(shell: Shell) -> None:
    listed = shell("servers", "--config", shell.config)
    assert listed.splitlines()[0] == "here  ${PLACE}"
    assert listed.splitlines()[1].startswith(f"ours  stdio:{MCPC[0]} serve ")
    assert listed.splitlines()[2] == "bad   (it has both a command and a url; a server has one of them)"
    rows = json.loads(shell("servers", "--json"))
    assert [(row["name"], row["uri"] is None, row["problem"] is None) for row in rows] == [
        ("here", False, True),
        ("ours", False, True),
        ("bad", True, False),
    ]


def test_a_task_of_a_named_server_is_lived_with_by_its_id_alone(shell: Shell) -> None:
    task = shell("call", "--config", shell.config, "--server", "here", "order", "item=tea", "--no-follow")
    del shell.env["MCPC_CONFIG"]  # it is remembered, and its variables are read anew
    assert "From whom?" in shell("status", task)
    shell("answer", task, "2")
    assert "complete" in shell("watch", "--task", task)


def test_a_name_is_taken_where_an_address_is(shell: Shell) -> None:
    assert shell("tools", "here").startswith("order(item: string)")
    assert shell("tools", "--server", "ours").startswith("order(item: string)")
    task = shell("call", "here", "wait", "--no-follow")
    assert shell("status", task, "--server", "here").endswith("running")


def test_a_mistake_with_a_name_is_one_line(shell: Shell) -> None:
    mistakes = {
        ("tools", "--server", "hree"): "has no server 'hree' (did you mean 'here'?); it has: here, ours, bad",
        ("tools", "bad"): "server 'bad': it has both a command and a url",
        ("call", "--server", "here"): "say which tool",
        ("call",): "say where the server is, or give --server NAME",
        ("tools", "here", "--server", "ours"): "give an address or --server, not both",
        ("tools", "here", "--config", "nope.json"): "there is no file 'nope.json'",
    }
    for arguments, words in mistakes.items():
        assert words in " ".join(shell(*arguments, code=2).split()), arguments
    del shell.env["PLACE"]
    assert "url: the environment variable 'PLACE' is not set" in shell("tools", "here", code=2)


def test_a_task_that_is_silent_too_long_is_stopped_and_the_exit_code_says_it(shell: Shell) -> None:
    assert shell("call", "here", "wait", "--timeout", "0.3", code=1).startswith("error: wait was stopped: ")
    assert shell("call", "here", "wait", "--max-timeout", "0.3", code=1).startswith("error: wait was stopped: ")
    assert "0" in shell("call", "here", "wait", "--timeout", "0", code=2)

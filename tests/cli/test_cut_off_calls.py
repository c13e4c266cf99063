"""`mcpc call --resume` and `mcpc serve --store`: what is cut off goes on when the same is typed again."""

import signal
from pathlib import Path

import pytest

from cli_kit import MCPC, run, running, served

APP = """
import mcpc
from mcp.server import MCPServer

server = MCPServer("cut", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool(on_interrupt="resume")
async def gather(item: str, task: mcpc.Task) -> str:
    if task.resumed is None:
        await task.update({"status": f"gathers {item}"})
        await task.checkpoint(True)
    size = await task.ask("How many?", key="size", schema={"type": "integer"})
    return f"{size} {item}"
"""


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return f"{path}:server"


def test_a_call_that_was_killed_goes_on_when_it_is_typed_again(app: str, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with served(app, "http://127.0.0.1:0/mcp") as (_, uris):
        typed = ["call", uris[0], "gather", "item=tea", "--resume"]
        with running([*MCPC, *typed], env=env) as killed:
            killed.read_until("gathers tea")
            killed.read_until(r"How many\?")
            killed.finish(signal.SIGKILL)
        kept = list((tmp_path / "state" / "mcpc" / "calls").iterdir())
        assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]
        again = run(*typed, env=env, stdin="3\n")
        assert (again.returncode, again.stdout) == (0, "3 tea\n"), again.stderr
        assert "How many?" in again.stderr
        assert not list((tmp_path / "state" / "mcpc" / "calls").iterdir())
        another = run(*typed, env=env, stdin="4\n")  # its end was shown: this is another call
        assert another.stdout == "4 tea\n"


def test_a_call_goes_on_when_its_shell_and_its_server_were_killed(app: str, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    store = f"sqlite:{tmp_path}/tasks.db"
    with served(app, "http://127.0.0.1:0/mcp", "--store", store) as (server, (place,)):
        typed = ["call", place, "gather", "item=tea", "--resume"]
        with running([*MCPC, *typed], env=env) as killed:
            killed.read_until(r"How many\?")
            server.finish(signal.SIGKILL)
            killed.finish(signal.SIGKILL)
    with served(app, place, "--store", store):
        again = run(*typed, env=env, stdin="3\n")
        assert (again.returncode, again.stdout) == (0, "3 tea\n"), again.stderr


def test_two_shells_that_type_the_same_are_told_apart(app: str, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with served(app, "http://127.0.0.1:0/mcp") as (_, uris):
        typed = ["call", uris[0], "gather", "item=tea", "--resume"]
        with running([*MCPC, *typed], env=env) as first:
            first.read_until(r"How many\?")
            second = run(*typed, env=env)
            assert second.returncode == 2
            assert "another client uses the channel file" in second.stderr


def test_a_server_with_a_store_goes_on_where_it_was_killed(app: str, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    store = f"sqlite:{tmp_path}/tasks.db"
    with served(app, "tcp://127.0.0.1:0", "--store", store) as (server, uris):
        place = uris[0]
        task = run("call", place, "gather", "item=tea", "--no-follow", env=env).stdout.strip()
        assert run("status", task, env=env).stdout.startswith("gather")
        server.finish(signal.SIGKILL)
    with served(app, place, "--store", store):
        assert run("answer", task, "5", env=env).returncode == 0
        watched = run("watch", "--task", task, env=env)
        assert (watched.returncode, "5 tea" in watched.stdout) == (0, True), watched.stderr


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("sqlite:/no/such/folder/tasks.db", "there is no folder /no/such/folder"),
        ("sqlight:tasks.db", "sqlight"),
        ("tasks.db", "must start with a scheme"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_of_before_the_server_is_loaded(store: str, why: str) -> None:
    done = run("serve", "no_such_module:server", "--store", store)
    assert done.returncode == 2
    assert why in done.stderr


def test_a_server_that_has_another_store_by_its_own_code_is_not_served(app: str, tmp_path: Path) -> None:
    path = Path(app.removesuffix(":server"))
    path.write_text(APP.replace("MCPCHelper(server)", f"MCPCHelper(server, store='sqlite:{tmp_path}/own.db')"))
    done = run("serve", app, "tcp://127.0.0.1:0", "--store", f"sqlite:{tmp_path}/tasks.db")
    assert done.returncode == 2
    assert "the server's own code gives it another store" in done.stderr

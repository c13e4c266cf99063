"""What people get wrong on the first day, at the command line and in programs: one line says what to do."""

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from typer.testing import CliRunner

import mcpc
from mcpc.cli.app import app as application

FILES = {
    "app.py": "from mcp.server import MCPServer\nserver = MCPServer('s')\n",
    "two.py": "from mcp.server import MCPServer\none, two = MCPServer('one'), MCPServer('two')\n",
    "none.py": "x = 1\n",
    "leaves.py": "import sys\nsys.exit('no licence')\n",
    "lacks.py": "import nosuchpackage\n",
    "bare.py": "import mcpc\nfrom mcp.server import MCPServer\ncallbacks = mcpc.MCPCHelper(MCPServer('s'))\n"
    "@callbacks.tool\nasync def count(task: mcpc.Task) -> int: ...\n",
    "bad.json": "{bad",
    "other.json": '{"mcp": {}}',
    "list.json": "[1]",
    "empty.json": '{"servers": {"shop": {}}}',
    "unset.json": '{"mcpServers": {"shop": {"url": "${MCPC_UNSET}/mcp"}}}',
}

# What is typed, and what the one line says.
TYPED: list[tuple[str, str]] = [
    # an address
    ("tools htp://127.0.0.1:8000/mcp", "did you mean 'http'? known: http"),
    ("tools wss//host", "it must start with a scheme and a colon"),
    ("tools 127.0.0.1:8000", "did you mean http://127.0.0.1:8000/mcp, ws://127.0.0.1:8000/mcp"),
    ("tools 127.0.0.1", "did you mean http://127.0.0.1:PORT/mcp"),
    ("tools localhost/mcp", "did you mean http://localhost:PORT/mcp"),
    ("tools localhost:8000/sse", "did you mean sse+http://localhost:8000/sse, http://localhost:8000/sse"),
    ("tools 8000", "did you mean http://127.0.0.1:8000/mcp"),
    ("tools tcp://127.0.0.1", "needs a host and a port: tcp://host:port"),
    ("tools tcp://127.0.0.1:many", "the host or port of this tcp: address cannot be read"),
    ("tools tcp://127.0.0.1:99999", "the host or port of this tcp: address cannot be read"),
    ("tools http:/127.0.0.1:8000/mcp", "needs a host: http://host/path"),
    ("tools unix://tmp/x.sock", "a unix: address is unix:///absolute/path"),
    ("tools unix:///nosuch.sock", "there is no socket at /nosuch.sock"),
    ("tools stdio:", "needs a command: stdio:command arg …"),
    ("tools stdio:mcpc-nosuch", "cannot run 'mcpc-nosuch': there is no such command"),
    ("tools", "say where the server is, or give --server NAME"),
    # a file
    ("tools app", "did you mean app.py?"),
    ("tools nosuch.py", "there is no file 'nosuch.py'"),
    ("tools 'python app.py'", "a command is written as 'stdio:python app.py'"),
    ("serve two.py", "say which server: two.py:NAME; two.py has: one, two"),
    ("serve none.py", "none.py has no server: an MCPServer"),
    ("serve leaves.py", "SystemExit: no licence (leaves.py, line 2); --verbose shows the traceback"),
    ("serve lacks.py", "No module named 'nosuchpackage' (lacks.py, line 1)"),
    ("serve bare.py", "write @callbacks.tool(), with the parentheses"),
    ("serve app.py 8000", "did you mean http://127.0.0.1:8000/mcp"),
    ("serve app.py 127.0.0.1:8000", "did you mean http://127.0.0.1:8000/mcp"),
    ("serve app.py tcp://127.0.0.1:{used}", "Address already in use"),
    ("serve app.py:server unix:///nosuch/x.sock", "there is no such directory"),
    ("bridge localhost:8000 stdio:x", "did you mean http://localhost:8000/mcp"),
    ("bridge tcp://127.0.0.1:0", "say where the server is; or, with --config FILE"),
    # a call
    ("call tcp://127.0.0.1:1", "say which tool"),
    ("call tcp://127.0.0.1:1 count n:=three", "n:= is not JSON"),
    ("call tcp://127.0.0.1:1 count 3", "an argument must look like NAME=VALUE, not '3'"),
    ("call tcp://127.0.0.1:1 count --n 3", "No such option: --n; an argument of the tool is written n=VALUE"),
    ("call tcp://127.0.0.1:1 count n=3", "nobody listens at tcp://127.0.0.1:1"),
    ("tools http://127.0.0.1:1/mcp", "cannot reach http://127.0.0.1:1/mcp: connection refused"),
    ("tools http://127.0.0.1:1/mcp --token-env MCPC_UNSET", "the environment variable 'MCPC_UNSET' is not set"),
    ("call tcp://127.0.0.1:1 count --timeout soon", "--timeout"),
    ("cal tcp://127.0.0.1:1 count", "Did you mean 'call'?"),
    # a configuration
    ("servers", "there is no mcp.json here; name one with --config FILE"),
    ("tools shop --config nosuch.json", "there is no file 'nosuch.json'"),
    ("tools shop --config bad.json", "bad.json is not JSON: line 1, column 2"),
    ("tools shop --config other.json", "it needs 'mcpServers' (or 'servers', as VS Code has it)"),
    ("tools shop --config list.json", "it needs 'mcpServers' (or 'servers', as VS Code has it)"),
    ("tools shop --config empty.json", "server 'shop': it has neither a command nor a url"),
    ("tools shop --config unset.json", "the environment variable 'MCPC_UNSET' is not set"),
    ("tools --server shp --config unset.json", "did you mean 'shop'?"),
    # a task
    ("stop nosuch", "no task 'nosuch' was left here by mcpc call --no-follow; say where it is: --server URI"),
    ("answer nosuch yes", "no task 'nosuch' was left here"),
    ("status", "Missing argument 'TASK'"),
    # a store
    ("worker app.py", "s has no store, so no server can leave it anything to do"),
    ("store check sqlit:x.db", "did you mean 'sqlite'?"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # which loading a server adds to
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MCPC_CONFIG", raising=False)
    monkeypatch.delenv("MCPC_STORE", raising=False)
    return tmp_path


@pytest.mark.parametrize(("typed", "told"), TYPED)
def test_a_mistake_at_the_command_line_ends_with_2_and_one_line_that_says_what_to_do(
    typed: str, told: str, folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = typed.format(used=taken.getsockname()[1])
        result = CliRunner(env={"COLUMNS": "200"}).invoke(application, words, prog_name="mcpc")
    assert (result.exit_code, result.stdout) == (2, "")
    said = [line for line in result.stderr.splitlines() if line.lower().startswith("error: ")]
    assert len(said) == 1, result.stderr
    assert told in said[0]
    assert "Traceback" not in result.stderr


# --- in the library ---


async def client_of_a_bare_address() -> None:
    mcpc.Client("127.0.0.1:8000")


async def client_that_was_not_entered() -> None:
    await mcpc.Client("memory://nosuch").start_task("count")


async def client_of_nobody() -> None:
    async with mcpc.Client("memory://nosuch"):
        pass


async def misspelt_option() -> None:
    mcpc.Client("tcp://127.0.0.1:1", open_timout=3)  # type: ignore[call-arg]


async def helper_without_parentheses() -> None:
    callbacks = mcpc.MCPCHelper(MCPServer[Any]("s", log_level="WARNING"))

    @callbacks.tool  # type: ignore[arg-type]
    async def count(task: mcpc.Task) -> None: ...  # pyright: ignore


async def serving_what_is_no_server() -> None:
    async with mcpc.listen({"name": "s"}, "memory://x"):
        pass


async def configuration_without_the_server() -> None:
    mcpc.Client.from_config({"mcpServers": {"shop": {"command": "x"}}}, "shp")


async def with_a_server(use: Callable[[mcpc.Client], Awaitable[object]]) -> None:
    server = MCPServer[Any]("s", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def count(n: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        return n

    @callbacks.tool()
    async def order(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        return await task.ask("From whom?", choices=["Ant Ltd", "Bee & Co"])

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()

    async with mcpc.Client(server) as client:
        await use(client)


async def answer_that_is_no_choice() -> None:
    async def use(client: mcpc.Client) -> None:
        task = await client.start_task("order")
        async for _ in task:
            for prompt in task.prompts:
                await task.answer(prompt, "Cat plc")

    await with_a_server(use)


async def answer_without_a_question() -> None:
    async def use(client: mcpc.Client) -> None:
        await (await client.start_task("wait")).answer("p1", "yes")

    await with_a_server(use)


async def wrong_argument() -> None:
    async def use(client: mcpc.Client) -> None:
        await (await client.start_task("count", {"n": "three"})).result()

    await with_a_server(use)


async def unknown_tool() -> None:
    async def use(client: mcpc.Client) -> None:
        await (await client.start_task("cuont", {"n": 3})).result()

    await with_a_server(use)


async def unknown_task() -> None:
    async def use(client: mcpc.Client) -> None:
        await client.task("nosuch").stop()

    await with_a_server(use)


WRITTEN: list[tuple[Callable[[], Awaitable[None]], type[Exception], str]] = [
    (client_of_a_bare_address, mcpc.URIError, "must start with a scheme and a colon"),
    (client_that_was_not_entered, RuntimeError, "must be entered first: async with mcpc.Client"),
    (client_of_nobody, mcpc.ConnectFailed, "memory://nosuch"),
    (misspelt_option, TypeError, "open_timout"),
    (helper_without_parentheses, TypeError, "with the parentheses"),
    (serving_what_is_no_server, mcpc.MCPCError, "dict"),
    (configuration_without_the_server, mcpc.ConfigError, "did you mean 'shop'"),
    (answer_that_is_no_choice, mcpc.PromptError, "none of the choices"),
    (answer_without_a_question, mcpc.PromptError, "no such open prompt"),
    (wrong_argument, mcpc.TaskFailed, "valid integer"),
    (unknown_tool, mcpc.TaskFailed, "Unknown tool: cuont"),
    (unknown_task, mcpc.UnknownTask, "does not know this task"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("wrong", "error", "told"), WRITTEN, ids=[wrong.__name__ for wrong, _, _ in WRITTEN])
async def test_a_mistake_in_a_program_is_an_error_that_says_what_is_wrong(
    wrong: Callable[[], Awaitable[None]], error: type[Exception], told: str
) -> None:
    with anyio.fail_after(30), pytest.raises(error, match=told):
        await wrong()


def test_what_is_remembered_of_no_task_is_nothing(folder: Path) -> None:
    """A mistake leaves no trace in the user's directory."""
    CliRunner().invoke(application, "stop nosuch", prog_name="mcpc")
    assert [path for path in (folder / "state").rglob("*") if path.is_file()] == []

"""The command line, as the program that a user runs."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import anyio
import pytest
import trustme
from typer.testing import CliRunner, Result

import mcpc
from cli_kit import DEADLINE, ENVIRONMENT, MCPC, in_terminal, run, run_all, running, served
from console_kit import screen_of
from mcpc.cli import connecting
from mcpc.cli.app import app as application
from mcpc.cli.connecting import Place
from mcpc.cli.schemas import parameters
from support import HERE

APP = '''
import os, pathlib, sys
import anyio, mcpc
from mcp.server import MCPServer

server = MCPServer("my-processor", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server, shutdown_grace=30.0)
not_a_server = 3

@callbacks.tool()
async def process_data(data_id: str, task: mcpc.Task) -> dict:
    """Process data.

    In three steps."""
    for step in range(1, 4):
        await task.update({"status": f"step {step}/3", "progress": 100 * step / 3})
    return {"data_id": data_id, "session": task.session_id}

@callbacks.tool()
async def choose(task: mcpc.Task) -> dict:
    which = await task.ask("Which one did you mean?", choices=["first", "second"])
    schema = {"type": "object", "required": ["name", "age"], "properties": {
        "name": {"type": "string"}, "age": {"type": "integer", "minimum": 3}, "note": {"type": "string"}}}
    return {"which": which, "who": await task.ask("Who are you?", schema=schema)}

@callbacks.tool()
async def beat(task: mcpc.Task, when_stopped: str = "") -> None:
    beats = 0
    while not task.stop_requested:
        beats += 1
        await task.update({"status": f"beat {beats}", "progress": beats % 100})
        with anyio.move_on_after(0.05):
            await task.stopping()
    if when_stopped:
        pathlib.Path(when_stopped).touch()
    task.check_stopped()

@callbacks.tool()
async def fail(task: mcpc.Task) -> None:
    raise ValueError("no luck")

@callbacks.tool()
async def die(task: mcpc.Task) -> None:
    os._exit(3)

@callbacks.tool()
async def announce(text: str, task: mcpc.Task) -> None:
    await callbacks.emit("notification", {"text": text})

@callbacks.tool()
async def chatter(task: mcpc.Task) -> str:
    print("printed by the tool")
    sys.stdout.write("written by the tool\\n")
    return "quiet"

@callbacks.tool()
async def paint(task: mcpc.Task) -> str:
    await task.update("\x1b[2Jcleared")
    return "\x1b[2Jdone"

@server.tool()
def add(a: int, b: int) -> int:
    return a + b
'''


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("app") / "app.py"
    path.write_text(APP)
    return f"{path}:server"


@pytest.fixture(scope="module")
def uri(app: str) -> Iterator[str]:
    """A server that the tests share, at an address of each of two kinds."""
    socket = Path(app).parent / "app.sock"
    with served(app, f"unix://{socket}", "ws://127.0.0.1:0/mcp", at=2) as (_, uris):
        yield uris[0]


def here(*arguments: str) -> Result:
    """The command line in this process: for what ends before it does anything, where a process would only take time."""
    return CliRunner(env={"COLUMNS": "100"}).invoke(application, arguments, prog_name="mcpc")


# --- help ---


def test_each_command_has_help_with_examples_and_its_options() -> None:
    wanted = {
        "serve": ["--allow-remote", "--token-env", "--ssl-cert", "--ssl-key", "SERVER", "URI"],
        "call": ["--json-args", "--no-follow", "--session", "--header", "--token-env", "--json", "KEY=VALUE", "130"],
        "tools": ["--header", "--token-env", "--json", "URI"],
        "watch": ["--task", "--session", "--header", "--token-env", "--json", "URI"],
        "bridge": ["--shared", "--header", "--token-env", "--listen-token-env", "--ssl-cert", "FROM", "TO"],
        "transports": ["--json", "SCHEME"],
        "bench": ["--seconds", "--rate", "--size", "--json", "SCHEME|URI", "make bench"],
        "demo": ["--seconds"],
    }
    for shown in (here().output, here("--help").output):
        assert all(command in shown for command in wanted)
        assert "--install-completion" in shown
    for command, texts in wanted.items():
        helped = here(command, "--help")
        assert helped.exit_code == 0
        assert f"mcpc {command}" in helped.stdout.partition("Examples:")[2]
        for text in [*texts, "--verbose"]:
            assert text in helped.stdout, f"{command} --help does not mention {text}"


def test_the_module_is_the_program_too() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "mcpc", "--version"], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert shown.stdout.startswith(f"mcpc {version('mcpc')} ")


# --- call ---


def test_the_result_goes_to_stdout_and_the_progress_to_stderr(uri: str) -> None:
    called = run("call", uri, "process_data", "data_id=42", "--session", "chat-1")
    assert called.returncode == 0
    # The tool's schema says that it is a string, so 42 stays one.
    assert json.loads(called.stdout) == {"data_id": "42", "session": "chat-1"}
    assert called.stderr.splitlines() == [" 33% step 1/3", " 67% step 2/3", "100% step 3/3"]


def test_with_json_every_message_is_a_line(uri: str) -> None:
    called = run("call", uri, "process_data", "--json-args", '{"data_id": "x"}', "--json")
    messages = [json.loads(line) for line in called.stdout.splitlines()]
    assert [message["event"] for message in messages] == ["created", *["update"] * 3, "complete"]
    assert messages[-1]["result"] == {"data_id": "x", "session": "default"}
    assert (called.returncode, called.stderr) == (0, "")


def test_values_are_json_where_they_are_json_and_ordinary_tools_can_be_called(uri: str) -> None:
    added, alone, failed = run_all(
        [
            ["call", uri, "add", "a=1", "b=2"],
            ["call", uri, "process_data", "data_id=1", "--no-follow"],
            ["call", uri, "fail"],
        ]
    )
    assert (added.process.returncode, added.written["out"]) == (0, "3\n")
    assert alone.process.returncode == 0
    assert re.fullmatch(r"[0-9a-f-]{36}\n", alone.written["out"])
    assert failed.process.returncode == 1
    assert (failed.written["out"], failed.written["err"]) == ("", "error: fail failed: ValueError: no luck\n")


def test_arguments_given_as_one_object_are_sent_as_they_are(uri: str) -> None:
    extra = here("call", uri, "add", "--json-args", '{"a": 1, "c": 9}', "b=2")
    missing = here("call", uri, "add", "--json-args", '{"a": 1}')
    assert (extra.exit_code, extra.stdout) == (0, "3\n")
    assert missing.exit_code == 1  # the server says so, not the command line
    assert missing.stderr.startswith("error: add failed: Error executing tool add")


def test_a_server_that_dies_is_dialled_again_only_where_that_can_help(app: str) -> None:
    child = f"stdio:{MCPC[0]} serve {app} stdio:"
    with served(app, "tcp://127.0.0.1:0") as (_, uris):
        with running([*MCPC, "call", uris[0], "die"]) as socket, running([*MCPC, "call", child, "die"]) as pipe:
            socket.read_until(r"the connection was lost; dialling again \(Ctrl-C gives up\)")
            assert socket.finish(signal.SIGINT) == 130
            assert pipe.finish() == 2
            assert "dialling" not in pipe.written["err"]
            assert (
                "error: the connection to the server was lost: the server ended with exit code 3" in pipe.written["err"]
            )


async def told_of_waiting(monkeypatch: pytest.MonkeyPatch, uri: str) -> list[str]:
    """What a user is told who waits for the answer of a server that is silent."""
    told: list[str] = []
    scope = anyio.CancelScope()

    def say(text: str) -> None:
        told.append(text)
        scope.cancel()

    monkeypatch.setattr(connecting, "PATIENCE", 0.01)
    monkeypatch.setattr(connecting, "say", say)
    with anyio.fail_after(DEADLINE), scope:
        async with connecting.connected(Place(uri, {})):
            raise AssertionError("nobody answered")
    return told


@pytest.mark.anyio
async def test_who_waits_long_for_an_answer_is_told_for_whose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    silent = f"unix://{tmp_path}/silent.sock"
    async with await anyio.create_unix_listener(tmp_path / "silent.sock"):
        told = await told_of_waiting(monkeypatch, silent)
    assert told == [f"still waiting for an MCP server's answer from {silent} (Ctrl-C gives up) ..."]


def test_a_header_is_written_either_way() -> None:
    given = ["X-Team=blue:green", "Accept-Language: en=1", "X-Empty:"]
    assert Place.wanted("ws://127.0.0.1:1/", given, None, None).options["headers"] == {
        "X-Team": "blue:green",
        "Accept-Language": "en=1",
        "X-Empty": "",
    }


def test_a_server_cannot_steer_the_terminal(uri: str) -> None:
    with in_terminal([*MCPC, "call", uri, "paint"]) as terminal:
        assert terminal.finish() == 0
    assert r"\x1b[2Jcleared" in terminal.written
    assert r"\x1b[2Jdone" in terminal.written
    assert "\x1b[2J" not in terminal.written


def test_ctrl_c_stops_the_task_on_the_server_and_waits_for_its_end(uri: str, tmp_path: Path) -> None:
    mark = tmp_path / "stopped"
    with running([*MCPC, "call", uri, "beat", f"when_stopped={mark}"]) as program:
        program.read_until("beat 2")
        assert program.finish(signal.SIGINT) == 130
    assert mark.exists()
    assert "stopping the task" in program.written["err"]
    assert program.written["err"].endswith("the task was stopped\n")


def test_prompts_are_asked_and_asked_again_until_the_answer_fits(uri: str) -> None:
    typed = "third\n2\nann\nmany\n1\n\nann\n4\n\n"
    called = run("call", uri, "choose", stdin=typed)
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == {"which": "second", "who": {"name": "ann", "age": 4}}
    for text in (
        "? Which one did you mean?",
        "1. first",
        "none of the choices",
        "answer with a number",
        "less than the minimum",
    ):
        assert text in called.stderr


def test_a_prompt_that_nobody_can_answer_stops_the_task(uri: str) -> None:
    called = run("call", uri, "choose")
    assert called.returncode == 1
    assert "the task asked 'Which one did you mean?', and standard input has ended" in called.stderr


@pytest.mark.anyio
async def test_a_task_outlives_the_process_that_began_it_and_another_attaches_and_answers(uri: str) -> None:
    begun = await anyio.run_process([*MCPC, "call", uri, "choose", "--no-follow"], env=ENVIRONMENT)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(uri) as client:
            client.on_prompt(lambda prompt: prompt.choices[0] if prompt.choices else {"name": "ann", "age": 4})
            task = await client.task(begun.stdout.decode().strip())
            assert task.tool_name == "choose"
            assert await task.result() == {"which": "first", "who": {"name": "ann", "age": 4}}


def test_on_a_terminal_there_is_a_bar_and_prompts_and_ctrl_c_stop_it(uri: str) -> None:
    with in_terminal([*MCPC, "call", uri, "choose"]) as terminal:
        terminal.read_until(r"2\. second")
        terminal.type("first\n")
        terminal.read_until("name:")
        terminal.type("\x03")
        terminal.read_until("the task was stopped")
        assert terminal.finish() == 130
    with in_terminal([*MCPC, "call", uri, "beat"]) as terminal:
        terminal.read_until("beat .*━.*%.*beat 2")
        terminal.type("\x03")
        assert terminal.finish() == 130
        bars = [line for line in screen_of(terminal.written, width=80) if "━" in line]
        assert len(bars) == 1  # what the terminal echoes for Ctrl-C has not left another behind


# --- serve ---


def test_every_address_is_served_and_its_clients_get_the_last_message_on_sigterm(app: str, tmp_path: Path) -> None:
    socket = tmp_path / "s.sock"
    places = [f"unix://{socket}", "ws://127.0.0.1:0/mcp", "http://127.0.0.1:0/mcp"]
    with served(app, *places, at=3) as (server, uris):
        assert [uri.partition(":")[0] for uri in uris] == ["unix", "ws", "http"]
        assert not any(":0/" in uri for uri in uris)
        with running([*MCPC, "call", uris[0], "beat"]) as one, running([*MCPC, "call", uris[2], "beat"]) as two:
            one.read_until("beat 2")
            two.read_until("beat 2")
            assert server.finish(signal.SIGTERM) == 0
            for client in (one, two):
                assert client.finish() == 1
                assert client.written["err"].endswith("the task was stopped\n")
    assert server.written["out"] == ""
    assert not socket.exists()


def test_over_stdio_nothing_but_the_protocol_is_on_stdout(app: str) -> None:
    child = f"stdio:{MCPC[0]} serve {app} stdio:"
    with running([*MCPC, "call", child, "chatter"]) as client, running([*MCPC, "serve", app, "stdio:"]) as server:
        server.read_until("on stdin and stdout")
        server.write('{"jsonrpc": "2.0", "id": 1, "method": "nonsense"}\n')
        answer = server.read_until(r".*\n", "out")[0]
        assert json.loads(answer)["error"]["code"] < 0
        server.end_input()
        assert server.finish() == 0
        assert server.written["out"] == answer
        assert (client.finish(), client.written["out"]) == (0, "quiet\n")


@pytest.fixture
def tls(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The options of who listens with a certificate, and the variables of who trusts it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(cert)
    return ["--ssl-cert", cert, "--ssl-key", key], {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}


def who_has_the_token_comes_in(uri: str, env: dict[str, str]) -> None:
    """The token is in SECRET."""
    call = [*MCPC, "call", uri, "add", "a=1", "b=1", "--token-env", "SECRET"]
    with running(call, env=env) as friend, running(call, env={**env, "SECRET": "wrong-guess"}) as stranger:
        assert (friend.finish(), friend.written["out"]) == (0, "2\n"), friend.written
        assert stranger.finish() == 2
        assert "401" in stranger.written["err"]
        assert "wrong-guess" not in stranger.written["err"]


def test_a_token_is_asked_for_and_given(app: str, tls: tuple[list[str], dict[str, str]]) -> None:
    env = {"SECRET": "open-sesame", **tls[1]}
    with served(app, "wss://127.0.0.1:0/mcp", "--token-env", "SECRET", *tls[0], env=env) as (_, uris):
        who_has_the_token_comes_in(uris[0], env)


# --- looking ---


def test_a_task_that_was_left_is_followed_by_its_id_to_its_end(uri: str, tmp_path: Path) -> None:
    def start(*arguments: str) -> str:
        return here("call", uri, *arguments, "--no-follow").stdout.strip()

    with running([*MCPC, "watch", uri, "--task", start("beat")]) as watcher:
        watcher.read_until(r"beat\[\w{8}\] update  beat \d+\n", "out")
        assert watcher.finish(signal.SIGINT) == 0
    ends = [
        here("watch", uri, "--json", "--task", task) for task in (start("process_data", "data_id=7"), start("fail"))
    ]
    assert [end.exit_code for end in ends] == [0, 1]
    last = [json.loads(end.stdout.splitlines()[-1]) for end in ends]
    assert [message["event"] for message in last] == ["complete", "failed"]
    assert last[0]["result"]["data_id"] == "7"


def test_tools_lists_names_arguments_and_descriptions(uri: str) -> None:
    shown, machine = run_all([["tools", uri], ["tools", uri, "--json"]])
    assert "process_data(data_id: string)\n    Process data.\n\n    In three steps.\n" in shown.written["out"]
    assert "beat(when_stopped?: string)\n" in shown.written["out"]
    listed = {tool["name"]: tool for tool in json.loads(machine.written["out"])}
    assert listed["add"]["inputSchema"]["required"] == ["a", "b"]


def test_watch_shows_server_events_until_ctrl_c(uri: str) -> None:
    with running([*MCPC, "watch", uri, "--json"]) as machine, running([*MCPC, "watch", uri]) as person:
        for program in (machine, person):
            program.read_until("connection connected")
        assert run("call", uri, "announce", "text=lunch").returncode == 0
        event = json.loads(machine.read_until(r".*\n", "out")[0])
        assert (event["type"], event["event"], event["result"]) == ("server_event", "notification", {"text": "lunch"})
        person.read_until(r'\d\d:\d\d:\d\d notification  \{"text": "lunch"\}\n', "out")
        assert machine.finish(signal.SIGINT) == 0
        assert person.finish(signal.SIGTERM) == 0


def test_who_reads_no_more_ends_the_command_without_a_word(uri: str) -> None:
    with running([*MCPC, "watch", uri]) as watcher, running([*MCPC, "call", uri, "beat", "--json"]) as caller:
        watcher.read_until("connection connected")
        caller.read_until("beat 2", "out")
        for program in (watcher, caller):
            program.stop_reading()
        assert here("call", uri, "announce", "text=lunch").exit_code == 0
        for program in (watcher, caller):
            assert program.finish() == 128 + signal.SIGPIPE
            assert "Traceback" not in program.written["err"]
            assert "error" not in program.written["err"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told(uri: str) -> None:
    with open("/dev/full", "w") as full:
        told = subprocess.run(
            [*MCPC, "tools", uri], stdout=full, stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False
        )
    assert (told.returncode, told.stderr) == (2, "error: stdout cannot be written: No space left on device\n")


def test_transports_shows_schemes_packages_and_options() -> None:
    assert re.search(r"^tcp +mcpc \S+ +connect, listen$", here("transports").stdout, re.MULTILINE)
    assert "    token_verifier = null\n" in here("transports", "ws").stdout
    found = {each["scheme"]: each for each in json.loads(here("transports", "--json").stdout)}
    assert {"memory", "stdio", "unix", "tcp", "ws", "wss", "http", "https", "sse+http"} <= set(found)
    assert found["ws"]["connect"]["open_timeout"] == 10.0
    assert found["unix"]["package"] == "mcpc"


# --- mistakes ---


def test_a_users_mistake_gets_one_clear_line_and_exit_code_2(
    app: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # which loading a server adds to
    broken = tmp_path / "broken.py"
    broken.write_text("import anyio\n\nserver = nosuchname\n")
    torn = tmp_path / "torn.py"
    torn.write_text("def (:\n")
    file = app.rpartition(":")[0]
    mistakes = {
        ("call", "ftp://x", "t"): r"no transport for scheme 'ftp'; known: http, .*ws",
        ("call", "somewhere", "t"): r"must start with a scheme and a colon",
        ("call", "tcp://127.0.0.1:1", "t"): r"nobody listens at tcp://127\.0\.0\.1:1",
        ("call", "ws://u:hidden@127.0.0.1:1/mcp", "t"): r"ws://u:\*\*\*@127\.0\.0\.1:1/mcp cannot be reached",
        ("call", uri, "nosuch"): r"the server has no tool 'nosuch'; it has: .*process_data",
        ("call", uri, "proces_data"): r"no tool 'proces_data'; did you mean 'process_data'\? it has: ",
        ("call", uri, "process_data"): r"process_data needs data_id; it takes: data_id: string\n",
        (
            "call",
            uri,
            "add",
            "a=1",
            "b=x",
        ): r'add: b must be of type integer, not "x"; it takes: a: integer, b: integer',
        ("call", uri, "add", "a=1", "bb=2"): r"add has no argument 'bb'; did you mean 'b'\? it takes: a: ",
        ("call", uri, "fail", "a=1"): r"fail has no argument 'a'; it takes: nothing",
        ("call", "stdio:python", "app.py", "add"): r"not 'add'; the address of a command with spaces needs quotes",
        ("watch", uri, "--task", "nosuch"): r"there is none of this id",
        ("call", uri, "add", "a"): r"an argument must look like NAME=VALUE, not 'a'",
        ("call", uri, "add", "a=1", "a=2"): r"an argument 'a' is given twice",
        ("call", uri, "add", "--json-args", "{a}"): r"--json-args is not JSON",
        ("call", uri, "add", "--json-args", "[1]"): r"--json-args must be a JSON object",
        ("call", uri, "add", "--token-env", "MCPC_NO_SUCH"): r"environment variable 'MCPC_NO_SUCH' is not set",
        ("call", uri, "add", "--header", "hidden"): r"--header must look like NAME=VALUE\n",
        ("tools", uri, "--header", "a=hidden"): r"unix: connect does not take 'headers'; it takes: ",
        ("tools", uri, "-o", "colour=1"): r"unix: connect does not take 'colour'",
        (
            "tools",
            "ws://127.0.0.1:1/",
            "-o",
            "open_timeout=soon",
        ): r"--option open_timeout: .*valid number",
        ("watch", "stdio:mcpc-no-such-command"): r"mcpc-no-such-command",
        ("serve", "nosuch.py:server", "tcp://127.0.0.1:0"): r"there is no file 'nosuch.py'",
        ("serve", "nosuch.module:server", "tcp://127.0.0.1:0"): r"there is no module 'nosuch'",
        ("serve", f"{file}:nosuch", "tcp://127.0.0.1:0"): r"app.py has no 'nosuch'; .*has: server",
        ("serve", f"{file}:not_a_server", "tcp://127.0.0.1:0"): r"is a int, not a server; .*has: server",
        (
            "serve",
            str(broken),
            "tcp://127.0.0.1:0",
        ): r"NameError: name 'nosuchname' is not defined \(broken.py, line 3\)",
        ("serve", f"{torn}:server", "tcp://127.0.0.1:0"): r"SyntaxError: .*torn.py, line 1",
        ("serve", app, "tcp://0.0.0.0:0"): r"tcp: has no authentication; bind to .* --allow-remote\n",
        ("serve", app, "ws://0.0.0.0:0/"): r"give --token-env, or --allow-remote",
        ("serve", app, "http://0.0.0.0:0/"): r"give --token-env, or say --allow-remote",
        ("serve", app, "wss://127.0.0.1:0/"): r"wss: needs --ssl-cert",
        ("serve", app, "tcp://127.0.0.1:0", "--token-env", "HOME"): r"tcp: cannot check a token",
        ("serve", app, "ws://127.0.0.1:0/", "--ssl-key", file): r"--ssl-key needs --ssl-cert",
        ("serve", app, "ws://127.0.0.1:0/", "--ssl-cert", file): r"--ssl-cert: .*app.py cannot be used",
        ("serve", app, "unix:///tmp/x.sock", "--allow-remote"): r"--allow-remote: none of these addresses takes it",
        ("serve", app, "unix:///tmp/x.sock", "-o", "colour=1"): r"--option colour: none of these addresses takes it",
        ("serve", app, "tcp://127.0.0.1:0", "-o", "backlog=[1]"): r"--option backlog: .*valid integer",
        ("serve", app, f"unix://{tmp_path}/no/such/dir"): r"there is no such directory",
        ("transports", "gopher"): r"no transport for scheme 'gopher'; known: ",
    }
    for command, pattern in mistakes.items():
        made = here(*command)
        assert made.exit_code == 2, f"{command}: {made.stderr} {made.exception!r}"
        assert re.search(f"^error: .*{pattern}", made.stderr, re.MULTILINE | re.DOTALL), f"{command}: {made.stderr}"
        assert "hidden" not in made.stderr
        assert made.stdout == ""


def test_the_programs_error_is_one_line_and_verbose_adds_the_cause() -> None:
    short, verbose = run_all([["tools", "tcp://127.0.0.1:1"], ["tools", "tcp://127.0.0.1:1", "--verbose"]])
    assert (short.process.returncode, verbose.process.returncode) == (2, 2)
    assert short.written["err"] == "error: nobody listens at tcp://127.0.0.1:1\n"
    assert "Traceback" in verbose.written["err"]
    assert "ConnectFailed" in verbose.written["err"]


# --- bridge ---


def test_all_servers_of_a_configuration_are_behind_one_address(app: str, tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    servers = {
        name: {"command": MCPC[0], "args": ["serve", app], "env": {"PYTHONWARNINGS": "ignore"}} for name in ("a", "b")
    }
    config.write_text(json.dumps({"mcpServers": {**servers, "bad": {"command": "no-such-program"}}}))
    with running([*MCPC, "bridge", f"unix://{tmp_path}/all.sock", "--config", str(config)]) as bridge:
        bridge.read_until(r"bridging 3 servers at unix://\S+: a, b, bad\n")
        bridge.read_until(r"(?m)^the server 'bad' is down: cannot run 'no-such-program': there is no such command\n")
        at = f"unix://{tmp_path}/all.sock"
        listed = json.loads(run("tools", at, "--json").stdout)
        assert {tool["name"].partition("__")[0] for tool in listed} == {"a", "b"}
        for name in ("a", "b"):
            called = run("call", at, f"{name}__chatter", "--json")
            assert called.returncode == 0, called.stderr
            assert [json.loads(line)["event"] for line in called.stdout.splitlines()] == ["created", "complete"]
        assert bridge.finish(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tcp://127.0.0.1:0"], "say where the server is; or, with --config FILE"),
        (["tcp://127.0.0.1:0", "--config", "none.json"], "there is no file 'none.json'"),
        (["tcp://127.0.0.1:0", "--config", "mcp.json", "--shared"], "--shared is for one server"),
        (["tcp://127.0.0.1:0", "--config", "mcp.json", "-H", "A=b"], "--header is for one server"),
    ],
)
def test_a_mistake_in_bridging_a_configuration_is_told(arguments: list[str], told: str) -> None:
    refused = here("bridge", *arguments)
    assert refused.exit_code == 2
    assert told in refused.stderr


def test_a_bridge_is_an_address_like_any_other_and_ends_at_a_signal(tmp_path: Path) -> None:
    server = f"stdio:{sys.executable} {HERE / 'stdio_server.py'}"
    with running([*MCPC, "bridge", f"unix://{tmp_path}/bridge.sock", server]) as bridge:
        bridge.read_until(r"bridging at .*\n")
        called = run("call", f"unix://{tmp_path}/bridge.sock", "count", "n=3", "--json")
        assert called.returncode == 0, called.stderr
        assert '"rows":3' in called.stdout.replace(" ", "")
        assert bridge.finish(signal.SIGINT) == 0


def test_a_bridge_asks_its_clients_for_a_token_and_shows_them_a_certificate(
    uri: str, tls: tuple[list[str], dict[str, str]]
) -> None:
    env = {"SECRET": "open-sesame", **tls[1]}
    arguments = ["bridge", "https://127.0.0.1:0/mcp", uri, "--listen-token-env", "SECRET", *tls[0]]
    with running([*MCPC, *arguments], env=env) as bridge:
        who_has_the_token_comes_in(bridge.read_until(r"bridging at (https://\S+)\n").group(1), env)
        assert bridge.finish(signal.SIGTERM) == 0


def test_a_bridge_on_stdin_and_stdout_ends_when_its_client_leaves(uri: str) -> None:
    with running([*MCPC, "bridge", "stdio:", uri]) as bridge:
        bridge.write('{"jsonrpc": "2.0", "id": "seven", "method": "ping"}\n')
        assert '"seven"' in bridge.read_until(r".+\n", "out").group()
        bridge.end_input()
        assert bridge.finish() == 0
    assert bridge.written["err"] == "bridging on stdin and stdout\n"
    assert len(bridge.written["out"].splitlines()) == 1


def test_what_a_bridge_cannot_do_where_it_listens_is_told_in_a_line(uri: str) -> None:
    for options, text in (
        (["tcp://127.0.0.1:0", "--listen-token-env", "HOME"], "tcp: cannot check a token"),
        (["memory://x", "--listen-option", "colour=1"], "--listen-option colour: none of these addresses takes it"),
        (["memory://x", "--ssl-key", "key.pem"], "--ssl-key needs --ssl-cert"),
    ):
        told = here("bridge", options[0], uri, *options[1:])
        assert told.exit_code == 2
        assert text in told.output


def test_a_bridge_to_or_from_nowhere_is_a_mistake_told_in_a_line() -> None:
    for arguments in (("nowhere://x", "ws://127.0.0.1:1/mcp"), ("memory://x", "nowhere://y")):
        told = here("bridge", *arguments)
        assert told.exit_code == 2
        assert "no transport for scheme 'nowhere'" in told.output


# --- what is typed ---


def test_a_server_in_a_file_is_run_for_one_call_and_its_stderr_is_held_back(app: str) -> None:
    called = run("call", app, "add", '{"a": 1}', "b:=2")
    assert (called.returncode, called.stdout) == (0, "3\n")
    assert "serving my-processor" not in called.stderr
    seen = run("tools", app, "--verbose")
    assert "serving my-processor on stdin and stdout" in seen.stderr


def test_what_a_server_wrote_before_it_died_is_shown(tmp_path: Path) -> None:
    dying = tmp_path / "dying.py"
    dying.write_text("import sys\nsys.exit('no licence \\x1b[2J found')\n")
    told = run("tools", f"stdio:{sys.executable} {dying}")
    assert told.returncode == 2
    assert "the server ended with exit code 1; the last it wrote to stderr:" in told.stderr
    assert "no licence \\x1b[2J found" in told.stderr


def test_a_server_without_an_address_is_served_on_stdin_and_stdout(app: str) -> None:
    with running([*MCPC, "serve", app]) as server:
        server.read_until("serving my-processor on stdin and stdout")
        server.end_input()
        assert server.finish() == 0


def test_an_address_without_a_scheme_is_told_which_it_may_be() -> None:
    for typed in ("127.0.0.1:8000", "localhost:8000/mcp"):
        told = here("tools", typed)
        assert told.exit_code == 2
        assert f"did you mean http://{typed.removesuffix('/mcp')}/mcp, ws://" in told.stderr
    assert "n:= is not JSON" in here("call", "tcp://127.0.0.1:1", "t", "n:=three").stderr
    assert "'n' is given twice" in here("call", "tcp://127.0.0.1:1", "t", "n:=3", "n=3").stderr


def test_who_dials_the_wrong_door_of_the_right_house_is_shown_the_right_one(app: str) -> None:
    with served(app, "http://127.0.0.1:0/mcp") as (_, uris):
        right = uris[0]
        house = right.removesuffix("/mcp")
        asked = [f"{house}/", f"{house}/else", right.replace("http", "ws", 1), right.replace("http", "sse+http", 1)]
        told = [program.written["err"] for program in run_all([("tools", address) for address in asked])]
    for text in told:
        assert f"; did you mean {right}" in text


@pytest.mark.anyio
async def test_a_socket_whose_server_waits_for_more_is_perhaps_another_s(
    monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        (told,) = await told_of_waiting(monkeypatch, f"tcp://127.0.0.1:{port}")
    assert f"(did you mean http://127.0.0.1:{port}/mcp or " in told


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["HTTP 401 Unauthorized", "HTTP 403 Forbidden"])
async def test_other_credentials_are_no_matter_of_the_address(
    text: str, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise mcpc.ConnectRefused(f"http://127.0.0.1:1/ refused us: {text}")

    monkeypatch.setattr(mcpc, "Client", refuse)
    with pytest.RaisesGroup(pytest.RaisesExc(mcpc.ConnectRefused, match=f"{text}$")):
        async with connecting.connected(Place("http://127.0.0.1:1/", {})):
            raise AssertionError("it was refused")


def test_whatever_schema_a_server_sends_is_listed_as_what_it_is() -> None:
    schema = {
        "type": "object",
        "$defs": {
            "Size": {"enum": ["big", "small"]},
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
            "Loop": {"$ref": "#/$defs/Loop"},
        },
        "properties": {
            "size": {"$ref": "#/$defs/Size"},
            "node": {"$ref": "#/$defs/Node"},
            "loop": {"$ref": "#/$defs/Loop"},
            "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "kinds": {"type": ["null", "boolean"]},
            "fixed": {"const": 3},
            "all": True,
            "never": False,
            "far": {"$ref": "https://example.invalid/x#/y"},
            "odd": {"type": 7},
        },
        "required": ["size", 3],
    }
    assert parameters(schema) == (
        'size: "big" | "small", node?: object, loop?: any, maybe?: integer | null, kinds?: null | boolean, '
        "fixed?: 3, all?: any, never?: nothing, far?: any, odd?: any"
    )
    for broken in ({"properties": [1]}, {"properties": None, "required": "a"}, {}):
        assert parameters(broken) == ""


def test_a_warning_of_the_library_is_seen_without_asking(tmp_path: Path) -> None:
    chatty = tmp_path / "chatty.py"
    chatty.write_text(
        "import mcpc\nfrom mcp.server import MCPServer\n"
        "print('hello', flush=True)\nmcpc.run(MCPServer('chatty', log_level='ERROR'))\n"
    )
    told = run("tools", f"stdio:{sys.executable} {chatty}")
    assert told.returncode == 0
    assert "skipped something from the server that is not an MCP message" in told.stderr

"""What a server says is shown, and not obeyed, by every command; as JSON it is what the server said, exactly."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from cli_kit import MCPC, in_terminal, run, served

EVIL = "a\x1b]0;owned\x07b\x9b31mc\u202ed\u2066e\x7ff"
"""A title for the window, a bell, a colour in Latin-1, two that turn the direction of writing, and a delete."""

RAW = ("\x1b]0;", "\x07", "\x9b", "\u202e", "\u2066", "\x7f")

PLAIN = f"""
import json, sys

EVIL = {EVIL!r}
TOOL = {{"name": "evil", "description": EVIL, "inputSchema": {{"type": "object", "properties": {{
    "how": {{"type": "string"}}, EVIL: {{"type": "string", "description": EVIL, "enum": [EVIL], "default": EVIL}}}}}}}}

def result(method, params):
    if method == "initialize":
        return {{"protocolVersion": "2025-06-18", "capabilities": {{"tools": {{}}}},
                "serverInfo": {{"name": EVIL, "version": EVIL}}, "instructions": EVIL}}
    if method == "tools/list":
        return {{"tools": [TOOL, {{"name": EVIL, "inputSchema": {{"type": "object"}}}}]}}
    if method == "tools/call":
        how = (params.get("arguments") or {{}}).get("how")
        if how == "refuse":
            raise ValueError
        content = [{{"type": "text", "text": EVIL}}]
        if how == "json":
            return {{"content": content, "structuredContent": {{EVIL: EVIL, "more": 1}}}}
        return {{"content": content, "isError": how == "fail"}}
    raise KeyError

print(EVIL)
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {{"jsonrpc": "2.0", "id": request["id"]}}
    params = request.get("params") or {{}}
    if (params.get("arguments") or {{}}).get("how") == "die":
        sys.exit(EVIL)
    try:
        answer["result"] = result(request["method"], params)
    except KeyError:
        answer["error"] = {{"code": -32601, "message": "no such method"}}
    except ValueError:
        answer["error"] = {{"code": -32050, "message": EVIL, "data": EVIL}}
    print(json.dumps(answer), flush=True)
"""

TASKS = f"""
import mcpc
from mcp.server import MCPServer

EVIL = {EVIL!r}
server = MCPServer("host", log_level="CRITICAL")
callbacks = mcpc.MCPCHelper(server)

@callbacks.tool()
async def talk(task: mcpc.Task) -> dict:
    await task.update({{"status": EVIL}})
    await task.update({{"status": EVIL, "progress": 50}})
    await task.update({{EVIL: EVIL}})
    answer = await task.ask(EVIL, choices=[EVIL, "b"])
    return {{EVIL: [EVIL, answer]}}

@callbacks.tool()
async def fail(task: mcpc.Task) -> None:
    raise RuntimeError(EVIL)

@callbacks.tool()
async def announce(task: mcpc.Task) -> None:
    await callbacks.emit("notification", {{"message": EVIL}})
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    script = tmp_path_factory.mktemp("plain") / "server.py"
    script.write_text(PLAIN)
    return f"stdio:{shlex.join([sys.executable, '-S', str(script)])}"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    script = tmp_path_factory.mktemp("tasks") / "app.py"
    script.write_text(TASKS)
    return f"{script}:server"


def obeyed(written: str) -> list[str]:
    return [sign for sign in RAW if sign in written]


@pytest.mark.parametrize(
    "arguments",
    [
        ("tools",),
        ("tools", "--json"),
        ("call", "evil"),
        ("call", "evil", "how=json"),
        ("call", "evil", "how=json", "--json"),
        ("call", "evil", "how=fail"),
        ("call", "evil", "how=refuse"),
        ("call", "evil", "how=die"),
        ("call", "no such tool"),
        ("call", "-v", "evil"),
    ],
    ids=" ".join,
)
def test_an_ordinary_server_steers_no_terminal(arguments: tuple[str, ...], plain: str) -> None:
    command, *rest = arguments
    at = rest.index("-v") + 1 if "-v" in rest else 0
    with in_terminal([*MCPC, command, *rest[:at], plain, *rest[at:]]) as terminal:
        terminal.finish()
    assert obeyed(terminal.written) == []
    assert "owned" in terminal.written


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["", "--json"])
def test_a_task_and_its_question_steer_no_terminal(more: tuple[str, ...], tasks: str) -> None:
    with in_terminal([*MCPC, "call", tasks, "talk", *more]) as terminal:
        terminal.read_until("choices" if more else r"b\s")
        terminal.type("b\n")
        terminal.finish()
    assert obeyed(terminal.written) == []
    assert terminal.written.count("owned") >= 4


def test_a_task_that_fails_steers_no_terminal(tasks: str) -> None:
    with in_terminal([*MCPC, "call", tasks, "fail"]) as terminal:
        assert terminal.finish() == 1
    assert obeyed(terminal.written) == []


def test_who_watches_is_steered_by_nobody(tasks: str, tmp_path: Path) -> None:
    with (
        served(tasks, f"unix://{tmp_path}/a.sock") as (_, uris),
        in_terminal([*MCPC, "watch", uris[0]]) as terminal,
    ):
        terminal.read_until("connection connected")
        assert run("call", uris[0], "announce").returncode == 0
        terminal.read_until("owned")
        assert obeyed(terminal.written) == []


def test_as_json_all_of_it_is_what_the_server_said(plain: str, tasks: str) -> None:
    listed = json.loads(run("tools", plain, "--json").stdout)
    assert listed[0]["description"] == EVIL
    assert list(listed[0]["inputSchema"]["properties"]) == ["how", EVIL]
    called = [json.loads(line) for line in run("call", plain, "evil", "how=json", "--json").stdout.splitlines()]
    assert called[-1]["result"] == {EVIL: EVIL, "more": 1}
    assert json.loads(run("call", plain, "evil", "how=json").stdout) == {EVIL: EVIL, "more": 1}
    assert run("call", plain, "evil").stdout == f"{EVIL}\n"
    talked = run("call", tasks, "talk", "--json", stdin="b\n").stdout
    messages = [json.loads(line) for line in talked.splitlines()]
    assert messages[-1]["result"] == {EVIL: [EVIL, "b"]}

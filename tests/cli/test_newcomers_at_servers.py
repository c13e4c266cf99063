"""What people get wrong on the first day at a server that is there: one line says what to do."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp_types import REQUEST_TIMEOUT
from typer.testing import CliRunner

import mcpc
from mcpc.cli.app import app as application
from mcpc.cli.mistakes import UserMistake
from mcpc.cli.suggesting import suggesting

DEADLINE = 60


class OneToken:
    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="one", scopes=[]) if token == "right" else None


class Served(threading.Thread):
    """A server at several addresses, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.uris: dict[str, str] = {}
        self.up, self._over = threading.Event(), threading.Event()

    def run(self) -> None:
        anyio.run(self._serve)

    async def _serve(self) -> None:
        server = MCPServer[Any]("s", log_level="WARNING")

        @server.tool()
        def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction]
            return a + b

        async with (
            mcpc.listen(server, "tcp://127.0.0.1:0") as tcp,
            mcpc.listen(server, "http://127.0.0.1:0/mcp", token_verifier=OneToken()) as http,
            mcpc.listen(server, "ws://127.0.0.1:0/mcp", token_verifier=OneToken()) as ws,
            mcpc.listen(server, "sse+http://127.0.0.1:0/sse") as sse,
        ):
            port = tcp.uri.rpartition(":")[2]
            self.uris = {"tcp": tcp.uri, "http": http.uri, "ws": ws.uri, "tcp_as_http": f"http://127.0.0.1:{port}/mcp"}
            self.uris |= {"sse": sse.uri, "sse_as_http": sse.uri.removeprefix("sse+")}
            self.uris["sse_as_newer"] = f"{self.uris['sse_as_http'].removesuffix('/sse')}/mcp"
            self.up.set()
            await anyio.to_thread.run_sync(self._over.wait)

    def end(self) -> None:
        self._over.set()
        self.join(DEADLINE)


@pytest.fixture(scope="module")
def served() -> Generator[Served]:
    served = Served()
    served.start()
    assert served.up.wait(DEADLINE)
    yield served
    served.end()


TYPED: list[tuple[str, str]] = [
    ("tools {http}", "refused us: HTTP 401 Unauthorized"),
    ("tools {http} --token-env WRONG_TOKEN", "refused us: HTTP 401 Unauthorized"),
    ("tools {ws}", "HTTP 401 Unauthorized: a bearer token is needed"),
    ("tools {ws} --token-env WRONG_TOKEN", "HTTP 401 Unauthorized: the token is not valid"),
    ("tools {tcp_as_http}", "did you mean ws://"),
    ("tools {sse_as_http}", "did you mean {sse}?"),
    ("tools {sse_as_newer}", "or {sse}"),
    ("call {tcp} ad a=1 b=2", "the server has no tool 'ad'; did you mean 'add'?"),
    ("call {tcp} add a=1 c=2", "add has no argument 'c'; it takes: a: integer, b: integer"),
    ("call {tcp} add a=1", "add needs b; it takes: a: integer, b: integer"),
    ("call {tcp} add a=1 b=two", 'add: b must be of type integer, not "two"'),
]


@pytest.mark.parametrize(("typed", "told"), TYPED)
def test_a_mistake_at_a_server_ends_with_2_and_one_line_that_says_what_to_do(
    typed: str, told: str, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("WRONG_TOKEN", "wrong")
    result = CliRunner(env={"COLUMNS": "200"}).invoke(application, typed.format(**served.uris), prog_name="mcpc")
    assert (result.exit_code, result.stdout) == (2, "")
    said = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1, result.stderr
    assert told.format(**served.uris) in said[0]
    assert "Traceback" not in result.stderr


WITHOUT_COREDIS = "import sys; sys.modules['coredis'] = None; from mcpc.cli import main; main()"


def test_a_store_whose_package_is_missing_is_told_by_the_extra_that_installs_it() -> None:
    command = [sys.executable, "-c", WITHOUT_COREDIS, "store", "check", "redis://127.0.0.1:1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert result.stderr.count("\n") == 1
    assert "needs 'coredis', which is not installed: pip install 'mcpc[redis]'" in result.stderr


def test_a_unix_socket_that_one_may_not_use_is_told_so(tmp_path: Path) -> None:
    unprivileged: list[str] = []
    if os.geteuid() == 0:  # who may do everything, and is made to be like others
        if shutil.which("setpriv") is None:
            pytest.skip("root, and no setpriv to be somebody else")
        dropped = "-dac_override,-dac_read_search"
        unprivileged = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()
        path.chmod(0)
        command = [*unprivileged, sys.executable, "-m", "mcpc", "tools", f"unix://{path}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert result.stderr == f"error: cannot connect to {path}: Permission denied\n"


def hang_up() -> None:
    """As an HTTP server does at which a socket dials: the first request is over by a time limit, the next by its end.

    Raises:
        ConnectFailed: always.
    """
    try:
        try:
            raise TimeoutError
        except TimeoutError:
            raise MCPError(REQUEST_TIMEOUT, "too late") from None
    except MCPError as exc:
        raise mcpc.ConnectFailed("hung up") from exc


def test_a_server_that_hangs_and_then_hangs_up_is_told_with_the_addresses_that_may_be_meant() -> None:
    with pytest.raises(UserMistake, match="hung up; did you mean http://127"), suggesting("tcp://127.0.0.1:8000"):
        hang_up()


def test_where_nobody_is_there_no_other_address_is_suggested() -> None:
    with pytest.raises(mcpc.ConnectFailed, match="nobody") as told, suggesting("tcp://127.0.0.1:8000"):
        raise mcpc.ConnectFailed("nobody") from ConnectionRefusedError()
    assert str(told.value) == "nobody"

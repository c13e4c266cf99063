"""`mcpc bench`: it measures for real, counts what is lost or out of order, and leaves nothing behind."""

import json
import re
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli_kit import MCPC, running
from mcpc.cli.app import app
from mcpc.cli.bench import table as command
from mcpc.cli.bench.measure import Arrivals, Measured
from mcpc.messages import MCPCMessage

HEAD = "transport  callbacks/s   p50 us   p99 us  lost  reordered\n"


def test_it_measures_over_a_pipe_and_a_socket_and_in_memory(tmp_path: Path) -> None:
    wanted = ["memory", "stdio", "unix"]
    env = {"TMPDIR": str(tmp_path)}
    with running([*MCPC, "bench", *wanted, "--seconds", "0.1", "--json"], env=env) as program:
        assert program.finish() == 0, program.written
    found = [Measured(**each) for each in json.loads(program.written["out"])]
    assert [each.transport for each in found] == wanted
    for each in found:
        assert (each.lost, each.reordered) == (0, 0)
        assert each.callbacks > 0
        assert each.per_second > 0
        assert 0 < each.p50_us <= each.p99_us
    assert list(tmp_path.iterdir()) == []


def test_it_prints_a_table_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    endless = ["memory", *["unix"] * 1000]  # still measuring when the signal comes, however slow the machine
    with running([*MCPC, "bench", *endless, "--seconds", "0.1"], env=env) as program:
        numbers = r" +[\d,]+ +[\d,]+ +[\d,]+ +0 +0\n"
        program.read_until(f"{re.escape(HEAD)}memory{numbers}unix{numbers}", "out")
        assert program.finish(signal.SIGINT) == 130
        assert program.written["err"] == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_lost_or_out_of_order_is_counted_and_the_exit_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = Arrivals()
    for number in (0, 1, 3, 2, 5):
        update = {"n": number, "t": 0, "padding": ""}
        arrivals.take(MCPCMessage(event="update", session_id="s", task_id="t", tool_name="send", result=update))
    assert (arrivals.count, arrivals.reordered) == (5, 1)
    flawless = Measured("memory", 10, 1.0, 1.0, 1.0, lost=0, reordered=0)
    for found, code in ((flawless, 0), (replace(flawless, lost=1), 1)):

        async def measure(uri: str, load: object, found: Measured = found) -> Measured:
            return found

        monkeypatch.setattr(command, "measure", measure)
        assert CliRunner().invoke(app, ["bench", "memory"]).exit_code == code


def test_a_transport_that_cannot_be_measured_is_named_and_the_others_are_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        shown = CliRunner().invoke(app, ["bench", address, "memory", "--seconds", "0.1"])
    assert shown.exit_code == 1
    assert re.search(r"^error: tcp: .*Address already in use$", shown.stderr, re.MULTILINE)
    assert re.search(r"^memory ", shown.stdout, re.MULTILINE)
    assert "tcp" not in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nats"], "'nats' is neither an address nor one of memory, stdio, unix"),
        (["nats://127.0.0.1"], "no transport for scheme 'nats'"),
        (["memory", "--seconds", "0"], "--seconds"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(arguments: list[str], told: str) -> None:
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["bench", *arguments])
    assert shown.exit_code == 2
    assert told in shown.stderr
    assert shown.stdout == ""

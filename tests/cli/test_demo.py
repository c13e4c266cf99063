"""`mcpc demo`: real sockets, a real child process, and nothing left of either."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from cli_kit import DEADLINE, MCPC, Program, in_terminal, running, without_colour

TRANSPORTS = ["memory", "stdio", "unix", "tcp", "ws", "http"]
VERDICT = r"[\d,]+ callbacks over 6 transports: all there, in order, once\."


def rows(text: str) -> dict[str, list[str]]:
    """The rows of the summary, by transport: updates, in order, lost."""
    found = re.findall(r"^ *(\w[\w+]*) +([\d,]+) +(yes|NO) +(\d+) ", text, re.MULTILINE)
    return {name: rest for name, *rest in found}


def processes_with(mark: str) -> list[str]:
    """The processes in whose environment `mark` stands."""
    found: list[str] = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environment.read_bytes():
                found.append(environment.parent.joinpath("cmdline").read_text())
        except OSError:
            continue  # gone, or not ours
    return found


def nothing_is_left(home: Path) -> None:
    assert list(home.iterdir()) == []
    if sys.platform == "linux":
        give_up_at = time.monotonic() + DEADLINE
        while (left := processes_with(str(home))) and time.monotonic() < give_up_at:
            time.sleep(0.05)  # what was killed may be on its way out
        assert left == []


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A directory for everything temporary, which also marks our processes: a stdio child is given HOME."""
    return {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


def test_it_follows_one_task_over_each_transport_and_leaves_nothing(env: dict[str, str], tmp_path: Path) -> None:
    with running([*MCPC, "demo", "--seconds", "1.5"], env=env) as program:
        assert program.finish() == 0, program.written
    shown = program.written["out"]
    assert "\x1b" not in shown
    summary = rows(shown)
    assert list(summary) == TRANSPORTS
    for name, (updates, in_order, lost) in summary.items():
        assert (in_order, lost) == ("yes", "0"), name
        # The task that was redirected indexes fewer files; every other one all of them.
        assert updates == "900" or name == "unix"
    assert re.search("-- unix: told the running task to focus on recent files", shown)
    assert re.search("-- ws: the task asks: report.pdf exists twice.*-- ws: answered 'newest'", shown, re.DOTALL)
    assert re.search("unix .* focus: recent", shown)
    assert re.search("ws .* kept: newest", shown)
    assert re.search(VERDICT, shown)
    assert program.written["err"] == ""
    nothing_is_left(tmp_path)


def test_on_a_terminal_it_fits_80_columns_and_moves(env: dict[str, str], tmp_path: Path) -> None:
    with in_terminal([*MCPC, "demo", "--seconds", "1"], env=env) as terminal:
        assert terminal.finish() == 0, terminal.written
    shown = without_colour(terminal.written)
    assert max(len(line) for line in re.split(r"[\r\n]+", shown)) <= 80
    assert re.search(r"ws://127\.0\.0\.1:\d+/mcp *[━╸╺]+ *\d+%  +[\d,]+/s", shown)
    assert "? report.pdf" in shown
    # The last frame and the summary together are what stays to be seen.
    assert len(shown[shown.rindex("memory://mcpc") :].splitlines()) <= 22
    assert list(rows(shown)) == TRANSPORTS
    assert re.search(VERDICT, shown)
    nothing_is_left(tmp_path)


def test_interrupted_it_leaves_nothing_either(env: dict[str, str], tmp_path: Path) -> None:
    program = Program([*MCPC, "demo", "--seconds", "60"], env=env)
    try:
        program.read_until(r"stdio +\d+%", "out")
        busy = processes_with(str(tmp_path))
        assert program.finish(signal.SIGINT) == 130
    finally:
        program.close()
    assert len(busy) > 1 or sys.platform != "linux"  # the demo, and its child
    assert "Traceback" not in program.written["err"]
    nothing_is_left(tmp_path)

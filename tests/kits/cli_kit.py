"""The real program in processes of its own, for the tests of the command line, the demo and the examples."""

import codecs
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

__all__ = [
    "DEADLINE",
    "ENVIRONMENT",
    "MCPC",
    "Program",
    "Terminal",
    "in_terminal",
    "open_terminal",
    "run",
    "run_all",
    "running",
    "served",
    "without_colour",
]

DEADLINE = 150
"""Seconds that no program here should come near, on a machine that is busy."""

MCPC = [str(Path(sys.executable).with_name("mcpc"))]

Found = TypeVar("Found")

ENVIRONMENT = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color", "PYTHONWARNINGS": "error::ResourceWarning"}

# A terminal of its own, so that what is typed there (Ctrl-C) becomes a signal.
IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def in_time(said: str) -> str:
    """What a program said, without what it says only where the machine is busy."""
    return re.sub(r"(?m)^still waiting for an MCP server's answer .*\n", "", said)


class Program:
    """A program that runs, and what it has written so far."""

    def __init__(self, argv: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self.written = {"out": "", "err": ""}

    def read_until(self, pattern: str, where: str = "err") -> re.Match[str]:
        """Wait until the program has written something that matches."""
        stream = self.process.stdout if where == "out" else self.process.stderr
        assert stream is not None
        give_up_at = time.monotonic() + DEADLINE
        while (found := re.search(pattern, self.written[where])) is None:
            ready, _, _ = select.select([stream], [], [], max(give_up_at - time.monotonic(), 0))
            data = os.read(stream.fileno(), 65536) if ready else b""
            assert data, f"{pattern!r} was not written; instead: {self.written}"
            self.written[where] += data.decode()
        return found

    def write(self, text: str) -> None:
        """Type something."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def stop_reading(self) -> None:
        """Close our end of its stdout."""
        assert self.process.stdout is not None
        self.process.stdout.close()

    def end_input(self) -> None:
        """Close its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None  # communicate() would flush it

    def finish(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and wait for the end; the exit code."""
        if number is not None:
            self.process.send_signal(number)
        if self.process.stdout is not None and self.process.stdout.closed:
            self.process.stdout = None  # communicate() would read it
        out, err = self.process.communicate(timeout=DEADLINE)
        self.written["out"] += (out or b"").decode()
        self.written["err"] = in_time(self.written["err"] + err.decode())
        return self.process.returncode

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.process.wait(DEADLINE)


@contextmanager
def running(argv: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> Generator[Program]:
    """A program that is there for as long as the context lasts."""
    program = Program(argv, env=env, cwd=cwd)
    try:
        yield program
    finally:
        program.close()


def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `mcpc` to its end."""
    done = subprocess.run(
        [*MCPC, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**ENVIRONMENT, **(env or {})},
        check=False,
    )
    done.stderr = in_time(done.stderr)
    return done


def run_all(commands: Sequence[Sequence[str]]) -> list[Program]:
    """Run `mcpc` several times at once, each to its end: most of the time of each is spent on importing."""
    programs = [Program([*MCPC, *arguments]) for arguments in commands]
    try:
        for program in programs:
            program.finish()
    finally:
        for program in programs:
            program.close()
    return programs


@contextmanager
def served(*arguments: str, env: dict[str, str] | None = None, at: int = 1) -> Generator[tuple[Program, list[str]]]:
    """`mcpc serve` with these arguments, and the addresses that it says it serves."""
    with running([*MCPC, "serve", *arguments], env=env) as program:
        program.read_until(rf"(serving .*\n){{{at}}}")
        yield program, re.findall(r"serving .* at (\S+)\n", program.written["err"])


class Terminal:
    """A terminal of 80 columns and 24 rows, from the side of whoever sits at it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.written = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        """Wait until the terminal shows something that matches."""
        return self.wait_for(lambda: re.search(pattern, without_colour(self.written)), pattern)

    def wait_for(self, look: Callable[[], Found | None], what: str) -> Found:
        """Wait until `look` finds something."""
        give_up_at = time.monotonic() + DEADLINE
        while (found := look()) is None:
            assert self._read(give_up_at), f"{what!r} did not appear; instead: {self.written!r}"
        return found

    def read_to_end(self) -> None:
        """Read until nobody has the terminal open any more."""
        give_up_at = time.monotonic() + DEADLINE
        while self._read(give_up_at):
            pass

    def _read(self, give_up_at: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(give_up_at - time.monotonic(), 0))
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # how Linux tells that nobody has the terminal open any more
            data = b""
        self.written += self._decode(data)
        return bool(data)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._fd, text.encode())


class ProgramInTerminal(Terminal):
    """A terminal, and the program on it."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        super().__init__(fd)
        self.process = process

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        self.read_to_end()
        return self.process.wait(DEADLINE)


@contextmanager
def open_terminal() -> Generator[tuple[int, int]]:
    """Both ends of a new terminal: ours, which is closed in the end, and that of a program, which is not."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


@contextmanager
def in_terminal(argv: Sequence[str], *, env: dict[str, str] | None = None) -> Generator[ProgramInTerminal]:
    """A program on a terminal of its own."""
    with open_terminal() as (ours, theirs):
        process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *argv],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**ENVIRONMENT, **(env or {}), "COLUMNS": "80", "LINES": "24"},
            start_new_session=True,
        )
        os.close(theirs)
        try:
            yield ProgramInTerminal(ours, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE)


def without_colour(text: str) -> str:
    """The text without what moves the cursor and sets colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

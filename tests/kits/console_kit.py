"""Sessions on a terminal that a page shows: run for real, and compared with what the page says.

A `console` block holds commands, each after a `$ `, and what the terminal showed. All
blocks of a page are one story in one directory, where its named files are saved.

- `console background`: the command goes on while the blocks after it are run. In the end
  it gets a Ctrl-C, and must leave with exit code 0 and have written what the block says.
- `console numbers`: any number may stand where the block has one, in any width.
- `<!-- typed at "TEXT": LINE -->` above the block: when the terminal shows TEXT, LINE is
  typed; `^C` is Ctrl-C.
- `<!-- ready after 2 lines -->`: a background command is waited for until it shows so many
  lines; without it, until it shows its first.
- `...` alone on a line is any lines, `…` is anything within a line.
- Times, ids of tasks, versions and ports may differ. An id on a line of its own may
  be used in a later command.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli_kit import DEADLINE, ENVIRONMENT, MCPC, Terminal, open_terminal
from docs_kit import Block
from ports_kit import free_port

__all__ = ["Story", "Warm", "screen_of", "warm"]

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

VARIES = (
    (UUID, "<id>"),
    (r"\[[0-9a-f]{8}\]", "[<id>]"),
    (r"\b\d\d:\d\d:\d\d\b", "<time>"),
    (r"\b\d:\d\d:\d\d\b", "<elapsed>"),
    (r"\bmcpc \d+\.[\w.]+", "mcpc <version>"),
)

SLOW = ((r"(?m)^still waiting for an MCP server's answer .*\n", ""),)
"""What is said only where the machine is busy."""

NUMBERS = ((r"[━╸╺]+", "<bar>"), (r"\d[\d,.]*", "<n>"), (r" +", " "))

CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\r\n\b]|[^\x1b\r\n\b]")


def screen_of(written: str, width: int | None = None) -> list[str]:
    """What a terminal shows that was sent all this: lines without the spaces at their ends.

    Args:
        written: What it was sent.
        width: Where its lines are wrapped; None for no wrapping, as in what is copied from a terminal.
    """
    rows: list[list[str]] = [[]]
    row = column = 0
    for match in CONTROL.finditer(written):
        parameters, command = match[1], match[2]
        if match[0] == "\r":
            column = 0
        elif match[0] == "\n":
            row += 1
        elif match[0] == "\b":
            column = max(0, column - 1)
        elif command == "A":
            row = max(0, row - int(parameters or 1))
        elif command == "K":
            kept = 0 if parameters == "2" else column
            del rows[row][kept:]
        elif command is None:
            if column == width:
                row, column = row + 1, 0
                rows.extend([] for _ in range(row + 1 - len(rows)))
            line = rows[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = match[0]
            column += 1
        else:
            assert command in "mhl", f"a control that this screen does not know: {match[0]!r}"
        rows.extend([] for _ in range(row + 1 - len(rows)))
    return ["".join(line).rstrip() for line in rows]


@dataclass
class Warm:
    """Where commands are started without the second it takes to import them."""

    path: Path

    @contextmanager
    def run(self, arguments: list[str], env: dict[str, str], cwd: Path) -> Generator["Running"]:
        """One `mcpc` on a terminal of its own."""
        with open_terminal() as (ours, theirs), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE)
            connection.connect(str(self.path))
            command = {"arguments": arguments, "env": env, "cwd": str(cwd)}
            socket.send_fds(connection, [json.dumps(command).encode()], [theirs])
            os.close(theirs)
            yield Running(Terminal(ours), connection)


@dataclass
class Running:
    """A command that runs."""

    terminal: Terminal
    connection: socket.socket

    def finish(self) -> int:
        """Wait for its end; the exit code."""
        self.terminal.read_to_end()
        return self.connection.recv(1)[0]

    @property
    def shown(self) -> list[str]:
        """What the terminal shows, without empty lines at the end."""
        lines = screen_of(self.terminal.written)
        while lines and not lines[-1]:
            lines.pop()
        return lines


@contextmanager
def warm(directory: Path) -> Generator[Warm]:
    """The process that starts commands."""
    path = directory / "warm.sock"
    script = str(Path(__file__).with_name("warm_mcpc.py"))
    env = {**ENVIRONMENT, "COLUMNS": "80", "PATH": os.pathsep.join((str(Path(MCPC[0]).parent), os.environ["PATH"]))}
    with subprocess.Popen([sys.executable, script, str(path)], stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Warm(path)
        finally:
            process.terminate()


@dataclass
class Step:
    """One command of a block, and what it shows."""

    command: str
    expected: list[str]


def steps_of(block: Block) -> list[Step]:
    """The commands of a block."""
    steps: list[Step] = []
    for line in block.code.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], []))
        else:
            steps[-1].expected.append(line)
    return steps


@dataclass
class Story:
    """The sessions of one page, run one after the other."""

    warm: Warm
    directory: Path
    stack: ExitStack
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    """What the page has, and what stands in its place here: ports and ids."""
    status: int = 0
    """The exit code of the last command."""

    def run(self, block: Block) -> None:
        """Run the commands of a block."""
        for step in steps_of(block):
            if step.command == "echo $?":
                assert step.expected == [str(self.status)], f"line {block.line}: the exit code was {self.status}"
            elif "background" in block.words:
                self._begin(block, step)
            else:
                self._run(block, step)

    def _started(self, step: Step) -> Running:
        words = shlex.split(self._here(step.command))
        env: dict[str, str] = {}
        while re.match(r"[A-Z_]+=", words[0]):
            name, _, env[name] = words.pop(0).partition("=")
        assert words[0] == "mcpc", step.command
        return self.stack.enter_context(self.warm.run(words[1:], env, self.directory))

    def _run(self, block: Block, step: Step) -> None:
        running = self._started(step)
        for at, line in self._typed(block):
            running.terminal.read_until(re.escape(at))
            running.terminal.type("\x03" if line == "^C" else f"{line}\n")
        self.status = running.finish()
        self._compare(block, step, running.shown)

    def _begin(self, block: Block, step: Step) -> None:
        running = self._started(step)
        lines = self._ready(block) or step.expected[:1]
        running.terminal.wait_for(lambda: self._shows(block, lines, running, re.match), "\n".join(lines))
        self.stack.callback(self._end, block, step, running)

    def _end(self, block: Block, step: Step, running: Running) -> None:
        running.terminal.wait_for(lambda: self._shows(block, step.expected, running, re.fullmatch), step.command)
        running.terminal.type("\x03")
        code = running.finish()
        assert code == 0, f"line {block.line}: the exit code of {step.command} was {code}"
        lines = [line.removesuffix("^C") for line in running.shown]
        self._compare(block, step, [line for line in lines if line])

    def _ready(self, block: Block) -> list[str]:
        """The lines that a background command is waited for."""
        count = [int(number) for note in block.notes for number in re.findall(r"^ready after (\d+) lines$", note)]
        return steps_of(block)[0].expected[: count[0]] if count else []

    def _shows(self, block: Block, lines: list[str], running: Running, how: Any) -> bool | None:
        text = "".join(f"{line}\n" for line in running.shown)
        return how(self._pattern(block, lines), self._plain(block, text)) is not None or None

    def _typed(self, block: Block) -> list[tuple[str, str]]:
        return [pair for note in block.notes for pair in re.findall(r'^typed at "(.*)": (.*)$', note)]

    def _compare(self, block: Block, step: Step, shown: list[str]) -> None:
        text = "".join(f"{line}\n" for line in shown)
        found = re.fullmatch(self._pattern(block, step.expected), self._plain(block, text))
        assert found, f"line {block.line}: {step.command}\nshows\n{text}and the page says\n" + "\n".join(step.expected)
        ids = re.compile(rf"^{UUID}$", re.MULTILINE)
        self.renamed.update(zip(ids.findall("\n".join(step.expected)), ids.findall(text), strict=True))

    def save(self, block: Block) -> None:
        """Save a block that has a name, with the ports that are used here."""
        if block.file is not None:
            (self.directory / block.file).write_text(self._here(block.code), encoding="utf-8")

    def _pattern(self, block: Block, lines: list[str]) -> str:
        """What must be there, as a regular expression."""
        patterns = [
            r"(?:.*\n)*"
            if line == "..."
            else re.escape(self._plain(block, self._here(line))).replace("…", ".*") + r"\n"
            for line in lines
        ]
        return "".join(patterns)

    def _plain(self, block: Block, text: str) -> str:
        """Text without what differs from run to run."""
        for pattern, name in (*SLOW, *VARIES, *(NUMBERS if "numbers" in block.words else ())):
            text = re.sub(pattern, name, text)
        return text

    def _here(self, text: str) -> str:
        """Text of the page with the ports and ids that are used here."""
        for port in re.findall(r"127\.0\.0\.1:(\d{2,})", text):
            self.renamed.setdefault(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
        for there, here in self.renamed.items():
            text = text.replace(there, here)
        return text

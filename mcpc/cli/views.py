"""How a task looks while it runs: a live bar on a terminal, lines elsewhere, JSON for machines.

The result is not a view's: the command writes it to stdout when the task has ended.
"""

import sys
from collections.abc import Iterable
from typing import Any, Protocol, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Task as ProgressTask
from rich.table import Column, Table

import mcpc
from mcpc.cli.speech import printable, put, say
from mcpc.cli.values import compact
from mcpc.messages import prompt_of

__all__ = ["JsonView", "LineView", "LiveView", "View", "make_view", "progress_of", "status_of"]


def progress_of(result: Any) -> float | None:
    """How far an update says the task is, from 0 to 1; None where it does not say.

    A `progress` without a `total` is a percentage, as in mcpc 0.2.
    """
    if not isinstance(result, dict):
        return None
    members = cast("dict[str, Any]", result)
    done, total = members.get("progress"), members.get("total", 100)
    for number in (done, total):
        if isinstance(number, bool) or not isinstance(number, int | float):
            return None
    return min(max(done / total, 0.0), 1.0) if total else None


def status_of(result: Any) -> str:
    """An update in words, in one line: its `status` or `message`, else what it holds."""
    if isinstance(result, str):
        return printable(result)
    if not isinstance(result, dict):
        return "" if result is None else compact(result)
    members = cast("dict[str, Any]", result)
    for name in ("status", "message"):
        if isinstance(members.get(name), str):
            return printable(members[name])
    rest = {name: value for name, value in members.items() if name not in ("progress", "total")}
    return compact(rest) if rest else ""


class View(Protocol):
    """What shows a task."""

    def show(self, message: mcpc.MCPCMessage) -> None:
        """Show a message of the task."""
        ...

    def note(self, text: str) -> None:
        """Tell something that is not from the task."""
        ...

    def pause(self) -> None:
        """Leave the terminal to a question."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class JsonView:
    """Every message as a line of JSON on stdout."""

    def show(self, message: mcpc.MCPCMessage) -> None:
        """Write it."""
        put(compact(message.model_dump()))

    def note(self, text: str) -> None:
        """Tell it on stderr."""
        say(text)

    def pause(self) -> None:
        """There is nothing to leave."""

    def close(self) -> None:
        """There is nothing to leave."""


class LineView:
    """A line for each update on stderr."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, message: mcpc.MCPCMessage) -> None:
        """Write an update, unless it reads as the one before."""
        if message.event != "update" or prompt_of(message) is not None:
            return
        progress = progress_of(message.result)
        line = status_of(message.result)
        if progress is not None:
            line = f"{progress:4.0%} {line}".rstrip()
        if line != self._last:
            say(line)
        self._last = line

    def note(self, text: str) -> None:
        """Tell it."""
        say(text)

    def pause(self) -> None:
        """There is nothing to leave."""

    def close(self) -> None:
        """There is nothing to leave."""


class _Bar(Progress):
    """One row, a little narrower than the terminal.

    The terminal echoes Ctrl-C as ^C where the cursor is; in a row of its own that would leave a copy of the bar behind.
    """

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._console = console  # before the base class, which makes a first table
        super().__init__(*columns, console=console)

    def make_tasks_table(self, tasks: Iterable[ProgressTask]) -> Table:
        """See `Progress`."""
        table = super().make_tasks_table(tasks)
        table.width = max(self._console.width - len("^C"), 1)
        return table


class LiveView:
    """A progress bar on stderr once an update has progress; until then, and for those without, lines."""

    def __init__(self, tool_name: str) -> None:
        self._tool_name = tool_name
        self._progress = _Bar(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            console=Console(stderr=True),
        )
        self._bar: TaskID | None = None
        self._lines = LineView()

    def show(self, message: mcpc.MCPCMessage) -> None:
        """Move the bar, or write a line."""
        if message.event != "update" or prompt_of(message) is not None:
            return
        progress = progress_of(message.result)
        if progress is None:
            self._line(message)
        else:
            self._move(progress, status_of(message.result))

    def _line(self, message: mcpc.MCPCMessage) -> None:
        if self._bar is None:
            self._lines.show(message)
        else:
            self._progress.console.print(status_of(message.result), markup=False, highlight=False)

    def _move(self, progress: float, status: str) -> None:
        if self._bar is None:
            self._bar = self._progress.add_task(printable(self._tool_name), total=1.0, status=status)
        self._progress.start()
        self._progress.update(self._bar, completed=progress, status=status)

    def note(self, text: str) -> None:
        """Tell it above the bar."""
        self._progress.console.print(printable(text, lines=True), markup=False, highlight=False)

    def pause(self) -> None:
        """Freeze the bar; the next update moves it again, below what was written meanwhile."""
        self._progress.stop()

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


def make_view(tool_name: str, *, as_json: bool) -> View:
    """The view that fits where we run."""
    if as_json:
        return JsonView()
    return LiveView(tool_name) if sys.stderr.isatty() else LineView()

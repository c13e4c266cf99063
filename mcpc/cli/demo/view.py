"""How `mcpc demo` looks: a live table on a terminal, lines elsewhere, and the summary."""

import shlex
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, cast

import anyio
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mcpc.cli.demo.lane import Lane

__all__ = ["Screen", "make_screen"]

FRAMES_PER_SECOND = 12
NOTES = 3
"""Of what happened, how much stays in view."""
QUARTERS = (0.25, 0.5, 0.75, 1.0)
TITLE = "One background tool, followed over every transport at once"


class Screen(Protocol):
    """Where the demo shows itself."""

    async def keep_fresh(self) -> None:
        """Show how things stand, again and again, until cancelled."""
        ...

    def note(self, text: str) -> None:
        """Something happened."""
        ...

    def summarize(self) -> None:
        """Show what came of it all."""
        ...


def make_screen(lanes: Sequence[Lane]) -> AbstractContextManager[Screen]:
    """The screen that fits where we run."""
    console = Console(highlight=False)
    return _live(console, lanes) if console.is_terminal else _plain(console, lanes)


def _summary(lanes: Sequence[Lane]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("transport", "updates", "in order", "lost", "time", "result"):
        table.add_column(name, justify="right" if name in ("updates", "lost", "time") else "left")
    for lane in lanes:
        good = "" if lane.flawless else "bold red"
        table.add_row(
            lane.scheme,
            f"{lane.updates:,}",
            "yes" if lane.in_order else "NO",
            str(lane.lost),
            f"{lane.seconds:.1f} s",
            lane.failure or _outcome(lane.result),
            style=good,
        )
    return table


def _short(uri: str) -> str:
    """An address without the path of our own Python, which fills the line and says nothing."""
    return uri.replace(shlex.quote(sys.executable), "python")


def _outcome(result: Any) -> str:
    """The tool's result in a few words."""
    if not isinstance(result, dict):
        return ""
    members = cast("dict[str, Any]", result)
    extras = [f"{name}: {value}" for name, value in members.items() if name != "indexed"]
    return ", ".join([f"{members.get('indexed', 0):,} files", *extras])


def _verdict(lanes: Sequence[Lane]) -> Text:
    total = sum(lane.updates for lane in lanes)
    if lanes and all(lane.flawless for lane in lanes):
        return Text(f"{total:,} callbacks over {len(lanes)} transports: all there, in order, once.", style="green")
    return Text("Something went wrong: see above.", style="bold red")


# --- on a terminal ---


class _LiveScreen:
    """A table that moves."""

    def __init__(self, console: Console, lanes: Sequence[Lane], live: Live) -> None:
        self._console = console
        self._lanes = lanes
        self._live = live
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._rates = {lane.scheme: 0.0 for lane in lanes}
        self._counts = dict.fromkeys(self._rates, 0)
        self._at = 0.0

    async def keep_fresh(self) -> None:
        """Draw some frames each second."""
        self._at = anyio.current_time()
        while True:
            await anyio.sleep(1 / FRAMES_PER_SECOND)
            self._measure()
            self.draw()

    def _measure(self) -> None:
        """Rates of the last moments, smoothed; of an ended task, over its whole life."""
        now = anyio.current_time()
        for lane in self._lanes:
            rate = (lane.updates - self._counts[lane.scheme]) / max(now - self._at, 1e-6)
            self._rates[lane.scheme] += 0.15 * (rate - self._rates[lane.scheme])
            if lane.ended:
                self._rates[lane.scheme] = lane.updates / max(lane.seconds, 1e-6)
            self._counts[lane.scheme] = lane.updates
        self._at = now

    def draw(self) -> None:
        """One frame."""
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(width=26, no_wrap=True, overflow="ellipsis", style="cyan")
        table.add_column(width=14)
        table.add_column(width=4, justify="right", style="bold")
        table.add_column(width=7, justify="right", style="dim")
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for lane in self._lanes:
            bar = ProgressBar(total=1.0, completed=lane.progress, width=14)
            rate = f"{self._rates[lane.scheme]:,.0f}/s"
            table.add_row(Text(_short(lane.uri)), bar, f"{lane.progress:.0%}", rate, self._status(lane))
        notes = [Text(note, style="yellow", no_wrap=True, overflow="ellipsis") for note in self._notes]
        notes += [Text("")] * (NOTES - len(notes))
        self._live.update(Group(Text(TITLE, style="bold"), Text(""), table, Text(""), *notes), refresh=True)

    def _status(self, lane: Lane) -> Text:
        style = "red" if lane.failure else "green" if lane.ended else "yellow" if lane.status.startswith("?") else ""
        return Text(lane.status, style=style)

    def note(self, text: str) -> None:
        """Show it below the table."""
        self._notes.append(text)

    def summarize(self) -> None:
        """Print the summary below what stands there."""
        self._console.print(_summary(self._lanes))
        self._console.print(_verdict(self._lanes))


@contextmanager
def _live(console: Console, lanes: Sequence[Lane]) -> Generator[Screen]:
    with Live(console=console, auto_refresh=False) as live:
        screen = _LiveScreen(console, lanes, live)
        screen.draw()
        try:
            yield screen
        finally:
            screen.draw()


# --- elsewhere ---


class _PlainScreen:
    """A line for each quarter of each task."""

    def __init__(self, console: Console, lanes: Sequence[Lane]) -> None:
        self._console = console
        self._lanes = lanes
        self._quarters = {lane.scheme: 0 for lane in lanes}

    def line(self, text: str) -> None:
        """A line, as it is."""
        self._console.print(text, markup=False, soft_wrap=True)

    async def keep_fresh(self) -> None:
        """Tell of each quarter that was reached."""
        while True:
            await anyio.sleep(1 / FRAMES_PER_SECOND)
            self.catch_up()

    def catch_up(self) -> None:
        """Tell of the quarters reached since."""
        for lane in self._lanes:
            passed = sum(lane.progress >= quarter for quarter in QUARTERS)
            if passed > self._quarters[lane.scheme]:
                self._quarters[lane.scheme] = passed
                self.line(f"{lane.scheme:<8} {lane.progress:4.0%}  {lane.updates:>6} updates  {lane.status}")

    def note(self, text: str) -> None:
        """Tell it."""
        self.line(f"-- {text}")

    def summarize(self) -> None:
        """Print the summary."""
        self._console.print(_summary(self._lanes))
        self._console.print(_verdict(self._lanes))


@contextmanager
def _plain(console: Console, lanes: Sequence[Lane]) -> Generator[Screen]:
    screen = _PlainScreen(console, lanes)
    screen.line(TITLE)
    for lane in lanes:
        screen.line(f"{lane.scheme:<8} {_short(lane.uri)}")
    yield screen
    screen.catch_up()

"""A command's event loop, and the signals that end it."""

import signal
from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio
import typer

from mcpc.cli.mistakes import mistakes_told

__all__ = ["run", "until_signal"]


def run(main: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run a command to its end and exit with its code."""
    with mistakes_told():
        code = anyio.run(main)
    raise typer.Exit(code)


async def until_signal() -> int:
    """Wait for Ctrl-C or SIGTERM; which it was."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            return number
    raise AssertionError("the signals ended")

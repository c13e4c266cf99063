"""A command's event loop, and the signals that end it."""

import signal
from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio
import typer

import mcpc
from mcpc.cli.mistakes import FAILED, mistakes_told

__all__ = ["run", "until_signal"]


def run(main: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run a command to its end and exit with its code, whatever is left that will not end."""
    end = mcpc.ProcessEnd()

    async def ending() -> int:
        code = FAILED
        try:
            code = await main()
        finally:
            end.begin(code)
        return code

    with mistakes_told():
        try:
            code = anyio.run(ending)
        finally:
            end.over()
    raise typer.Exit(code)


async def until_signal() -> int:
    """Wait for Ctrl-C or SIGTERM; which it was."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            return number
    raise AssertionError("the signals ended")

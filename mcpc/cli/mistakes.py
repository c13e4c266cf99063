"""How a command ends: its exit code, and one line for what the user, the network or the server did wrong."""

import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import typer

from mcpc.cli.speech import OutputEnded, discard_output, say_error
from mcpc.errors import MCPCError
from mcpc.later import later
from mcpc.logs import logger_of

if TYPE_CHECKING:
    from mcp.shared import exceptions as sdk
else:
    sdk = later("mcp.shared.exceptions")

__all__ = ["COMPLETE", "FAILED", "MISTAKE", "UserMistake", "exit_code_of", "explanation", "mistakes_told", "the_one"]

logger: logging.Logger = logger_of(__name__)

COMPLETE, FAILED, MISTAKE = 0, 1, 2
"""Exit codes; an interrupted command ends with 128 and the signal's number, as shells have it."""

READER_LEFT = 141
"""The exit code where nobody reads our stdout any more: that of SIGPIPE, which not every system has."""


class UserMistake(Exception):
    """The command cannot do what it was told; the message says why, to the user."""


def exit_code_of(number: int) -> int:
    """The exit code of a command that a signal ended."""
    return 128 + number


@contextmanager
def mistakes_told() -> Generator[None]:
    """Turn a mistake into one line on stderr and its exit code; a fault of ours keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(exit_code_of(signal.SIGINT)) from None
    except Exception as exc:
        cause = the_one(exc)
        if isinstance(cause, typer.Exit):
            raise cause from None
        if isinstance(cause, OutputEnded):
            discard_output()
            if cause.reader_left:
                raise typer.Exit(READER_LEFT) from None  # `mcpc ... | head` wants no word about it
        text = explanation(cause)
        if text is None:
            raise cause from cause.__cause__
        logger.debug("the command failed", exc_info=cause)
        say_error(text)
        raise typer.Exit(MISTAKE) from None


def the_one(exc: BaseException) -> BaseException:
    """The one error inside nested groups of one."""
    while isinstance(exc, BaseExceptionGroup):
        inside = cast("tuple[BaseException, ...]", exc.exceptions)
        if len(inside) != 1:
            break
        exc = inside[0]
    return cast("BaseException", exc)


def explanation(exc: BaseException) -> str | None:
    """What to tell the user; None where the fault is ours."""
    if isinstance(exc, MCPCError | UserMistake | OutputEnded):
        return str(exc)
    if isinstance(exc, sdk.MCPError):
        return f"the server refused: {exc.message}"
    return None

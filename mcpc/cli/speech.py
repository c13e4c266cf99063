"""How the command line speaks: the answer on stdout, everything else on stderr, and nothing that steers a terminal."""

import os
import sys

import typer

__all__ = ["OutputEnded", "discard_output", "printable", "put", "say", "say_error"]


class OutputEnded(Exception):
    """Nobody can be told the answer."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"stdout cannot be written: {cause.strerror}")
        self.reader_left: bool = isinstance(cause, BrokenPipeError)


def put(text: str) -> None:
    """A line of the answer.

    Raises:
        OutputEnded: stdout cannot be written; its reader has left, or the disk is full.
    """
    try:
        typer.echo(text)
    except OSError as exc:
        raise OutputEnded(exc) from exc


def say(text: str) -> None:
    """A line for whoever watches. Whatever a peer has put into it steers no terminal."""
    typer.echo(printable(text, lines=True), err=True)


def say_error(text: str) -> None:
    """What went wrong. Without a colour where `NO_COLOR` says so (no-color.org)."""
    colour = None if os.environ.get("NO_COLOR") else typer.colors.RED
    typer.secho("error: ", fg=colour, bold=True, nl=False, err=True)
    say(text)


def discard_output() -> None:
    """Throw away what is left in the buffer of an stdout that cannot be written: at exit it would fail again."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def printable(text: str, *, lines: bool = False) -> str:
    """Text from a server as it may go to a terminal: what would steer the terminal is shown, not obeyed.

    Args:
        text: The text.
        lines: Keep line breaks and tabs.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)

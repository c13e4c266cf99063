"""This process's own stdin and stdout as the wire, and where what the program prints goes meanwhile."""

import fcntl
import os
import stat
import sys
from contextlib import ExitStack, suppress

from mcpc.errors import ListenFailed
from mcpc_transports.stdio.child import STDERR, has_stderr

__all__ = ["take_over"]


def take_over(stack: ExitStack) -> tuple[int, int]:
    """Private descriptors of stdin and stdout, non-blocking; 0 and 1 point elsewhere until the stack is unwound.

    Raises:
        ListenFailed: the process has no stdin or no stdout. (Started without, their numbers are other files by now:
            the event loop's, say. Python knows.)
    """
    if sys.__stdin__ is None or sys.__stdout__ is None:
        raise ListenFailed("cannot serve stdio: this process was started without stdin or stdout")
    try:
        saved_in, saved_out = _saved(0, stack), _saved(1, stack)
    except OSError as exc:
        raise ListenFailed("cannot serve stdio: this process has closed its stdin or stdout") from exc
    with ExitStack() as wire:
        reader = _private(saved_in, os.O_RDONLY, stack)
        wire.callback(os.close, reader)
        writer = _private(saved_out, os.O_WRONLY, stack)
        wire.callback(os.close, writer)
        _divert(0, os.open(os.devnull, os.O_RDONLY), saved_in, stack)
        _divert(1, _stray_output(), saved_out, stack)
        wire.pop_all()
    # What waits in sys.stdout's buffer has to leave now, and again before the wire comes back.
    _flush_stdout()
    stack.callback(_flush_stdout)
    return reader, writer


def _saved(number: int, stack: ExitStack) -> int:
    saved = _duplicate(number)
    stack.callback(os.close, saved)
    return saved


def _duplicate(descriptor: int) -> int:
    """A duplicate that is none of the standard three, even where one of those is closed."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, STDERR + 1)


def _private(saved: int, flags: int, stack: ExitStack) -> int:
    """A non-blocking descriptor of the same file.

    Whether a file blocks is a property of what is open, not of the descriptor, so it is shared: with the shell on a
    terminal, with stderr after `2>&1`. Pipes and terminals are therefore opened anew. What cannot be is made to block
    again when the stack is unwound. Files on disk never block, and opening them anew would lose the position.
    """
    mode = os.fstat(saved).st_mode
    if stat.S_ISREG(mode):
        return _duplicate(saved)
    if stat.S_ISFIFO(mode) or os.isatty(saved):
        with suppress(OSError):
            return _open_anew(saved, flags)
    if os.get_blocking(saved):
        os.set_blocking(saved, False)
        stack.callback(os.set_blocking, saved, True)
    return _duplicate(saved)


def _open_anew(descriptor: int, flags: int) -> int:
    opened = os.open(f"/proc/self/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return _duplicate(opened)
    finally:
        os.close(opened)


def _divert(number: int, descriptor: int, saved: int, stack: ExitStack) -> None:
    """Point a standard descriptor elsewhere until the stack is unwound."""
    stack.callback(os.dup2, saved, number)
    os.dup2(descriptor, number)
    os.close(descriptor)


def _stray_output() -> int:
    """Where prints go while we serve: to stderr, unless that is the wire too or there is none."""
    with suppress(OSError):
        if has_stderr() and (os.isatty(STDERR) or not os.path.samestat(os.fstat(1), os.fstat(STDERR))):
            return os.dup(STDERR)
    return os.open(os.devnull, os.O_WRONLY)


def _flush_stdout() -> None:
    with suppress(AttributeError, OSError, ValueError):  # there may be none, or it may be closed
        sys.stdout.flush()

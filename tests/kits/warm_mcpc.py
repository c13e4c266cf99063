"""The command line without the second it takes to import: one process imports it, and forks for each command.

`python warm_mcpc.py PATH` waits at a Unix socket. A connection brings one command (its
arguments, environment and directory, as JSON) and the terminal that it is to run on, and
takes back its exit code, one byte.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import termios
from typing import Any

from mcpc.cli.app import app
from mcpc.uri import resolve, schemes

COMMAND = 65536
"""Bytes of the largest command."""


def serve(path: str) -> None:
    """Wait, until terminated."""

    for scheme in schemes():
        resolve(scheme)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, terminals, _, _ = socket.recv_fds(connection, COMMAND, 1)
    child = os.fork()
    if child == 0:
        connection.close()
        take_terminal(terminals[0])
        run(app, json.loads(text))
    os.close(terminals[0])
    connection.sendall(bytes([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF]))
    os._exit(0)


def take_terminal(terminal: int) -> None:
    """Make it ours: what is typed there (Ctrl-C) becomes a signal to us."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    os.close(terminal)


def run(app: Any, command: dict[str, Any]) -> None:
    """Run a command, and end with its exit code."""
    os.chdir(command["cwd"])
    os.environ.update(command["env"])
    code: Any = 0
    try:
        app(args=command["arguments"], prog_name="mcpc")
    except SystemExit as exc:
        code = exc.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve(sys.argv[1])

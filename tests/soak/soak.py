"""Many clients, all transports, faults at random from a seed: `python tests/soak/soak.py [--seconds N] [--seed N]`.

Each client starts tasks of every kind while relays are cut and stalled, servers killed and started again, their wall
clocks set, their descriptors used up, and messages sent to them that are too large. A checker looks at what each task's
handle and listener saw: it ended in time, nothing came twice or out of order, and nothing is missing unless a gap or a
loss was announced. In the end descriptors, tasks and memory are back.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp.shared.exceptions import MCPError
from soak_server import OVERSIZE, make_server, weight

import mcpc
from mcpc.uri import dial

SERVER = str(Path(__file__).with_name("soak_server.py"))
ADDRESSES = {
    "unix": "unix://{folder}/server.sock",
    "tcp": "tcp://127.0.0.1:{port}",
    "ws": "ws://127.0.0.1:{port}/mcp",
    "http": "http://127.0.0.1:{port}/mcp",
    "sse+http": "sse+http://127.0.0.1:{port}/sse",
}
PATIENCE = 90.0
"""Seconds within which a handle ends, whatever happens."""
HELD = 16 * 1024 * 1024
"""Bytes that a process may hold more in the end: what is imported late, and caches."""
GROWTH = 96 * 1024 * 1024
"""Resident bytes that it may have more: the allocators keep pieces of what 200 clients had at a time."""
CLIENT_LIMIT = 1024 * 1024
"""Bytes of the largest message that the clients take; what workers send too much is over it."""
SPARE = 3
"""Descriptors, and tasks, that a server may hold beyond what it held in the beginning: of a connection just closed."""
TOO_LARGE = b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"x":"%s"}}' % (b"x" * 2 * OVERSIZE)
"""A request over a server's limit."""
KINDS = ("count", "count", "slow", "count_in_thread", "count_with_a_large_one", "misbehave", "wait", "stalled reader")
FAULTS = ("cut", "cut", "cut", "stall", "jump", "kill", "oversize", "starve")
BAD_ENDINGS = ("exit", "cancelled", "group", "oversize", "no json", "error")
EXPECTED = (mcpc.MCPCError, MCPError, OSError)
"""What a client may be told while the world is against it; always typed."""


class Relay:
    """Carries bytes to an address; cuts all connections, or holds all bytes back for a while."""

    def __init__(self, uri: str, folder: str) -> None:
        self._target, self._folder = uri, folder
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[str]:
        """Listen; gives the address to dial."""
        parts = urlsplit(self._target)
        if parts.scheme == "unix":
            path = f"{self._folder}/relay.sock"
            server, uri = await asyncio.start_unix_server(self._carry, path), f"unix://{path}"
        else:
            server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            uri = parts._replace(netloc=f"127.0.0.1:{port}").geturl()
        try:
            yield uri
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """End every connection without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def stall(self, seconds: float) -> None:
        """Let nothing pass for a while."""
        self._flowing.clear()
        await asyncio.sleep(seconds)
        self._flowing.set()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._target)
        if parts.scheme == "unix":
            return await asyncio.open_unix_connection(parts.path)
        assert parts.port is not None
        return await asyncio.open_connection("127.0.0.1", parts.port)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        self._writers -= {writer, back}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


class Process:
    """A server that is killed and started again at the same address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.kills = 0

    async def start(self) -> None:
        """Start it; returns when it can be dialled."""
        self._child = subprocess.Popen(  # noqa: ASYNC220 - it starts in a moment
            [sys.executable, SERVER, self.uri], stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.uri = (await asyncio.to_thread(self._child.stdout.readline)).strip()

    def end(self) -> None:
        """Kill it, as the system would for want of memory."""
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()

    async def again(self) -> None:
        """Kill it and start it again."""
        self.kills += 1
        with anyio.CancelScope(shield=True):
            self.end()
            await self.start()


@dataclass
class History:
    """What all clients saw, and what was wrong with it."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])

    def blame(self, what: str) -> None:
        """Something that was promised did not hold."""
        self.wrong.append(what)


class Worker:
    """One client: it starts tasks one after the other, and checks each."""

    def __init__(self, uri: str, history: History, chance: random.Random) -> None:
        self.uri, self.history, self.chance = uri, history, chance
        self.name = uri.partition(":")[0]
        self.seen: dict[str, list[int]] = {}
        self.gaps = 0
        self.has_connection = True

    def hear(self, message: mcpc.MCPCMessage) -> None:
        """A listener beside the handles: it sees every message once."""
        if message.event == "gap":
            self.gaps += 1
        elif message.event == "lost":
            self.has_connection = False
        elif message.event == "update" and message.task_id is not None:
            self.seen.setdefault(message.task_id, []).append(message.result["n"])

    async def run(self, until: float) -> None:
        """Connect, again where the connection was lost for good, until the time is over."""
        while anyio.current_time() < until:
            try:
                async with mcpc.Client(self.uri, reconnect_timeout=20.0, max_message_size=CLIENT_LIMIT) as client:
                    self.has_connection = True
                    client.add_event_listener(self.hear)
                    while anyio.current_time() < until and await self._one(client):
                        pass
            except* EXPECTED as group:
                self.history.outcomes[f"connection: {type(group.exceptions[0]).__name__}"] += 1
                await anyio.sleep(0.2)

    async def _one(self, client: mcpc.Client) -> bool:
        """One task; False where the connection was lost for good."""
        kind = self.chance.choice(KINDS)
        n, gaps = self.chance.randint(1, 300), self.gaps
        arguments: dict[str, Any] = {"n": n}
        tool = "count" if kind in ("slow", "stalled reader") else kind
        if kind == "slow":
            arguments["pause"] = 0.05
        elif kind == "misbehave":
            arguments = {"how": self.chance.choice(BAD_ENDINGS)}
        elif kind == "wait":
            arguments = {}
        outcome, handle = "refused", None
        with anyio.move_on_after(PATIENCE) as scope:
            try:
                handle = await client.start_task(tool, arguments)
                if kind == "wait":
                    with contextlib.suppress(*EXPECTED):  # the connection may be gone: then the handle tells
                        await handle.stop()
                elif kind == "stalled reader":
                    await anyio.sleep(self.chance.random())
                await handle.result()
                outcome = "complete"
            except EXPECTED as exc:
                outcome = _told(exc, kind)
        self.history.outcomes[f"{kind}: {outcome}"] += 1
        if scope.cancelled_caught:
            self.history.blame(f"{self.name}: {kind} did not end within {PATIENCE:g} s")
        elif handle is not None:
            self._check(handle, kind, outcome, n, self.gaps > gaps)
        if outcome == "ConnectionLost":
            await anyio.sleep(0.2)  # it is being made anew
        return self.has_connection

    def _check(self, handle: mcpc.TaskHandle, kind: str, outcome: str, n: int, gap: bool) -> None:
        numbers = self.seen.pop(handle.task_id, [])
        if not handle.ended and outcome != "refused":
            self.history.blame(f"{self.name}: {kind} gave its outcome and had not ended")
        if numbers != sorted(set(numbers)):
            self.history.blame(f"{self.name}: {kind} came twice or out of order: {numbers[:20]}")
        if outcome == "complete" and kind != "misbehave" and numbers != list(range(n)) and not gap:
            self.history.blame(f"{self.name}: {kind} lost {n - len(numbers)} of {n} without a word")
        if outcome == "complete" and kind == "misbehave":
            self.history.blame(f"{self.name}: a worker that failed completed")


def _told(exc: Exception, kind: str) -> str:
    """How a task ended that did not complete; why it failed, where its worker had no reason to."""
    name = type(exc).__name__
    is_meant = kind == "misbehave" or isinstance(exc, mcpc.TaskStopped)
    return f"{name} ({exc})" if isinstance(exc, mcpc.TaskFailed) and not is_meant else name


class Disturbance:
    """Faults, one after the other."""

    def __init__(self, servers: dict[str, Process], relays: dict[str, Relay], history: History, seed: int) -> None:
        self._servers, self._relays, self._history = servers, relays, history
        self._chance = random.Random(seed)

    async def go_on(self) -> None:
        """Until it is cancelled."""
        while True:
            await anyio.sleep(self._chance.uniform(0.3, 1.5))
            scheme, fault = self._chance.choice(sorted(self._servers)), self._chance.choice(FAULTS)
            self._history.faults[fault] += 1
            if fault == "cut":
                self._relays[scheme].cut()
            elif fault == "stall":
                await self._relays[scheme].stall(self._chance.uniform(0.5, 3))
            elif fault == "kill":
                await self._servers[scheme].again()
            elif fault == "oversize":
                await self._send_too_much(scheme)
            elif fault == "jump":
                await self._ask(scheme, "jump", self._chance.choice((-86_400, 0, 3600, 86_400)))
            else:
                await self._ask(scheme, "starve", self._chance.uniform(0.5, 3))

    async def _ask(self, scheme: str, tool: str, seconds: float) -> None:
        with contextlib.suppress(*EXPECTED, ExceptionGroup), anyio.move_on_after(5):
            async with mcpc.Client(self._servers[scheme].uri) as client:
                await client.call_tool(tool, {"seconds": seconds})

    async def _send_too_much(self, scheme: str) -> None:
        """A message that is too large is refused, whoever sends it."""
        answer = b""
        with anyio.move_on_after(PATIENCE) as scope, contextlib.suppress(mcpc.MCPCError, httpx2.RequestError, OSError):
            answer = await _refusal(self._servers[scheme].uri)
        if scope.cancelled_caught or (answer and b'"error"' not in answer):
            self._history.blame(f"a message that is too large got no error over {scheme}: {answer[:100]}")


async def _refusal(uri: str) -> bytes:
    """What a server says to a message that is too large."""
    if not urlsplit(uri).scheme.endswith("http"):
        dialled: Any = dial(uri)
        async with dialled as channel:
            await channel.send(TOO_LARGE)
            return bytes(await channel.receive())
    where = uri.removeprefix("sse+")
    async with httpx2.AsyncClient(timeout=None) as client:
        response = await client.post(where if where == uri else f"{where}/messages/", content=TOO_LARGE)
        return response.content


async def settled(base: dict[str, int]) -> dict[str, int]:
    """What this process holds once it holds no more than before, or after 20 s."""
    with anyio.move_on_after(20):  # nobody tells when the last socket has closed
        while (now := weight())["descriptors"] > base["descriptors"] or now["tasks"] > base["tasks"]:  # noqa: ASYNC110
            await anyio.sleep(0.25)
    return weight()


async def ask_server(uri: str, tool: str) -> dict[str, int]:
    """What a server says of itself."""
    async with mcpc.Client(uri) as client:
        result: Any = await client.call_tool(tool, {})
    return result.structured_content


async def check_server(scheme: str, server: Process, base: dict[str, int], history: History) -> None:
    """A server that everybody has left holds what it held in the beginning."""
    now = dict[str, int]()
    with anyio.move_on_after(PATIENCE) as scope:
        while True:
            with contextlib.suppress(*EXPECTED):  # it may be starving still
                now = await ask_server(server.uri, "weigh")
            if (
                now
                and all(now[what] <= base[what] + SPARE for what in ("descriptors", "tasks"))
                and _is_light(now, base)
            ):
                break
            await anyio.sleep(1)
    if now:
        history.outcomes.update({f"{what} in the end: {scheme} server": grown for what, grown in _growth(now, base)})
    if scope.cancelled_caught:
        with anyio.move_on_after(PATIENCE):
            history.blame(
                f"the {scheme} server held {base} and holds {now}: {await ask_server(server.uri, 'name_tasks')}"
            )


def _is_light(now: dict[str, int], base: dict[str, int]) -> bool:
    return now["held"] - base["held"] <= HELD and now["bytes"] - base["bytes"] <= GROWTH


def _growth(now: dict[str, int], base: dict[str, int]) -> Iterator[tuple[str, int]]:
    for what in ("bytes", "held"):
        yield {"bytes": "MiB more", "held": "MiB held more"}[what], round((now[what] - base[what]) / 2**20)


@contextlib.asynccontextmanager
async def serving(history: History, seed: int) -> AsyncGenerator[list[str]]:
    """Servers behind relays, disturbed; the addresses of all, with memory and stdio, which nothing comes between."""
    with tempfile.TemporaryDirectory() as folder:
        servers = {scheme: Process(uri.format(folder=folder, port=0)) for scheme, uri in ADDRESSES.items()}
        async with contextlib.AsyncExitStack() as stack:
            relays, bases = dict[str, Relay](), dict[str, dict[str, int]]()
            dialled = [f"stdio:{sys.executable} {SERVER} stdio:"]
            for scheme, server in servers.items():
                await server.start()
                stack.callback(server.end)
                bases[scheme] = await ask_server(server.uri, "weigh")
                relays[scheme] = Relay(server.uri, folder)
                dialled.append(await stack.enter_async_context(relays[scheme].open()))
            listener = await stack.enter_async_context(mcpc.listen(make_server(), "memory://soak"))
            dialled.append(listener.uri)
            async with anyio.create_task_group() as group:
                group.start_soon(Disturbance(servers, relays, history, seed).go_on)
                yield dialled
                group.cancel_scope.cancel()
            for scheme, server in servers.items():
                await check_server(scheme, server, bases[scheme], history)


async def soak(seconds: float, seed: int, clients: int) -> History:
    """Run it all; what was seen."""
    history, chance = History(), random.Random(seed)
    await anyio.to_thread.run_sync(lambda: None)  # its thread is there before we count
    base = weight()
    async with serving(history, seed) as addresses:
        loaded = weight()  # each scheme was dialled once: what that loads is no growth
        base |= {"bytes": loaded["bytes"], "held": loaded["held"]}
        until = anyio.current_time() + seconds
        stdio, *others = addresses
        async with anyio.create_task_group() as group:
            for number in range(clients):
                uri = stdio if number % 20 == 0 else others[number % len(others)]  # each of stdio is a process
                group.start_soon(Worker(uri, history, random.Random(chance.random())).run, until)
    now = await settled(base)
    for what in ("descriptors", "tasks"):
        if now[what] > base[what]:
            history.blame(f"{now[what]} {what} in the end, {base[what]} in the beginning")
    grown = dict(_growth(now, base))
    if not _is_light(now, base):
        history.blame(f"the clients have grown: {grown}")
    history.outcomes.update({f"{what} in the end: clients": more for what, more in grown.items()})
    return history


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    options.add_argument("--seed", type=int, default=1, help="of the faults and of what clients do (1)")
    options.add_argument("--clients", type=int, default=200, help="how many (200)")
    given = options.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    logging.getLogger("mcpc").setLevel(logging.CRITICAL)
    history = anyio.run(soak, given.seconds, given.seed, given.clients)
    for title, counts in (("faults", history.faults), ("outcomes", history.outcomes)):
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    for count, what in sorted(((count, what) for what, count in Counter(history.wrong).items()), reverse=True)[:40]:
        print(f"WRONG ({count} times): {what}")
    print("nothing is wrong" if not history.wrong else f"{len(history.wrong)} times something is wrong")
    return bool(history.wrong)


if __name__ == "__main__":
    sys.exit(main())

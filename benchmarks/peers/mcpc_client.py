# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The client of `mcpc`: one function a scenario. The listener is a plain function that counts."""

import asyncio
import contextlib
import functools
import os
import shlex
import statistics
import sys
import tempfile
import time
from urllib.parse import urlsplit, urlunsplit

import anyio
import kit
import left_behind
import mcp
import mcpc_server
import replicas
import sampling
import starting
import watching

import mcpc
import relay
from mcpc.client import sep2663_follow

SERVER = kit.here("mcpc_server.py")


@contextlib.asynccontextmanager
async def serving(todo: kit.Job):
    """Where to connect, and the process of the server (None where it is not one of its own)."""
    if todo.transport == "stdio":
        yield f"stdio:{shlex.join([sys.executable, SERVER, todo.argument()])}", None
    elif todo.transport == "memory":
        async with mcpc.listen(mcpc_server.make_server(todo), mcpc_server.URIS["memory"]) as listener:
            yield listener.uri, None
    elif todo.run == "worker":
        with replicas.Replicas(todo) as process:
            yield process.uri, process
    else:
        with tempfile.TemporaryDirectory() as folder, kit.ServerProcess(SERVER, todo, path=f"{folder}/s") as process:
            yield process.uri, process


@contextlib.asynccontextmanager
async def connected(uri: str, count: int, **options):
    """That many clients of one server."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(mcpc.Client(uri, **options)) for _ in range(count)]


class Counter:
    """Counts the updates of one client, in whichever arrivals are current."""

    def __init__(self, client: mcpc.Client, todo: kit.Job) -> None:
        self.client = client
        self.size = todo.size
        self.rate = todo.rate
        self.shape = todo.shape
        self.tool = "flood_in_thread" if todo.worker == "sync" else "flood"
        self.handle = None
        self.arrivals = kit.Arrivals(0)
        self._listen()

    def _listen(self) -> None:
        """Listen in the way that is measured."""
        add = self.client.add_event_listener
        if self.shape == "async for":
            return
        if self.shape == "async listener":
            add(self._count_later)
        elif self.shape == "one filter":
            add(self._count, event="update")
        else:
            add(self._count)
        if self.shape == "ten listeners":
            for _ in range(9):
                add(lambda message: None)

    async def _count_later(self, message: mcpc.MCPCMessage) -> None:
        self._count(message)

    def _count(self, message: mcpc.MCPCMessage) -> None:
        if message.event == "update":
            self.arrivals.take(message.result["n"])

    async def once(self, count: int, gated: bool = False) -> tuple:
        """Let one task send `count` updates."""
        self.arrivals = kit.Arrivals(count)
        started = kit.CLOCK()
        await self.begin(count, gated)
        await self.arrivals.wait()
        return self.arrivals, started

    async def begin(self, count: int, gated: bool = False) -> None:
        """Start the task."""
        arguments = {"count": count, "size": self.size, "rate": self.rate, "gated": gated}
        capacity = {"capacity": count + 10} if self.shape == "async for" else {}
        handle = await self.client.start_task(self.tool, arguments, **capacity)
        if self.shape == "dropped":
            return
        self.handle = handle
        if self.shape == "async for":
            self.iterating = asyncio.ensure_future(self._iterate(handle))

    async def _iterate(self, handle: mcpc.TaskHandle) -> None:
        async for message in handle:
            self._count(message)


async def throughput(todo: kit.Job) -> dict:
    """One connection, one task."""
    async with serving(todo) as (uri, _), connected(uri, 1) as (client,):
        counter = Counter(client, todo)
        with sampling.profiled(todo, "client"):
            return await kit.throughput(todo, counter.once)


async def connections(todo: kit.Job) -> dict:
    """Many connections, one task each; all begin together."""
    kit.allow_files()
    async with serving(todo) as (uri, _), contextlib.AsyncExitStack() as stack:
        began = time.process_time()
        clients = await stack.enter_async_context(connected(uri, todo.connections))
        set_up = (time.process_time() - began) * 1e6 / todo.connections
        counters = [Counter(client, todo) for client in clients]

        async def once(count: int) -> tuple:
            each = max(1, count // len(counters))
            for counter in counters:
                counter.arrivals = kit.Arrivals(each)
            await asyncio.gather(*[counter.begin(each, gated=True) for counter in counters])
            started = kit.CLOCK()
            await clients[0].call_tool("go", {})
            total = kit.Total([counter.arrivals for counter in counters])
            await total.wait()
            return total, started

        return {**await kit.throughput(todo, once), "set_up_us": set_up}


async def latency(todo: kit.Job) -> dict:
    """From the sending in the server to the call of the listener."""
    async with serving(todo) as (uri, _), connected(uri, 1) as (client,):
        arrivals = kit.Latencies(todo.count)

        def listener(message: mcpc.MCPCMessage) -> None:
            if message.event == "update":
                arrivals.take_at(message.result["n"], message.result["t"])

        client.add_event_listener(listener)
        await client.start_task("flood", {"count": todo.count, "size": todo.size, "rate": todo.rate})
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


async def tailed(todo: kit.Job) -> dict:
    """The same for many channels, all of them tailed by one server."""
    kit.allow_files()
    async with serving(todo) as (uri, process), connected(uri, todo.connections) as clients:
        arrivals = [kit.Latencies(todo.count) for _ in clients]
        times: list = []
        waiting = set(range(len(clients)))

        def take(number: int, message: mcpc.MCPCMessage) -> None:
            if message.result is None:
                waiting.discard(number)
            else:
                arrivals[number].take_at(message.result["n"], message.result["t"])

        for number, client in enumerate(clients):
            arrivals[number].times = times  # in the order in which they come
            client.add_event_listener(functools.partial(take, number), event="update")
            phase = number / todo.connections / todo.rate
            arguments = {"count": todo.count, "size": todo.size, "rate": todo.rate, "phase": phase}
            await client.start_task("tick", arguments)
        await kit.until(lambda: not waiting)
        busy = kit.CpuTime(todo.engine)
        process.begin()
        total = kit.Total(arrivals)
        await total.wait()
        return {**kit.percentiles(times), **busy.report(total.count), **total.report()}


async def roundtrip(todo: kit.Job) -> dict:
    """Calls of a plain tool, one after the other."""
    if todo.transport == "memory" and not todo.bare:
        return await _calls(todo, mcpc.Client(mcpc_server.make_server(todo)))  # as people write it
    async with serving(todo) as (uri, _):
        # `bare`: the SDK's own client on our transport, to tell the client's cost from the transport's.
        return await _calls(todo, mcp.Client(mcpc.connect(uri)) if todo.bare else mcpc.Client(uri))


async def _calls(todo: kit.Job, client: mcp.Client) -> dict:
    async with client:
        return await kit.round_trips(todo, lambda: client.call_tool("add", {"a": 1, "b": 2}))


async def fanout(todo: kit.Job) -> dict:
    """Events to every connection, each with our own client."""
    async with serving(todo) as (uri, _), connected(uri, todo.connections) as clients, mcpc.Client(uri) as caller:
        counters = [kit.Arrivals(0) for _ in clients]

        def listen(index: int) -> None:
            clients[index].add_event_listener(lambda m: counters[index].take(m.result["n"]), event="notice")

        for index in range(len(clients)):
            listen(index)

        async def once(count: int) -> tuple:
            counters[:] = [kit.Arrivals(count) for _ in clients]
            started = kit.CLOCK()
            await caller.call_tool("broadcast", {"count": count, "size": todo.size})
            total = kit.Total(counters)
            await total.wait()
            return total, started

        return await kit.fan_out(todo, once)


async def memory(todo: kit.Job) -> dict:
    """What the server holds for each idle connection."""
    async with serving(todo) as (uri, process), connected(uri, 20):
        before = await kit.settled(process.pid)
        async with connected(uri, todo.connections):
            after = await kit.settled(process.pid)
    return {"bytes": (after - before) / todo.connections}


async def held(todo: kit.Job) -> dict:
    """What the server holds for each task, while it runs or once it has ended."""
    begin = _begin_all if todo.held == "that run" else _end_all
    async with serving(todo) as (uri, process), connected(uri, 1) as (client,):
        await begin(client, 20)
        before = await kit.settled(process.pid)
        await begin(client, todo.tasks)
        after = await kit.settled(process.pid)
        await client.call_tool("go", {})
    return {"bytes": (after - before) / todo.tasks}


async def _begin_all(client: mcpc.Client, number: int) -> None:
    for _ in range(number):
        await client.start_task("finish", {"number": 0, "delay": 0})


async def _end_all(client: mcpc.Client, number: int) -> None:
    for _ in range(number):
        task = await client.start_task("flood", {"count": 0, "size": 0})
        await task.result()


async def resume(todo: kit.Job) -> dict:
    """From the moment that the network fails until the next message is there."""
    async with serving(todo) as (uri, _):
        parts = urlsplit(uri)
        async with relay.Relay(parts.hostname, parts.port) as between:
            through = urlunsplit(parts._replace(netloc=f"127.0.0.1:{between.port}"))
            async with mcpc.Client(through) as client:
                return await _cut_again_and_again(todo, client, between)


async def _cut_again_and_again(todo: kit.Job, client: mcpc.Client, between: relay.Relay) -> dict:
    counter = Counter(client, todo)
    counter.arrivals = kit.Arrivals(todo.count)
    await counter.begin(todo.count)
    times = []
    for _ in range(todo.cuts):
        await asyncio.sleep(0.25)
        times.append(await _cut(counter, between) / 1e6)
    await counter.arrivals.wait()
    return {"p50": statistics.median(times), "max": max(times), "cuts": len(times), **counter.arrivals.report()}


async def _cut(counter: Counter, between: relay.Relay) -> int:
    """Nanoseconds until a message came over a new connection."""
    accepted, cut_at = between.accepted, kit.CLOCK()
    between.cut()
    with anyio.fail_after(20):
        await kit.until(lambda: between.accepted > accepted)
        count = counter.arrivals.count
        await kit.until(lambda: counter.arrivals.count > count)
    return kit.CLOCK() - cut_at


async def tasks(todo: kit.Job) -> dict:
    """The same number of messages from more and more tasks."""
    async with serving(todo) as (uri, _), connected(uri, 1) as (client,):
        arrivals: dict = {}
        client.add_event_listener(lambda m: arrivals[m.task_id].take(m.result["n"]), event="update")
        await _run_tasks(todo, client, arrivals, 1, 1000)  # warms up
        return await _run_tasks(todo, client, arrivals, todo.tasks, max(1, todo.count // todo.tasks))


async def _run_tasks(todo: kit.Job, client: mcpc.Client, arrivals: dict, number: int, each: int) -> dict:
    arrivals.clear()
    began = kit.CLOCK()
    for _ in range(number):
        arguments = {"count": each, "size": todo.size, "gated": True, "rate": todo.rate}
        handle = await client.start_task("flood", arguments)
        arrivals[handle.task_id] = kit.Arrivals(each)
    busy, started = kit.CpuTime(), kit.CLOCK()
    await client.call_tool("go", {})
    total = kit.Total(list(arrivals.values()))
    await total.wait()
    rate = total.count / (total.finished - started) * 1e9
    return {"rate": rate, "starts": number / (started - began) * 1e9, **busy.report(total.count), **total.report()}


async def results(todo: kit.Job) -> dict:
    """Calls of a tool with a large result, one after the other."""
    async with serving(todo) as (uri, _), connected(uri, 1) as (client,):
        return await kit.round_trips(todo, lambda: client.call_tool("blob", {"size": todo.size}))


async def endings(todo: kit.Job) -> dict:
    """Tasks that all end at once: what each end costs, until the last one is told of."""
    async with serving(todo) as (uri, _), connected(uri, 1) as (client,):
        arrivals = kit.Arrivals(todo.tasks)
        ended: set = set()

        def listener(message: mcpc.MCPCMessage) -> None:
            if message.result["n"] not in ended:  # they end in whatever order the loop has
                ended.add(message.result["n"])
                arrivals.take(len(ended) - 1)

        client.add_event_listener(listener, event="complete")
        for number in range(todo.tasks):
            await client.start_task("finish", {"number": number, "delay": 0})
        busy, started = kit.CpuTime(), kit.CLOCK()
        await client.call_tool("go", {})
        await arrivals.wait()
        each = (arrivals.finished - started) / 1e3 / todo.tasks
        return {"each_us": each, **busy.report(todo.tasks), **arrivals.report()}


async def first_call(todo: kit.Job) -> dict:
    """From dialling to the answer of the first call, over a network that takes its time."""
    async with serving(todo) as (uri, _):
        parts = urlsplit(uri)
        async with relay.Relay(parts.hostname, parts.port, todo.delay) as between:
            through = urlunsplit(parts._replace(netloc=f"127.0.0.1:{between.port}"))
            times = []
            for number in range(todo.count + 1):
                started = kit.CLOCK()
                async with mcpc.Client(through) as client:
                    await client.call_tool("add", {"a": 1, "b": 2})
                    if number:  # the first one warms up
                        times.append((kit.CLOCK() - started) / 1e9)
    middle = statistics.median(times)
    round_trips = middle / (2 * todo.delay)
    return {"milliseconds": 1000 * middle, "round_trips": round_trips, "before": round(round_trips) - 1}


async def begun(todo: kit.Job) -> dict:
    """Imports and servers, begun anew again and again: nothing else runs meanwhile."""
    return starting.measured(todo.count)


async def watched(todo: kit.Job) -> dict:
    """What the hooks of tracing and metrics cost where nobody uses them."""
    return await watching.measured(todo)


async def disk(todo: kit.Job) -> dict:
    """What the store's files are like after so many updates, while the server goes on."""
    with tempfile.TemporaryDirectory() as folder, kit.ServerProcess(SERVER, todo, path=f"{folder}/s") as process:
        async with connected(process.uri, 1) as (client,):
            arrivals, _ = await Counter(client, todo).once(todo.count)
            sizes = [os.stat(f"{folder}/s.db{suffix}").st_size for suffix in ("", "-wal")]
    return {"file": sizes[0], "journal": sizes[1], **arrivals.report()}


async def restart(todo: kit.Job) -> dict:
    """From the start of a process to its first answer, with a store as a killed one has left it."""
    with tempfile.TemporaryDirectory() as folder:
        await left_behind.leave(todo.store.format(path=f"{folder}/s"), todo.connections, todo.tasks)
        started = kit.CLOCK()
        with kit.ServerProcess(SERVER, todo, path=f"{folder}/s") as process:
            async with mcpc.Client(process.uri) as client:
                await client.call_tool("add", {"a": 1, "b": 2})
                took = (kit.CLOCK() - started) / 1e6
            left = await left_behind.running(todo.store.format(path=f"{folder}/s"), todo.tasks)
    if left:
        raise RuntimeError(f"{left} tasks of a process that is gone have not ended")
    return {"milliseconds": took}


async def completion(todo: kit.Job) -> dict:
    """From the end of a task in the server to the call of the listener, in each way to learn of it."""
    if todo.follow == "polled":
        sep2663_follow.MAX_STREAMS = 0  # as for a task beyond the bound of subscriptions
    async with serving(todo) as (uri, _), connected(uri, 2) as (owner, other):
        client = owner if todo.follow == "callback" else other
        arrivals = kit.Latencies(todo.count)
        client.add_event_listener(lambda m: arrivals.take_at(m.result["n"], m.result["t"]), event="complete")
        for number in range(todo.count):
            task = await owner.start_task("finish", {"number": number, "delay": number / todo.count})
            if client is other:
                await other.task(task.task_id)
        await owner.call_tool("go", {})
        await arrivals.wait()
        return {**kit.percentiles(arrivals.times), **arrivals.report()}


SCENARIOS = {
    "throughput": throughput,
    "payloads": throughput,
    "shapes": throughput,
    "results": results,
    "endings": endings,
    "first call": first_call,
    "held": held,
    "starting": begun,
    "connections": connections,
    "latency": latency,
    "tailed": tailed,
    "roundtrip": roundtrip,
    "fanout": fanout,
    "memory": memory,
    "resume": resume,
    "tasks": tasks,
    "completion": completion,
    "disk": disk,
    "restart": restart,
    "watching": watched,
}


async def main(todo: kit.Job) -> dict:
    """Run the scenario that was asked for."""
    return await SCENARIOS[todo.scenario](todo)


if __name__ == "__main__":
    kit.run(main)

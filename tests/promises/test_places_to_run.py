"""Clients and servers run where people run them: on uvloop, whole; in one loop after the other; in any number, closed
in any order."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from support import TEMPLATES, make_server, serving

DEADLINE = 60
SCHEMES = [scheme for scheme in TEMPLATES if scheme not in ("wss", "https", "sse+https")]


async def use(uri: str) -> list[Any]:
    """A task on the loop, one in a thread, a question and a stop, over one connection."""
    async with mcpc.Client(uri) as client:
        client.on_prompt(lambda prompt: "a")
        results = [await (await client.start_task(name, {"n": 5})).result() for name in ("count", "count_in_thread")]
        answered = await (await client.start_task("ask")).result()
        stopped = await client.start_task("wait_for_input")
        await stopped.stop()
        with pytest.raises(mcpc.TaskStopped):
            await stopped.result()
        return [*results, answered]


USED = [{"rows": 5}, {"rows": 5}, {"answer": "a"}]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_transport_works_on_uvloop(scheme: str, tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> list[Any]:
        with anyio.fail_after(DEADLINE):
            async with serving(scheme, tmp_path) as served:
                return await use(served.uri)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == USED


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_server_object_is_served_in_one_loop_after_the_other(backend: str) -> None:
    server = make_server(shutdown_grace=0.0)

    async def main() -> list[Any]:
        with anyio.fail_after(DEADLINE):
            async with mcpc.listen(server, "memory://places") as listener:
                async with mcpc.Client(listener.uri) as client:
                    await client.start_task("wait_for_input")  # left while it runs
                    return await use(listener.uri)

    for _ in range(3):
        assert anyio.run(main, backend=backend) == USED


@pytest.mark.anyio
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
async def test_clients_are_left_in_any_order_and_the_others_go_on(order: tuple[int, ...]) -> None:
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(make_server(), "memory://places") as listener:
            clients = [mcpc.Client(listener.uri) for _ in order]
            for client in clients:
                await client.__aenter__()
            here = set(order)
            for leaves in order:
                await clients[leaves].__aexit__(None, None, None)
                here.remove(leaves)
                for stays in here:
                    task = await clients[stays].start_task("count", {"n": 2})
                    assert await task.result() == {"rows": 2}

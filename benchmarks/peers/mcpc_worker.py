# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The worker of `mcpc`: the tasks of our server, in a process of their own."""

import sys

import anyio
import kit
import mcpc_server
import sampling

import mcpc


async def main(todo: kit.Job) -> None:
    """Work until we are told to end."""
    server = mcpc_server.make_server(todo)

    async def work() -> None:
        await mcpc.work(server, concurrency=mcpc_server.most_tasks(todo), on_ready=lambda _: kit.announce("a worker"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await mcpc_server.until_told_to_end()
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    given = kit.job()
    with sampling.profiled(given, "worker"):
        anyio.run(main, given, backend_options={"use_uvloop": given.uvloop})
    sys.exit(0)

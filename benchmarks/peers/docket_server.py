# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A worker of Docket, which FastMCP's background tasks run on: a task reports its progress as a message."""

import asyncio
import json
import logging

import kit
from docket import Docket, Progress, Worker

NAME = "bench"


async def flood(count: int, size: int, rate: float, progress: Progress = Progress()) -> None:  # noqa: B008 - so asked for
    """Report `count` times."""
    pad, pace = kit.padding(size), kit.Pace(rate)
    for number in range(count):
        if rate:
            await pace.wait()
        await progress.set_message(json.dumps(kit.message(number, kit.CLOCK(), pad), separators=(",", ":")))


async def main(todo: kit.Job) -> None:
    """Work until we are ended."""
    logging.disable(logging.WARNING)
    async with Docket(name=NAME, url=todo.store) as docket:
        docket.register(flood)
        async with Worker(docket) as worker:
            kit.announce(todo.store)
            await worker.run_forever()


if __name__ == "__main__":
    asyncio.run(main(kit.job()))

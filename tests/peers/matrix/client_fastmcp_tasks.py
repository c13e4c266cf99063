# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""FastMCP's client with its tasks: a background tool is a task of the tasks extension, followed by its handle."""

import asyncio
import sys

from fastmcp import Client
from fastmcp_tasks import call_tool_task
from scenario import play

ORDINARY = {"reached", "was_stopped"}


async def main(uri):
    current = []

    async def elicit(message, response_type, params, context):
        return current[-1].ask(message)

    async with Client(uri, elicitation_handler=elicit) as client:

        async def call(name, arguments, seen):
            current.append(seen)
            if name in ORDINARY:
                return await client.call_tool(name, arguments)
            task = await call_tool_task(client, name, arguments)
            try:
                result = await task.result()
            except asyncio.CancelledError:
                await task.cancel()
                raise
            seen.updates.append((await task.status()).status_message)
            return result

        async def has_handle():
            task = await call_tool_task(client, "survey", {})
            status = (await task.status()).status
            await task.cancel()
            return status == "working" and "its own handle"

        await play(call, "fastmcp-tasks", has_handle)


asyncio.run(main(sys.argv[1]))

# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""FastMCP's client."""

import asyncio
import sys

from fastmcp import Client
from scenario import play


async def main(uri):
    current = []

    async def elicit(message, response_type, params, context):
        return current[-1].ask(message)

    async with Client(uri, elicitation_handler=elicit) as client:

        async def call(name, arguments, seen):
            current.append(seen)
            return await client.call_tool(name, arguments, progress_handler=seen.progress)

        await play(call, "fastmcp")


asyncio.run(main(sys.argv[1]))

# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The SDK's version 2, in the era that is named."""

import asyncio
import sys

from mcp import Client
from mcp_types import ElicitResult
from scenario import play


async def main(uri, mode):
    current = []

    async def elicit(context, params):
        return ElicitResult(action="accept", content=current[-1].ask(params.message))

    async with Client(uri, mode=mode, elicitation_callback=elicit) as client:

        async def call(name, arguments, seen):
            current.append(seen)
            return await client.call_tool(name, arguments, progress_callback=seen.progress)

        await play(call, f"mcp2 {mode}")


asyncio.run(main(*sys.argv[1:]))

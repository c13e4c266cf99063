# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The SDK's version 1."""

import asyncio
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ElicitResult
from scenario import play


async def main(uri):
    current = []

    async def elicit(context, params):
        return ElicitResult(action="accept", content=current[-1].ask(params.message))

    async with (
        streamablehttp_client(uri) as (read, write, _),
        ClientSession(read, write, elicitation_callback=elicit) as session,
    ):
        await session.initialize()

        async def call(name, arguments, seen):
            current.append(seen)
            return await session.call_tool(name, arguments, progress_callback=seen.progress)

        await play(call, "mcp1")


asyncio.run(main(sys.argv[1]))

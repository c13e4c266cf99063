# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""pydantic-ai's toolset."""

import asyncio
import sys

from pydantic_ai.mcp import MCPToolset
from scenario import play


async def main(uri):
    current = []

    async def elicit(message, response_type, params, context):
        return current[-1].ask(message)

    async def progress(*told):
        await current[-1].progress(*told)

    async with MCPToolset(uri, elicitation_handler=elicit, progress_handler=progress) as toolset:

        async def call(name, arguments, seen):
            current.append(seen)
            return await toolset.direct_call_tool(name, arguments)

        await play(call, "pydantic-ai")


asyncio.run(main(sys.argv[1]))

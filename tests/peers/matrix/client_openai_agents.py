# type: ignore
"""openai-agents' server over Streamable HTTP, with its timeout of 5 seconds."""

import asyncio
import sys

from agents.mcp import MCPServerStreamableHttp
from scenario import play


async def main(uri):
    async with MCPServerStreamableHttp({"url": uri}) as server:

        async def call(name, arguments, seen):
            return await server.call_tool(name, arguments)

        await play(call, "openai-agents")


asyncio.run(main(sys.argv[1]))

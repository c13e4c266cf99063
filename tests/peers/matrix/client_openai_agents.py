# type: ignore
"""openai-agents' server over Streamable HTTP, with its timeout of 5 seconds."""

import asyncio
import inspect
import sys

from agents.mcp import MCPServerStreamableHttp
from scenario import play

assert "elicit" not in str(inspect.signature(MCPServerStreamableHttp)), "it can be asked now: give it a handler"


async def main(uri):
    current = []

    async def heard(message):
        if getattr(message, "method", "") == "notifications/progress":
            await current[-1].progress(message.params.progress, message.params.total, message.params.message)

    async with MCPServerStreamableHttp({"url": uri}, message_handler=heard) as server:

        async def call(name, arguments, seen):
            current.append(seen)
            # It asks for no progress by itself.
            return await server.call_tool(name, arguments, meta={"progressToken": name})

        await play(call, "openai-agents")


asyncio.run(main(sys.argv[1]))

# type: ignore
"""LlamaIndex' basic client."""

import asyncio
import sys

from llama_index.tools.mcp import BasicMCPClient
from scenario import play


async def main(uri):
    client = BasicMCPClient(uri)

    async def call(name, arguments, seen):
        return await client.call_tool(name, arguments, progress_callback=seen.progress)

    await play(call, "llama-index")


asyncio.run(main(sys.argv[1]))

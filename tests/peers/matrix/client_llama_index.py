# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""LlamaIndex' basic client."""

import asyncio
import inspect
import sys

from llama_index.tools.mcp import BasicMCPClient
from scenario import play

assert "elicit" not in str(inspect.signature(BasicMCPClient)), "it can be asked now: give it a handler"


async def main(uri):
    client = BasicMCPClient(uri)

    async def call(name, arguments, seen):
        return await client.call_tool(name, arguments, progress_callback=seen.progress)

    await play(call, "llama-index")


asyncio.run(main(sys.argv[1]))

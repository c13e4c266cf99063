# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""openai-agents' server over Streamable HTTP."""

import asyncio
import inspect
import sys

from agents.mcp import MCPServerStreamableHttp
from scenario import play

parameters = inspect.signature(MCPServerStreamableHttp).parameters
assert not any("elicit" in name for name in parameters), "it can be asked now: give it a handler"
assert parameters["client_session_timeout_seconds"].default == 5, "the page says that it waits five seconds"


async def main(uri):
    current = []

    async def heard(message):
        if getattr(message, "method", "") == "notifications/progress":
            await current[-1].progress(message.params.progress, message.params.total, message.params.message)

    # A slow machine is no reason for it to give up: what is seen is what it can do.
    patience = {"client_session_timeout_seconds": 120}
    async with MCPServerStreamableHttp({"url": uri, "timeout": 120}, message_handler=heard, **patience) as server:

        async def call(name, arguments, seen):
            current.append(seen)
            # It asks for no progress by itself.
            return await server.call_tool(name, arguments, meta={"progressToken": name})

        await play(call, "openai-agents")


asyncio.run(main(sys.argv[1]))

# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""langchain-mcp-adapters: tools of LangChain."""

import asyncio
import sys

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp.types import ElicitResult
from scenario import play


async def main(uri):
    current = []

    async def elicit(mcp_context, params, context):
        return ElicitResult(action="accept", content=current[-1].ask(params.message))

    async def progress(*told):
        await current[-1].progress(*told)

    client = MultiServerMCPClient(
        {"matrix": {"transport": "streamable_http", "url": uri}},
        callbacks=Callbacks(on_progress=progress, on_elicitation=elicit),
    )
    tools = {tool.name: tool for tool in await client.get_tools()}

    async def call(name, arguments, seen):
        current.append(seen)
        return await tools[name].ainvoke(arguments)

    await play(call, "langchain")


asyncio.run(main(sys.argv[1]))

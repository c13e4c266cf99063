# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""google-adk's toolset; its tools are run as an agent runs them."""

import asyncio
import sys
from unittest import mock

from google.adk.tools.mcp_tool.mcp_session_manager import StreamableHTTPConnectionParams
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
from google.adk.tools.tool_context import ToolContext
from scenario import play


async def main(uri):
    current = []

    async def elicit(context, params):
        from mcp.types import ElicitResult

        return ElicitResult(action="accept", content=current[-1].ask(params.message))

    async def progress(*told):
        await current[-1].progress(*told)

    toolset = McpToolset(
        connection_params=StreamableHTTPConnectionParams(url=uri, timeout=120),
        progress_callback=progress,
        elicitation_callback=elicit,
    )
    tools = {tool.name: tool for tool in await toolset.get_tools()}
    context = mock.MagicMock(spec=ToolContext)

    async def call(name, arguments, seen):
        current.append(seen)
        return await tools[name].run_async(args=arguments, tool_context=context)

    await play(call, "google-adk")
    await toolset.close()


asyncio.run(main(sys.argv[1]))

"""A server made with the original mcpc 0.2.1 and mcp 1.6, after its own description."""

import asyncio
import uuid

from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.types import TextContent, Tool
from mcpc import MCPCHelper

helper = MCPCHelper("original-server")
server = Server("original-server")


@server.list_tools()
async def list_tools():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    return [Tool(name="count", description="Count.", inputSchema=schema)]


@server.call_tool()
async def call_tool(name, arguments):
    metadata = arguments.pop("_metadata", {})
    about = {
        "type": "task",
        "tool_name": name,
        "session_id": metadata.get("mcpc_session_id", "default"),
        "task_id": metadata.get("mcpc_task_id", str(uuid.uuid4())),
    }
    if name == "is_mcpc_enabled":
        return [TextContent(type="text", text=helper.get_protocol_info().model_dump_json())]
    if name != "count":
        raise ValueError(f"Unknown tool: {name}")

    async def work():
        for i in range(arguments["n"]):
            await helper.send_direct(
                helper.create_message(event="update", result={"progress": i + 1}, **about).model_dump_json()
            )
        await helper.send_direct(
            helper.create_message(event="complete", result={"rows": arguments["n"]}, **about).model_dump_json()
        )
        helper.cleanup_task(about["task_id"])

    helper.start_task(about["task_id"], work)
    created = helper.create_message(event="created", result="started", **about)
    return [TextContent(type="text", text=created.model_dump_json())]


async def main():
    async with stdio_server() as streams:
        await server.run(*streams, server.create_initialization_options())


asyncio.run(main())

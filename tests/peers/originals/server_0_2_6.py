"""A server made with the original mcpc 0.2.6 and mcp 1.6's FastMCP."""

from mcp.server import FastMCP
from mcpc import MCPCHelper, MCPCToolParameters

server = FastMCP("original-server")
helper = MCPCHelper(server)


@server.tool()
async def count(n: int, mcpc_params: MCPCToolParameters = MCPCToolParameters()):
    """Count."""
    about = {"tool_name": "count", "session_id": mcpc_params.session_id, "task_id": mcpc_params.task_id}

    async def work():
        for i in range(n):
            yield helper.create_task_event(event="update", result={"progress": i + 1}, **about)
        yield helper.create_task_event(event="complete", result={"rows": n}, **about)

    collected = await helper.start_task(mcpc_params.task_id, work)
    created = helper.create_task_event(event="created", result="started", **about)
    return helper.messages_to_text_content([created, *collected])


server.run()

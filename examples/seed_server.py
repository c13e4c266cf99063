"""The server of mcpc 0.2's description, on the SDK's version 2, over any transport.

What changed there: handlers are given to `Server` instead of being decorated, and `mcpc.run` serves it where
`stdio_server()` did. `send_direct` then reaches the client over whatever transport is in use.

python examples/seed_server.py                                       over stdin and stdout
python examples/seed_server.py --serve ws://127.0.0.1:8765/mcp
"""

import sys
import uuid
from typing import Any

import anyio
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

import mcpc

PROVIDER_NAME = "my-processor"
helper = mcpc.MCPCHelper(PROVIDER_NAME)

PROCESS_DATA = Tool(
    name="process_data",
    description="Process data with real-time progress updates.",
    input_schema={
        "type": "object",
        "properties": {"data_id": {"type": "string"}, "process_type": {"type": "string"}},
        "required": ["data_id"],
    },
)


async def list_tools(ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[PROCESS_DATA])


async def call_tool(ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
    arguments = dict(params.arguments or {})
    metadata = arguments.pop("_metadata", {})
    session_id = metadata.get("mcpc_session_id", "default")
    task_id = metadata.get("mcpc_task_id", str(uuid.uuid4()))
    if params.name != "process_data":
        raise ValueError(f"unknown tool: {params.name}")
    data_id = arguments["data_id"]

    def message(event: str, result: Any) -> mcpc.MCPCMessage:
        return helper.create_message(
            type="task",
            event=event,
            tool_name="process_data",
            session_id=session_id,
            task_id=task_id,
            result=result,
        )

    async def send(event: str, result: Any) -> None:
        await helper.send_direct(message(event, result).model_dump_json())

    async def process_data_task() -> None:
        try:
            await send("update", "Starting data processing")
            for step in range(1, 6):
                await send("update", {"status": f"Processing step {step}/5", "progress": step / 5 * 100})
                await anyio.sleep(0.1)
            await send("complete", {"status": "Complete", "data_id": data_id})
        except Exception as e:
            await send("failed", f"Error: {e}")
        finally:
            helper.cleanup_task(task_id)

    helper.start_task(task_id, process_data_task)
    response = message("created", f"Started processing data_id={data_id}. Updates will stream in real-time.")
    return CallToolResult(content=[TextContent(type="text", text=response.model_dump_json())])


server = Server(PROVIDER_NAME, on_list_tools=list_tools, on_call_tool=call_tool)

if __name__ == "__main__":
    mcpc.run(server, sys.argv[2] if sys.argv[1:2] == ["--serve"] else "stdio:")

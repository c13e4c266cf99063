"""A client made with the original mcpc (0.2.1 or 0.2.6) and mcp 1.6: run in its own environment by the tests.

Prints one JSON line for each callback that its listener saw, and one for the answer of the call.
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcpc import MCPCHandler

VERSION, UPDATES, *COMMAND = sys.argv[1:]


async def main() -> None:
    handler = MCPCHandler("original-client")
    done = asyncio.Event()

    async def listener(message) -> None:
        print(json.dumps({"event": message.event, "result": message.result, "task_id": message.task_id}), flush=True)
        if message.event in ("complete", "failed"):
            done.set()

    handler.add_event_listener(listener)
    parameters = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:])
    async with stdio_client(parameters) as streams:
        async with ClientSession(*await handler.wrap_streams(*streams)) as session:
            await session.initialize()
            check = handler.init_mcpc if VERSION == "0.2.6" else handler.check_mcpc_support
            supported = await check(session)
            print(json.dumps({"supported": supported, "version": handler.protocol_version}), flush=True)
            listed = {tool.name for tool in (await session.list_tools()).tools}
            print(json.dumps({"tools": sorted(listed)}), flush=True)
            arguments = handler.add_metadata({"n": int(UPDATES)}, "chat-1")
            answer = await session.call_tool("count", arguments)
            print(json.dumps({"answer": json.loads(answer.content[0].text)["event"]}), flush=True)
            await asyncio.wait_for(done.wait(), 20)
            plain = await session.call_tool("add", {"a": 1, "b": 2})
            print(json.dumps({"sum": plain.content[0].text}), flush=True)


asyncio.run(main())

"""The client of mcpc 0.2's description, over any transport: `MCPCHandler` around a session of one's own.

python examples/seed_client.py                                the seed server as a child process
python examples/seed_client.py ws://127.0.0.1:8765/mcp        one that is served there
"""

import shlex
import sys
from pathlib import Path

import anyio
from mcp import ClientSession

from mcpc import MCPCHandler, MCPCMessage, connect

mcpc_handler = MCPCHandler("my-provider")
completed = anyio.Event()


async def my_mcpc_listener(mcpc_message: MCPCMessage) -> None:
    print(f"Received MCPC message: {mcpc_message.event} {mcpc_message.result}")
    if mcpc_message.type == "task" and mcpc_message.event == "complete":
        print(f"Task completed with result: {mcpc_message.result}")
        completed.set()


async def main(uri: str) -> None:
    mcpc_handler.add_event_listener(my_mcpc_listener)
    async with connect(uri) as transport:
        wrapped_transport = await mcpc_handler.wrap_streams(*transport)
        async with ClientSession(*wrapped_transport) as session:
            await session.initialize()
            if await mcpc_handler.check_mcpc_support(session):
                print(f"MCPC protocol v{mcpc_handler.protocol_version} supported")
            enhanced_args = mcpc_handler.add_metadata({"data_id": "42"}, "session-1")
            result = await session.call_tool("process_data", enhanced_args)
            print(f"the call has returned: {MCPCMessage.model_validate_json(result.content[0].text).event}")
            with anyio.fail_after(30):
                await completed.wait()


if __name__ == "__main__":
    child = shlex.join([sys.executable, str(Path(__file__).with_name("seed_server.py"))])
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else f"stdio:{child}")

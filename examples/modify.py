"""A task that is changed while it runs: `TaskHandle.send` to `task.inputs()`."""

from typing import Any

import anyio
import command
from mcp.server import MCPServer

import mcpc

server = MCPServer("library", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

DOCUMENTS = [f"{kind}-{number}.pdf" for number in range(50) for kind in ("letter", "invoice")]


@callbacks.tool()
async def parse_documents(task: mcpc.Task) -> dict[str, Any]:
    """Parse every document, or from some point on only those of one kind."""
    parsed: list[str] = []
    focus = ""

    async def obey() -> None:
        nonlocal focus
        async for change in task.inputs():
            focus = change["focus"]
            await task.update(f"from now on only {focus}s")

    # Inputs are read beside the work, so that one takes effect at the next document and not at the end.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(obey)
        for document in DOCUMENTS:
            if document.startswith(focus):
                await anyio.sleep(0.02)
                parsed.append(document)
                await task.update({"status": f"parsed {document}", "n": len(parsed)})
        tasks.cancel_scope.cancel()
    return {"letters": sum(name.startswith("letter") for name in parsed), "parsed": len(parsed), "focus": focus}


async def conversation(client: mcpc.Client) -> None:
    task = await client.start_task("parse_documents")
    async for message in task:
        if isinstance(message.result, dict) and message.result.get("n") == 3:
            print("three documents in: focus on the invoices instead")
            await task.send({"focus": "invoice"})
        elif isinstance(message.result, str):
            print(f"{message.event}: {message.result}")
    result = await task.result()
    print(f"parsed {result['parsed']} of {len(DOCUMENTS)}, focus: {result['focus']}")
    assert result["letters"] < len(DOCUMENTS) / 2


if __name__ == "__main__":
    command.main(server, conversation)

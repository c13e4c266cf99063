"""An agent that acts on what it hears: migration finished -> verify -> table missing -> targeted migration.

`Model` stands where a language model would: it is given a text and the tools, and calls tools. Its rules are a handful
of lines, so that the example runs anywhere; the loop around it is the one that any agent framework needs
(see docs/agents.md).
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import command
from mcp.server import MCPServer

import mcpc

server = MCPServer("database", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

WANTED = ["users", "orders", "invoices"]
present: set[str] = set()


@callbacks.tool()
async def migrate(tables: list[str], task: mcpc.Task) -> dict[str, Any]:
    """Create tables, and tell the conversation when it is over."""
    for table in tables:
        await anyio.sleep(0.05)
        # The fault that somebody has to notice: a big migration loses a table, and does not know it.
        if len(tables) == 1 or table != "invoices":
            present.add(table)
        await task.update(f"created {table}")
    await callbacks.emit("migration_finished", {"tables": tables}, session_id=task.session_id)
    return {"created": len(tables)}


@callbacks.tool()
async def verify() -> dict[str, list[str]]:
    """Say which tables are missing."""
    return {"missing": [table for table in WANTED if table not in present]}


class Model:
    """Rules where a language model would be: what it reads decides which tool it calls next."""

    def __init__(self, tools: Sequence[Callable[..., Awaitable[str]]]) -> None:
        self.tools = {getattr(tool, "__name__", ""): tool for tool in tools}

    async def turn(self, text: str) -> None:
        """Read a text, and act."""
        if text.startswith("user:"):
            await self.start("migrate", {"tables": WANTED})
        if "event migration_finished" in text:
            await self.start("verify", {})
        if '"missing":[]' in text:
            print("model: all tables are there")
        elif '"missing":["invoices"]' in text:
            print("model: invoices is missing, so I create that one alone")
            await self.start("migrate", {"tables": ["invoices"]})

    async def start(self, tool: str, arguments: dict[str, Any]) -> None:
        print(f"  -> {tool} {json.dumps(arguments)}")
        await self.tools["start_task"](tool, json.dumps(arguments))


async def conversation(client: mcpc.Client) -> None:
    async with mcpc.agents.Inbox(client, session_id="ops", settle=0.02) as inbox:
        model = Model(inbox.tools())
        request = "user: migrate users, orders and invoices, and make sure that all are there"
        print(request)
        await model.turn(request)
        async for news in inbox:  # while the model waits here, a person could talk to it: nothing is blocked
            await model.turn(str(news))
    print("nothing is running any more")


if __name__ == "__main__":
    command.main(server, conversation)

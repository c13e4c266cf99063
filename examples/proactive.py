"""A client that acts on what it hears: migration finished -> verify -> table missing -> targeted migration.

`decide` is a handful of rules where a model would be: it is shown what happened and names the next call, or none.
"""

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


@server.tool()
def verify() -> dict[str, list[str]]:
    """Say which tables are missing."""
    return {"missing": [table for table in WANTED if table not in present]}


def decide(happened: str, details: Any) -> tuple[str, dict[str, Any]] | None:
    """The next call, or None when there is nothing left to do."""
    if happened == "migration_finished":
        return "verify", {}
    if happened == "verify" and details["missing"]:
        return "migrate", {"tables": details["missing"][:1]}
    return None


async def conversation(client: mcpc.Client) -> None:
    send, happenings = anyio.create_memory_object_stream[tuple[str, Any]](100)
    # The listener only takes note: what acts on it calls the server, and need not hold up the next message.
    client.add_event_listener(
        lambda message: send.send_nowait((message.event, message.result)), type="server_event", session_id="ops"
    )
    await client.start_task("migrate", {"tables": WANTED}, session_id="ops")
    with send, happenings:
        async for happened, details in happenings:
            print(f"{happened}: {details}")
            step = decide(happened, details)
            if step is None:
                break
            tool, arguments = step
            print(f"  -> {tool} {arguments}")
            task = await client.start_task(tool, arguments, session_id="ops")
            if tool == "verify":
                send.send_nowait((tool, await task.result()))
    print("the database is complete")


if __name__ == "__main__":
    command.main(server, conversation)

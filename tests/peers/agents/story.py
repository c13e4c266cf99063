"""The seed's story, as each framework's agent lives it: migration finished, a table is missing, a targeted migration.

`wanted` stands where a language model would be: rules that read a text and name the tools to call. All else is the
framework's own: its loop, its messages, its calls of tools.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.server import MCPServer

import mcpc
from mcpc.agents import Inbox

__all__ = ["Call", "Turn", "live", "wanted"]

Call = tuple[str, dict[str, str]]
Turn = Callable[[str], Awaitable[None]]
"""One turn of an agent."""

server = MCPServer[Any]("database", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)
present: list[str] = []


@callbacks.tool()
async def migrate(tables: str, task: mcpc.Task) -> dict[str, list[str]]:
    """Create tables. A large migration loses one."""
    names = tables.split()
    for name in names[: max(1, len(names) - 1)]:
        await task.update({"created": name})
        present.append(name)
    if len(names) > 1:
        present.append(f"copies: {await task.ask('Keep the old copies?', choices=['yes', 'no'])}")
    return {"missing": [name for name in names if name not in present]}


def wanted(text: str) -> list[Call]:
    """The tools that a model calls once it has read a text."""
    if text.startswith("Migrate"):
        return [("start_task", {"tool": "migrate", "arguments": json.dumps({"tables": "users orders"})})]
    asked = re.findall(r"asks, question id (\S+):", text)
    calls: list[Call] = [("answer_question", {"question": key, "answer": "no"}) for key in asked]
    if '"missing":["orders"]' in text:
        calls.append(("start_task", {"tool": "migrate", "arguments": json.dumps({"tables": "orders"})}))
    return calls


async def _main(make_turn: Callable[[Inbox], Turn]) -> dict[str, Any]:
    told: list[str] = []
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client, Inbox(client, session_id="ops", settle=0.02) as inbox:
            turn = make_turn(inbox)
            await turn("Migrate users and orders.")
            async for news in inbox:
                told.append(str(news))
                await turn(str(news))
    return {"present": present, "told": "\n".join(told)}


def live(make_turn: Callable[[Inbox], Turn]) -> None:
    """Let an agent live it, and print what came of it as one line of JSON."""
    print(json.dumps(anyio.run(_main, make_turn)))

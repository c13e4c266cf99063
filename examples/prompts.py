"""A task that asks: `task.ask` suspends the worker until the client has answered."""

from typing import Any

import command
from mcp.server import MCPServer

import mcpc

server = MCPServer("restaurant", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)

BRANCHES = {"Mario": ["Mario, Main Street", "Mario, Harbour"]}


@callbacks.tool()
async def book_table(restaurant: str, task: mcpc.Task) -> dict[str, Any]:
    """Book a table; asks where the request leaves something open."""
    branch = restaurant
    if len(BRANCHES.get(restaurant, [])) > 1:
        branch = await task.ask("I found several of that name. Which one?", choices=BRANCHES[restaurant])
    await task.update(f"booking at {branch}")
    # An answer that does not fit is refused at the server, so the worker need not look at it again.
    people = await task.ask("For how many?", schema={"type": "integer", "minimum": 1, "maximum": 8})
    return {"booked": branch, "people": people}


async def conversation(client: mcpc.Client) -> None:
    @client.on_prompt
    async def answer(prompt: mcpc.Prompt) -> Any:
        print(f"asked: {prompt.message} {prompt.choices or ''}".rstrip())
        # Here a person, or a model, would be shown the prompt.
        return prompt.choices[1] if prompt.choices else 4

    task = await client.start_task("book_table", {"restaurant": "Mario"})
    async for message in task:
        # A prompt is an update too; its handler has it already.
        if message.event != "update" or isinstance(message.result, str):
            print(f"{message.event}: {message.result}")


if __name__ == "__main__":
    command.main(server, conversation)

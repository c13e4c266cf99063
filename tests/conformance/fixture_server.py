"""The server that the conformance suite's tasks scenarios ask for: one tool for each thing that they try.

`python tests/conformance/fixture_server.py [URI]` serves it; `run.py` runs the suite against it.
"""

import sys
from typing import Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from pydantic import BaseModel

import mcpc

CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]}
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class UserName(BaseModel):
    """Who the user is."""

    name: str


def ask_name() -> Elicit[UserName]:
    """Asks for the name before there is a task."""
    return Elicit("What is your name?", UserName)


def make_server() -> MCPServer[Any]:
    """The server."""
    server = MCPServer[Any]("mcpc-conformance", version="1.0.0", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.5)

    @server.tool()
    def greet(name: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Greet somebody, at once."""
        return f"Hello, {name}!"

    @callbacks.tool()
    async def slow_compute(seconds: float, task: mcpc.Task, label: str = "") -> str:  # pyright: ignore[reportUnusedFunction]
        """Take some seconds."""
        await task.update({"status": f"computing {label}"})
        await anyio.sleep(seconds)
        return f"{label}: done in {seconds} s"

    @callbacks.tool(task_required=True)
    async def failing_job(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Fail as a tool does, after a second."""
        await anyio.sleep(1)
        raise ValueError("this job always fails")

    @callbacks.tool()
    async def protocol_error_job(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Fail as a protocol does."""
        raise MCPError(INTERNAL_ERROR, "this job breaks the protocol")

    @callbacks.tool()
    async def confirm_delete(filename: str, task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Ask before deleting."""
        answer = await task.ask(f"Delete {filename}?", schema=CONFIRM)
        return f"{filename}: {'deleted' if answer['confirm'] else 'kept'}"

    @callbacks.tool()
    async def multi_input(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Ask two things at once."""
        answers: dict[str, Any] = {}

        async def ask(question: str, schema: dict[str, Any]) -> None:
            answers.update(await task.ask(question, schema=schema))

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "What is your name?", NAME)
            group.start_soon(ask, "Go on?", CONFIRM)
        return answers

    @callbacks.tool(task_required=True)
    async def test_tool_with_task(  # pyright: ignore[reportUnusedFunction]
        user: Annotated[UserName, Resolve(ask_name)], task: mcpc.Task
    ) -> str:
        """Ask for a name first, then work on as a task."""
        await task.update(f"working for {user.name}")
        return f"Done for {user.name}."

    return server


if __name__ == "__main__":
    mcpc.run(make_server(), sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8931/mcp")

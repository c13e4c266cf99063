"""The MCP server of the checks that speak MCP: a few tools that show what a transport does to calls."""

from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server, ServerRequestContext

__all__ = ["TOOLS", "make_server"]

TOOLS: dict[str, dict[str, Any]] = {
    "echo": {"text": {"type": "string"}},
    "meet": {"count": {"type": "integer"}, "text": {"type": "string"}},
    "hang": {},
    "seen": {},
}


class _Tools:
    """What the tools share: who waits for whom, and how many calls of `hang` began and ended."""

    def __init__(self) -> None:
        self.waiting = 0
        self.met = anyio.Event()
        self.hanging = 0
        self.cancelled = 0

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        match name:
            case "echo":
                return arguments["text"]
            case "meet":
                return await self._meet(arguments["count"], arguments["text"])
            case "hang":
                return await self._hang()
            case _:
                return f"{self.hanging} {self.cancelled}"

    async def _meet(self, count: int, text: str) -> str:
        """Answer once `count` calls are there: none is, if calls are served one after another."""
        self.waiting += 1
        if self.waiting == count:
            self.met.set()
        await self.met.wait()
        return text

    async def _hang(self) -> str:
        self.hanging += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled += 1
        raise AssertionError("unreachable")


def make_server() -> Server[Any]:
    """A server with the tools `echo`, `meet`, `hang` and `seen`."""
    tools = _Tools()

    async def list_tools(
        context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(name=name, input_schema={"type": "object", "properties": properties})
                for name, properties in TOOLS.items()
            ]
        )

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        text = await tools.call(params.name, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    return Server("contract", on_list_tools=list_tools, on_call_tool=call_tool)

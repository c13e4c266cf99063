"""What `mcpc tools` does: it lists what a server has."""

from collections.abc import Callable

from mcp_types import Tool

from mcpc.cli.connecting import Place, connected
from mcpc.cli.mistakes import COMPLETE
from mcpc.cli.running import run
from mcpc.cli.schemas import parameters
from mcpc.cli.speech import printable, put, say
from mcpc.cli.toolset import list_tools
from mcpc.cli.values import compact

__all__ = ["Place", "show_tools"]


def show_tools(wanted: Callable[[], Place], *, as_json: bool) -> None:
    """List the tools of a server."""

    async def main() -> int:
        async with connected(wanted()) as client:
            found = await list_tools(client)
        if as_json:
            put(compact([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found]))
        for tool in () if as_json else found:
            _put_tool(tool)
        if not found:
            say("the server has no tools")
        return COMPLETE

    run(main)


def _put_tool(tool: Tool) -> None:
    put(printable(f"{tool.name}({parameters(tool.input_schema)})"))
    for line in printable(tool.description or "", lines=True).strip().splitlines():
        put(f"    {line}".rstrip())

"""What changes in the lists of servers behind a gateway is told to its clients, of each era, and is there then."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp
import pytest
from mcp.client.session import IncomingMessage
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.subscriptions import PromptsListChanged, ServerEvent, ToolsListChanged
from mcp_types import PromptListChangedNotification, ToolListChangedNotification

import mcpc
from mcpc.gateway import catalogue, changes, child

pytestmark = pytest.mark.anyio

DEADLINE = 120

WAYS = [("memory://behind-changes", "memory://changes"), ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0")]
OVER = pytest.mark.parametrize(("behind", "front"), WAYS, ids=["memory", "tcp"])


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine is waited for."""
    monkeypatch.setattr(catalogue, "PATIENCE", DEADLINE)
    monkeypatch.setattr(child, "SETTLING", DEADLINE)


def growing() -> MCPServer[Any]:
    """A server that gets another tool and another prompt when it is told to, and says so."""
    server = MCPServer[Any]("growing", log_level="WARNING")

    @server.tool()
    async def grow(name: str, ctx: Context) -> None:  # pyright: ignore[reportUnusedFunction]
        server.add_tool(lambda: "here", name)
        await ctx.session.send_tool_list_changed()
        await ctx.notify_tools_changed()

    @server.tool()
    async def greet(name: str, ctx: Context) -> None:  # pyright: ignore[reportUnusedFunction]
        server.prompt(name)(lambda: "hello")
        await ctx.session.send_prompt_list_changed()
        await ctx.notify_prompts_changed()

    return server


@asynccontextmanager
async def served(behind: str, front: str) -> AsyncGenerator[tuple[mcpc.Gateway, str]]:
    """A gateway before a growing server; its server is up."""
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.listen(growing(), behind) as inner,
            mcpc.Gateway({"mcpServers": {"one": {"url": inner.uri}}}) as gateway,
            mcpc.listen(gateway.server, front) as outer,
        ):
            yield gateway, outer.uri


async def names(client: mcp.Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]


async def until(stream: Any, event: type[ServerEvent]) -> None:
    async for heard in stream:
        if isinstance(heard, event):
            return


@OVER
async def test_a_client_that_listens_is_told_of_a_new_tool_and_a_new_prompt_which_are_listed_then(
    behind: str, front: str
) -> None:
    async with served(behind, front) as (_, uri), mcpc.Client(uri) as client:
        assert await names(client) == ["one__grow", "one__greet"]  # it is up
        async with client.listen(tools_list_changed=True, prompts_list_changed=True) as stream:
            await client.call_tool("one__grow", {"name": "fresh"})
            await until(stream, ToolsListChanged)
            while "one__fresh" not in await names(client):  # the first word may be that the server is up
                await until(stream, ToolsListChanged)
            await client.call_tool("one__greet", {"name": "morning"})
            await until(stream, PromptsListChanged)
            assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["one__morning"]


@OVER
async def test_a_client_of_the_older_era_is_told_too_and_the_greeting_says_that_lists_change(
    behind: str, front: str
) -> None:
    heard: dict[type[Any], anyio.Event] = {ToolListChangedNotification: anyio.Event()}
    heard[PromptListChangedNotification] = anyio.Event()

    async def hear(message: IncomingMessage) -> None:
        if (event := heard.get(type(message))) is not None:
            event.set()

    async with served(behind, front) as (_, uri):
        async with mcp.Client(mcpc.connect(uri), mode="legacy", message_handler=hear) as client:
            capabilities = client.server_capabilities
            assert capabilities.tools is not None
            assert capabilities.tools.list_changed is True
            await names(client)  # it is up
            await client.call_tool("one__greet", {"name": "morning"})
            await heard[PromptListChangedNotification].wait()
            await client.call_tool("one__grow", {"name": "fresh"})
            await heard[ToolListChangedNotification].wait()
            assert "one__fresh" in await names(client)


async def test_a_server_that_comes_up_later_changes_the_lists_of_clients_that_are_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "LONGEST", 0.5)  # else it is dialled the more rarely, the slower the machine is
    with anyio.fail_after(DEADLINE):
        servers = {"late": {"url": "memory://late-server"}, "one": {"url": "memory://first-server"}}
        async with (
            mcpc.listen(growing(), "memory://first-server"),
            mcpc.Gateway({"mcpServers": servers}) as gateway,
            mcpc.Client(gateway.server) as client,
        ):
            assert await names(client) == ["one__grow", "one__greet"]
            async with client.listen(tools_list_changed=True) as stream, mcpc.listen(growing(), "memory://late-server"):
                while "late__grow" not in await names(client):
                    await until(stream, ToolsListChanged)


async def test_a_change_that_is_being_told_as_the_connection_is_made_anew_is_told_over_the_next() -> None:
    told: list[str] = []
    begun, again = anyio.Event(), anyio.Event()

    async def tell(what: str) -> None:
        told.append(what)
        if len(told) > 1:
            again.set()
            return
        begun.set()
        await anyio.sleep_forever()

    lists = changes.ListChanges(catalogue.Catalogue(), tell)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(growing(), mode="legacy") as client, anyio.create_task_group() as group:
            group.start_soon(lists.run, client)
            lists.mark("tools")
            await begun.wait()
            group.start_soon(lists.run, client)
            await again.wait()
            group.cancel_scope.cancel()
    assert told == ["tools", "tools"]

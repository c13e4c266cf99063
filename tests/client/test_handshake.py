"""Who a server is: said where it advertises the extension, asked for where it is not said."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import Server
from mcp_types import EmptyResult, Request, RequestParams
from pydantic import ConfigDict

import mcpc
from mcpc.server.kinds import lowlevel_of
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE
from support import make_server

pytestmark = pytest.mark.anyio

EXTENSION = "mcpc/callbacks"
INFORMATION = {
    "mcpc_enabled": True,
    "mcpc_version": "1.0.0",
    "mcpc_provider": "test-server",
    "mcpc_direct_updates": True,
    "mcpc_max_message_size": DEFAULT_MAX_MESSAGE_SIZE,
}


def watched(settings: Any = None) -> tuple[Any, list[str]]:
    """A server, with other settings of the extension where they are given, and the methods that it is asked."""
    server = make_server()
    lowlevel: Server[Any] = lowlevel_of(server)
    asked: list[str] = []

    async def watch(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        asked.append(ctx.method)
        return await call_next(ctx)

    lowlevel.middleware.insert(0, watch)
    if settings is not None:
        lowlevel.extensions[EXTENSION] = settings
    return server, asked


async def test_a_server_that_says_who_it_is_is_not_asked() -> None:
    server, asked = watched()
    with anyio.fail_after(60):
        async with mcpc.Client(server, bytes=True) as client:
            assert client.server_information == mcpc.MCPCInformation(**INFORMATION)  # pyright: ignore[reportArgumentType]
            assert await (await client.start_task("count", {"n": 3})).result() == {"rows": 3}
    assert "mcpc/info" not in asked
    assert asked.count("server/discover") == 1


@pytest.mark.parametrize("settings", [{}, {"mcpc_enabled": True}, {"mcpc_provider": 7}, {"other": "x"}], ids=repr)
async def test_a_server_that_does_not_say_it_is_asked_as_before(settings: dict[str, Any]) -> None:
    server, asked = watched(settings)
    with anyio.fail_after(60):
        async with mcpc.Client(server, bytes=True) as client:
            assert client.server_information == mcpc.MCPCInformation(**INFORMATION)  # pyright: ignore[reportArgumentType]
            assert await (await client.start_task("count", {"n": 3})).result() == {"rows": 3}
    assert asked.count("mcpc/info") == 1


async def test_in_the_older_era_a_server_is_met_as_before() -> None:
    server, _ = watched()
    with anyio.fail_after(60):
        async with mcpc.Client(server, mode="legacy", bytes=True) as client:
            assert client.server_information == mcpc.MCPCInformation(**INFORMATION)  # pyright: ignore[reportArgumentType]
            assert await (await client.start_task("count", {"n": 3})).result() == {"rows": 3}


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _Information(EmptyResult):
    model_config = ConfigDict(extra="allow")


async def test_a_client_that_does_not_look_there_asks_and_is_answered() -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), "memory://asks") as listener, mcp.Client(mcpc.connect(listener.uri)) as c:
            capabilities = c.session.server_capabilities
            assert capabilities is not None
            assert (capabilities.extensions or {})[EXTENSION] == INFORMATION, "the words of its answer"
            params = _Params.model_validate({"mcpc_info": {}})
            request: Any = Request[_Params, str](method="mcpc/info", params=params)
            answer = await c.session.send_request(request, _Information)
            assert INFORMATION.items() <= (answer.__pydantic_extra__ or {}).items()

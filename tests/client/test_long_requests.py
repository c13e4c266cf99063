"""Requests that stay open: so many of one client and no more, and what belongs to none of them passes."""

from typing import Any

import anyio
import pytest
from mcp.server import Server
from mcp_types import Notification, RequestParams
from pydantic import ConfigDict

import mcpc
from mcpc.client import long_requests
from mcpc.client.long_requests import ask_for_long

pytestmark = pytest.mark.anyio

DEADLINE = 30


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class Holding:
    """A server whose `x/hold` says that it has begun, to whoever it is told to, and stays until it is let go."""

    def __init__(self) -> None:
        self.server = Server[Any]("holding")
        self.go = anyio.Event()
        self.server.add_request_handler("x/hold", _Params, self._hold)

    async def _hold(self, ctx: Any, params: Any) -> dict[str, Any]:
        members: dict[str, Any] = params.model_extra or {}
        strangers: list[Any] = members.get("strangers", [])
        for addressee in (*strangers, ctx.request_id):
            meta: dict[str, Any] = {"_meta": {"io.modelcontextprotocol/subscriptionId": addressee}}
            notification: Any = Notification[dict[str, Any], str](method="notifications/x/begun", params=meta)
            await ctx.session.send_notification(notification, related_request_id=ctx.request_id)
        await self.go.wait()
        return {}


async def test_as_many_are_held_as_may_be_and_the_next_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_requests, "MAX_STREAMS", 2)
    holding, begun = Holding(), list[str]()
    changed = anyio.Event()

    def take(method: str, params: dict[str, Any]) -> bool:
        begun.append(method)
        if len(begun) == 2:
            changed.set()
        return True

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(holding.server) as client, anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(ask_for_long, client.session, "x/hold", dict[str, Any](), take)
            await changed.wait()
            with pytest.raises(mcpc.LimitReached, match="holds 2 streams open") as refused:
                await ask_for_long(client.session, "x/hold", {}, take)
            assert refused.value.value == 2
            holding.go.set()
        async with mcpc.Client(holding.server) as client:  # nothing is left of them
            await ask_for_long(client.session, "x/hold", {}, take)
    assert begun == ["notifications/x/begun"] * 3


async def test_what_is_addressed_to_none_of_them_is_not_theirs() -> None:
    holding, begun = Holding(), list[str]()
    holding.go.set()

    def take(method: str, params: dict[str, Any]) -> bool:
        begun.append(method)
        return True

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(holding.server) as client:
            await ask_for_long(client.session, "x/hold", {"strangers": [None, 10**6, "1", [1], {"id": 1}]}, take)
    assert begun == ["notifications/x/begun"]

"""The client's streams, tapped: callbacks leave, calls and answers are seen passing, all else goes on as it is."""

from typing import Any

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

import mcpc
from mcpc.client.tap import tap

pytestmark = pytest.mark.anyio


class Seen:
    """An inbox that says what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def take(self, message: dict[str, Any], size: int) -> None:
        self.told.append(("callback", message.get("method")))

    def call_sent(self, request_id: Any, task_id: Any) -> None:
        self.told.append(("call", request_id, task_id))

    def call_answered(self, request_id: Any, result: Any) -> None:
        self.told.append(("answer", request_id, result))

    def listen_sent(self, request_id: Any) -> None:
        self.told.append(("listen", request_id))


def call(**params: Any) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call", params={"name": "n", **params})


async def sent(request: JSONRPCRequest, channel: str | None = "ours") -> tuple[Seen, JSONRPCRequest]:
    """What the inbox was told of a request, and the request as it left."""
    out, there = anyio.create_memory_object_stream[Any](1)
    inbox: Any = Seen()
    nothing: Any = None
    _, write = tap((nothing, out), inbox, channel=lambda: channel)
    async with out, there:
        await write.send(SessionMessage(request))
        return inbox, there.receive_nowait().message


async def received(*messages: Any) -> tuple[Seen, list[Any]]:
    """What the inbox was told of messages, and those that went on."""
    there, read = anyio.create_memory_object_stream[Any](8)
    inbox: Any = Seen()
    nothing: Any = None
    tapped: Any
    tapped, _ = tap((read, nothing), inbox, channel=lambda: "ours")
    async with there, read:
        for message in messages:
            there.send_nowait(SessionMessage(message))
        there.close()
        return inbox, [item.message async for item in tapped]


async def test_a_call_in_our_form_is_seen_and_left_as_it_is() -> None:
    meta = {"mcpc/channel": "ours", "mcpc/sessionId": "s", "mcpc/taskId": "t"}
    inbox, request = await sent(call(_meta=meta))
    assert inbox.told == [("call", 1, "t")]
    assert request.params == {"name": "n", "_meta": meta}
    another = {**meta, "mcpc/channel": "another's", "mcpc/key": "k"}
    _, request = await sent(call(_meta=another))
    assert request.params == {"name": "n", "_meta": another}


@pytest.mark.parametrize(
    "arguments",
    [
        {"mcpc_params": {"session_id": "s", "task_id": "t"}},
        {"_metadata": {"mcpc_session_id": "s", "mcpc_task_id": "t"}},
    ],
)
async def test_a_call_in_an_original_s_form_gets_ours_beside_it_where_the_peer_listens(arguments: Any) -> None:
    inbox, request = await sent(call(arguments=arguments, _meta={"progressToken": 5}))
    assert inbox.told == [("call", 1, "t")]
    ours = {"mcpc/channel": "ours", "mcpc/sessionId": "s", "mcpc/taskId": "t"}
    assert request.params == {"name": "n", "arguments": arguments, "_meta": {"progressToken": 5, **ours}}
    inbox, request = await sent(call(arguments=arguments), channel=None)
    assert inbox.told == [("call", 1, "t")]
    assert request.params == {"name": "n", "arguments": arguments}


async def test_an_ordinary_call_and_one_that_cannot_be_read_are_nobodys() -> None:
    for params in ({}, {"arguments": {"mcpc_params": {"task_id": 5}}}):
        inbox, request = await sent(call(**params))
        assert (inbox.told, request.params) == ([], {"name": "n", **params})


@pytest.mark.parametrize(("channel", "told"), [("ours", [("listen", 1)]), ("another", [])])
async def test_our_own_listen_request_is_seen_and_no_other(channel: str, told: list[Any]) -> None:
    params = {"channel": channel, "after": 0}
    inbox, _ = await sent(JSONRPCRequest(jsonrpc="2.0", id=1, method="mcpc/listen", params=params))
    assert inbox.told == told


async def test_callbacks_leave_and_answers_are_shown_on_their_way() -> None:
    callback = JSONRPCNotification(jsonrpc="2.0", method="notifications/mcpc/messages", params={})
    other = JSONRPCNotification(jsonrpc="2.0", method="notifications/progress", params={})
    answer = JSONRPCResponse(jsonrpc="2.0", id=1, result={"content": []})
    error = JSONRPCError(jsonrpc="2.0", id=2, error=ErrorData(code=-32000, message="no"))
    inbox, passed = await received(callback, answer, other, error)
    assert passed == [answer, other, error]
    assert inbox.told == [
        ("callback", "notifications/mcpc/messages"),
        ("answer", 1, {"content": []}),
        ("answer", 2, None),
    ]


LONE = "\ud800"
"""Half of a surrogate pair: text in Python, and no UTF-8."""


async def test_a_request_that_has_no_form_in_json_is_not_sent() -> None:
    with pytest.raises(mcpc.MessageError, match="nothing was sent"):
        await sent(call(arguments={"text": LONE}))
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(mcpc.MessageError, match="nothing was sent"):
        await sent(call(arguments={"rows": deep}))


async def test_nor_is_a_notification_and_an_answer_becomes_an_error_that_its_asker_gets() -> None:
    out, there = anyio.create_memory_object_stream[Any](1)
    inbox: Any = Seen()
    nothing: Any = None
    _, write = tap((nothing, out), inbox, channel=lambda: "ours")
    progress = JSONRPCNotification(jsonrpc="2.0", method="notifications/progress", params={"message": LONE})
    async with out, there:
        with pytest.raises(mcpc.MessageError):
            await write.send(SessionMessage(progress))
        await write.send(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=7, result={"content": {"name": LONE}})))
        refused = there.receive_nowait().message
    assert isinstance(refused, JSONRPCError)
    assert (refused.id, refused.error.code) == (7, -32603)
    assert inbox.told == []

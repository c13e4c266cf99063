"""Whether a server speaks MCPC, and in which form: what is asked of it, in which order."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, METHOD_NOT_FOUND, CallToolResult, TextContent
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from mcpc.client.handshake import shake_hands

pytestmark = pytest.mark.anyio

INFO = {"mcpc_enabled": True, "mcpc_version": "1.0.0", "mcpc_provider": "them", "mcpc_direct_updates": True}


class Server:
    """A session whose server answers methods and tools as it was told; all others it does not know."""

    def __init__(self, answers: dict[str, Any], *, version: str = LATEST_HANDSHAKE_VERSION, says: bool = False) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.protocol_version = version
        extensions: Any = {"mcpc/callbacks": {}} if says else None
        self.server_capabilities = SimpleNamespace(extensions=extensions)
        self._answers = answers

    async def validate_tool_result(self, name: str, result: CallToolResult) -> None: ...

    async def send_request(self, request: Any, answer: Any, **_: Any) -> Any:
        params = request.params.model_dump(by_alias=True, exclude_none=True)
        name = params.get("name", request.method)
        self.asked.append((name, params.get("arguments", params)))
        found = self._answers.get(name, MCPError(METHOD_NOT_FOUND, "unknown"))
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, CallToolResult) else answer.model_validate(found)


def told(value: Any, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=json.dumps(value))], is_error=is_error)


async def shaken(server: Any) -> str:
    form, information = await shake_hands(server, "us")
    assert (information is None) is (form == "")
    return form


async def test_a_server_that_says_so_is_asked_by_our_method() -> None:
    server = Server({"mcpc/info": INFO}, says=True)
    assert await shaken(server) == "meta"
    (name, params), *others = server.asked
    assert (name, params["mcpc_info"]["mcpc_provider"], others) == ("mcpc/info", "us", [])


async def test_in_the_newer_era_who_does_not_say_so_is_asked_nothing() -> None:
    server = Server({"mcpc/info": INFO}, version=LATEST_MODERN_VERSION)
    assert await shaken(server) == ""
    assert server.asked == []


async def test_the_originals_tools_come_first_in_the_older_era_the_newest_before() -> None:
    newer = Server({"_mcpc_init": told({**INFO, "mcpc_version": "0.2.6"})})
    assert await shaken(newer) == "0.2.6"
    ((name, arguments),) = newer.asked
    assert name == "_mcpc_init"
    assert arguments["mcpc_info"]["mcpc_provider"] == "us"
    older = Server({"is_mcpc_enabled": told({**INFO, "mcpc_version": "0.2.1"})})
    assert await shaken(older) == "0.2.1"
    assert older.asked[-1] == ("is_mcpc_enabled", {})


async def test_a_server_of_ours_is_found_by_an_original_s_tool_and_asked_by_our_method_then() -> None:
    server = Server({"_mcpc_init": told(INFO), "mcpc/info": INFO})
    assert await shaken(server) == "meta"
    assert [name for name, _ in server.asked] == ["_mcpc_init", "mcpc/info"]


async def test_an_answer_within_an_answer_is_read() -> None:
    wrapped = {"type": "text", "text": json.dumps({**INFO, "mcpc_version": "0.2.6"})}
    assert await shaken(Server({"_mcpc_init": told(wrapped)})) == "0.2.6"


@pytest.mark.parametrize(
    "answer",
    [
        told({**INFO, "mcpc_version": "0.2.6"}, is_error=True),
        told({**INFO, "mcpc_enabled": False, "mcpc_version": "0.2.6"}),
        told("hello"),
        told([1]),
        CallToolResult(content=[TextContent(type="text", text="no json")]),
        CallToolResult(content=[]),
        RuntimeError("does not fit the schema"),
    ],
)
async def test_what_is_no_information_is_a_standard_server(answer: Any) -> None:
    server = Server({"_mcpc_init": answer})
    assert await shaken(server) == ""
    assert [name for name, _ in server.asked] == ["_mcpc_init", "is_mcpc_enabled"]


async def test_an_answer_to_our_method_that_is_no_use_is_a_standard_server(caplog: pytest.LogCaptureFixture) -> None:
    assert await shaken(Server({"mcpc/info": {"mcpc_enabled": "perhaps"}}, says=True)) == ""
    assert "is no use" in caplog.text


async def test_a_server_that_goes_away_is_no_standard_server() -> None:
    with pytest.raises(MCPError, match="gone"):
        await shaken(Server({"_mcpc_init": MCPError(CONNECTION_CLOSED, "gone")}))

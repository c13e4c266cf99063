"""What loopback is, what can be dialled and who is let in: one meaning over every transport."""

from http import HTTPStatus
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.errors import ListenFailed, URIError
from mcpc.uri import listen_at
from mcpc_transports.addresses import Guests, authority, dialable, is_loopback

SCHEMES = ["tcp", "ws", "http", "sse+http"]
DEADLINE = 60


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.2", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "::1", "::ffff:127.0.0.1"],
)
def test_a_name_of_this_machine_alone_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "126.0.0.1", "localhost.example", "127.0.0.1.example", "127.1", "::ffff:10.0.0.1"]
)
def test_what_others_may_reach_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_what_is_listened_at_is_named_as_it_can_be_dialled() -> None:
    assert [authority(dialable(host), 1) for host in ("0.0.0.0", "::", "127.0.0.2", "::1")] == [
        "127.0.0.1:1",
        "[::1]:1",
        "127.0.0.2:1",
        "[::1]:1",
    ]


@pytest.mark.parametrize(
    ("allowed", "value", "let_in"),
    [
        (["*"], "https://any.example", True),
        (["https://app.example"], "HTTPS://App.Example", True),
        (["https://app.example"], "https://app.example:8443", False),
        (["https://app.example:*"], "https://app.example:8443", True),
        (["https://app.example:*"], "https://app.example", True),
        (["https://app.example:*"], "https://app.example:8443.evil", False),
        (["https://app.example:*"], "https://app.example.evil:80", False),
        (["null"], "null", True),
        ([], "http://localhost", False),
        (None, "http://[::1]:3000", True),
        (None, "http://localhost.evil", False),
    ],
)
def test_an_origin_is_let_in_by_the_list_alone(allowed: list[str] | None, value: str, let_in: bool) -> None:
    refusal = Guests.of("127.0.0.1", None, allowed).refusal(["127.0.0.1"], [value])
    assert refusal is None if let_in else refusal is not None and refusal[0] == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("bound", "value", "let_in"),
    [
        ("127.0.0.1", "localhost:80", True),
        ("127.0.0.2", "127.0.0.2:8000", True),
        ("127.0.0.2", "127.0.0.3", False),
        ("LOCALHOST", "localhost", True),
        ("::1", "[::1]:9", True),
        ("127.0.0.1", "evil.example", False),
        ("0.0.0.0", "tools.example", True),
    ],
)
def test_on_loopback_the_host_must_be_a_name_of_this_machine(bound: str, value: str, let_in: bool) -> None:
    refusal = Guests.of(bound, None, None).refusal([value], [])
    assert refusal is None if let_in else refusal is not None and refusal[0] == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("allowed_hosts", "tools.example"),
        ("allowed_hosts", ["https://tools.example"]),
        ("allowed_origins", "https://app.example"),
        ("allowed_origins", ["app.example"]),
        ("allowed_origins", ["https://app.example/"]),
    ],
)
@pytest.mark.parametrize("scheme", ["ws", "http", "sse+http"])
def test_an_entry_that_can_match_nothing_is_refused(scheme: str, option: str, value: Any) -> None:
    endpoint: Any = object()
    with pytest.raises(URIError, match=option):
        listen_at(f"{scheme}://127.0.0.1:0", endpoint, **{option: value})


def an_adder() -> MCPServer:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    return server


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("host", ["127.0.0.2", "LOCALHOST"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.anyio
async def test_whatever_loopback_address_is_served_without_a_word(scheme: str, host: str) -> None:
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(an_adder(), f"{scheme}://{host}:0") as listener, mcpc.Client(listener.uri) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.anyio
async def test_an_address_of_all_interfaces_needs_a_word_over_each_transport(scheme: str, host: str) -> None:
    with pytest.raises(ListenFailed, match="allow_remote=True"):
        async with mcpc.listen(an_adder(), f"{scheme}://{host}:0"):
            pass


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_star_lets_in_every_web_page_over_websocket_and_http_alike() -> None:
    origin = "https://any.example"
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(an_adder(), "ws://127.0.0.1:0/", allowed_origins=["*"]) as listener:
            async with mcpc.Client(listener.uri, origin=origin) as client:
                await client.list_tools()
        async with mcpc.listen(an_adder(), "http://127.0.0.1:0/mcp", allowed_origins=["*"]) as listener:
            async with httpx2.AsyncClient(timeout=60) as http:
                answer = await http.request("OPTIONS", listener.uri, headers={"origin": origin})
                assert answer.status_code != HTTPStatus.FORBIDDEN

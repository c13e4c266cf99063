"""Proxies of the environment: the same over http, sse and ws, none between us and loopback, mistakes in plain words."""

import ssl
from typing import Any

import anyio
import pytest
import trustme
from mcp.server import MCPServer

import mcpc
from mcpc.errors import ConnectFailed, MissingExtra, URIError
from mcpc_transports import proxies
from mcpc_transports.proxies import proxy_for
from proxy_kit import proxy

pytestmark = pytest.mark.anyio

SECRET = "s3cret"
HOST = "server.example"  # which only the proxies know

ADDRESSES = {"ws": "ws://127.0.0.1:0/mcp", "http": "http://127.0.0.1:0/mcp", "sse": "sse+http://127.0.0.1:0/sse"}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest, anyio_backend_name: str) -> str:
    if anyio_backend_name == "trio" and request.param != "ws":
        pytest.skip("uvicorn serves on asyncio")
    return ADDRESSES[request.param]


def server() -> MCPServer[Any]:
    made = MCPServer[Any]("behind", log_level="CRITICAL")

    @made.tool()
    def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction]
        return a + b

    mcpc.MCPCHelper(made)
    return made


async def called(address: str, host: str = HOST) -> str:
    """Call a tool of a server that is dialled by another name; that name and its port."""
    with anyio.fail_after(60):
        async with mcpc.listen(server(), address, allowed_hosts=["*"]) as listener:
            port = listener.uri.rpartition(":")[2].partition("/")[0]
            async with mcpc.Client(listener.uri.replace("127.0.0.1", host), open_timeout=60) as client:
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
    return f"{host}:{port}"


# --- what goes through --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "password"), [("", ""), ("ann", SECRET)])
@pytest.mark.parametrize(
    ("kind", "variable"),
    [("http", "HTTP_PROXY"), ("http", "ALL_PROXY"), ("socks5", "HTTP_PROXY"), ("socks5", "all_proxy")],
)
async def test_a_server_is_reached_through_the_proxy_of_the_environment(
    address: str, kind: str, variable: str, user: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(kind, user, password) as between:
        monkeypatch.setenv(variable, between.url)
        where = await called(address)
    assert set(between.asked) == {where}


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("scheme", ["wss", "https", "sse+https"])
async def test_what_is_encrypted_goes_through_the_proxy_for_that_and_is_checked_by_the_hosts_name(
    scheme: str, kind: str, anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if anyio_backend_name == "trio" and scheme != "wss":
        pytest.skip("uvicorn serves on asyncio")
    authority: Any = trustme.CA()
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(HOST).configure_cert(ours)
    authority.configure_trust(theirs)
    address = f"{scheme}://127.0.0.1:0/mcp"
    with anyio.fail_after(60), proxy(kind) as between:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with mcpc.listen(server(), address, allowed_hosts=["*"], ssl_context=ours) as listener:
            async with mcpc.Client(listener.uri.replace("127.0.0.1", HOST), ssl_context=theirs) as client:
                assert (await client.list_tools()).tools
    assert {asked.partition(":")[0] for asked in between.asked} == {HOST}


async def test_none_stands_between_us_and_loopback(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy("http") as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        monkeypatch.setenv("ALL_PROXY", between.url)
        await called(address, "127.0.0.1")
    assert between.asked == []


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("why", ["refuses", "wants another user", "is not there"])
async def test_a_proxy_that_does_not_help_is_told_in_plain_words(
    address: str, kind: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(kind, *(("ann", "right") if "user" in why else ())) as between:
        between.refuse = why == "refuses"
        url = between.url.replace("right", SECRET)
        if why == "is not there":
            between.close()
        monkeypatch.setenv("ALL_PROXY", url)
        with pytest.raises(ConnectFailed) as caught:
            await called(address)
    assert SECRET not in str(caught.value)
    assert f"the proxy of ALL_PROXY ({kind}://127.0.0.1:" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ftp://p:1", "HTTP_PROXY: a proxy is one of http, https, socks5, socks5h, not 'ftp'"),
        (f"http://ann:{SECRET}@p:many", "HTTP_PROXY cannot be read as the address of a proxy"),
        ("http://:3128", "HTTP_PROXY names no host"),
    ],
)
async def test_a_value_that_cannot_be_used_is_refused_before_anything_is_dialled(
    address: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(URIError, match=told) as caught:
        await called(address)
    assert SECRET not in str(caught.value)


async def test_a_package_that_is_missing_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> None:
        assert name == "socksio"

    monkeypatch.setattr(proxies, "find_spec", found)
    monkeypatch.setenv("ALL_PROXY", "socks5://p")
    with pytest.raises(MissingExtra, match=r"needs 'socksio': pip install 'mcpc\[socks\]'"):
        await called(address)


# --- which one ----------------------------------------------------------------------------------------------------

ALL = {"http": "http://a", "https": "b:8", "all": "socks5://c"}


@pytest.mark.parametrize(
    ("environment", "is_tls", "proxied"),
    [
        (ALL, False, "http://a:80"),
        (ALL, True, "http://b:8"),
        ({"all": "socks5h://c"}, True, "socks5h://c:1080"),
        ({"https": "b"}, False, None),
        ({}, True, None),
    ],
)
def test_each_kind_of_connection_has_its_variable(
    environment: dict[str, str], is_tls: bool, proxied: str | None
) -> None:
    found = proxy_for(is_tls, HOST, 1, environment)
    assert (found and f"{found.scheme}://{found.host}:{found.port}") == proxied


@pytest.mark.parametrize(
    ("listed", "host", "is_left_out"),
    [
        ("*", HOST, True),
        ("server.example", HOST, True),
        ("example", HOST, True),
        (".example", HOST, True),
        ("*.example", HOST, True),
        ("other.org, EXAMPLE", HOST, True),
        ("ample", HOST, False),
        ("server.example:443", HOST, True),
        ("server.example:80", HOST, False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.3.7", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("", HOST, False),
        (",", HOST, False),
        ("", "localhost", True),
        ("", "127.0.0.9", True),
        ("", "::1", True),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(listed: str, host: str, is_left_out: bool) -> None:
    found = proxy_for(True, host, 443, {"https": "http://p", "no": listed})
    assert (found is None) is is_left_out


def test_what_is_shown_of_a_proxy_holds_no_password() -> None:
    found = proxy_for(True, HOST, 443, {"https": f"http://ann:{SECRET}@p:1"})
    assert found is not None
    assert (found.username, found.password) == ("ann", SECRET)
    assert SECRET not in f"{found} {found!r}"

"""`http://` and `https://`: the client, on both event loops."""

import gc
import ssl
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme
from anyio.abc import SocketAttribute, SocketStream
from mcp import Client, ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

from http_kit import (
    Mode,
    SmallServer,
    Verifier,
    add,
    connect_to,
    dialled,
    killable_server,
    modes,
    scripted_server,
    until,
)
from http_kit import quiet_log as quiet_log
from mcpc.errors import ConnectFailed, UnknownOption, URIError
from mcpc_transports.http import client as client_module
from ports_kit import free_port

pytestmark = [
    pytest.mark.anyio,
    # The SDK leaves the loop over an answer's events early, which trio remarks on.
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

LOCAL = "http://127.0.0.1:0"
# --- calls ------------------------------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("options", [{}, {"json_response": True}, {"stateless": True}], ids=str)
async def test_a_tool_is_called(mode: Mode, options: dict[str, Any]) -> None:
    with SmallServer().served(LOCAL, **options) as uri:
        async with Client(dialled(uri), mode=mode) as client:
            assert await add(client) == 5


@modes
async def test_progress_comes_with_the_call(mode: Mode) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    with SmallServer().served(LOCAL) as uri:
        async with Client(dialled(uri), mode=mode) as client:
            await client.call_tool("count", {"to": 3}, progress_callback=on_progress)
    assert sorted(seen) == [1, 2, 3]


async def test_a_path_of_ones_own_is_served_with_and_without_a_slash_at_its_end() -> None:
    with SmallServer().served(f"{LOCAL}/my%20tools") as uri:
        assert uri.endswith("/my%20tools")
        for spelling in (uri, f"{uri}/"):
            async with Client(dialled(spelling)) as client:
                assert await add(client) == 5


@modes
async def test_a_message_larger_than_a_megabyte_passes(mode: Mode) -> None:
    with SmallServer().served(LOCAL) as uri:
        async with Client(dialled(uri), mode=mode) as client:
            result = await client.call_tool("repeat", {"text": "x" * 1000, "times": 1500})
            assert len(result.structured_content["result"]) == 1_500_000


@modes
@pytest.mark.parametrize("options", [{}, {"json_response": True}], ids=str)
async def test_an_answer_over_the_limit_fails_its_own_call(mode: Mode, options: dict[str, Any]) -> None:
    with SmallServer().served(LOCAL, **options) as uri:
        async with Client(dialled(uri, max_message_size=20_000), mode=mode) as client:
            with pytest.raises(MCPError, match="limit"):
                await client.call_tool("repeat", {"text": "x" * 100, "times": 300})
            assert await add(client) == 5


@modes
async def test_a_request_over_the_servers_limit_fails_its_own_call(mode: Mode) -> None:
    with SmallServer().served(LOCAL, max_message_size=20_000) as uri:
        async with Client(dialled(uri), mode=mode) as client:
            with pytest.raises(MCPError, match="over the limit of 20000 bytes"):
                await client.call_tool("repeat", {"text": "x" * 30_000, "times": 1})
            assert await add(client) == 5


async def test_more_calls_are_open_at_once_than_a_pool_of_connections_holds() -> None:
    with SmallServer().served(LOCAL) as uri:
        async with Client(dialled(uri)) as client, anyio.create_task_group() as tasks:
            for _ in range(110):
                tasks.start_soon(client.call_tool, "block")
            with anyio.fail_after(60):
                assert await add(client) == 5
            tasks.cancel_scope.cancel()


async def test_cancelling_a_call_cancels_the_tool() -> None:
    server = SmallServer()
    with server.served(LOCAL) as uri:
        async with Client(dialled(uri)) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "block")
                await until(server.blocked)
                tasks.cancel_scope.cancel()
            await until(server.ended)
            assert await add(client) == 5


# --- connections that fail --------------------------------------------------------------------------------------


async def test_a_closed_port_is_refused_in_plain_words() -> None:
    with pytest.raises(ConnectFailed, match="connection refused"):
        await connect_to(f"http://127.0.0.1:{free_port()}")


async def test_a_host_that_nobody_knows_is_named_as_that() -> None:
    with pytest.raises(ConnectFailed, match="host name cannot be resolved"):
        await connect_to("http://nobody.invalid/mcp")


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with scripted_server(b"") as port, pytest.raises(ConnectFailed, match=r"no answer within 0\.2 s"):
        await connect_to(f"http://127.0.0.1:{port}", open_timeout=0.2)


async def test_what_is_not_http_is_refused() -> None:
    with scripted_server(b"SSH-2.0-OpenSSH_9\r\n\r\n") as port, pytest.raises(ConnectFailed):
        await connect_to(f"http://127.0.0.1:{port}")


async def test_tls_to_a_server_without_it_fails_in_plain_words() -> None:
    with scripted_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, pytest.raises(ConnectFailed, match="TLS"):
        await connect_to(f"https://127.0.0.1:{port}")


async def test_the_user_of_an_address_is_sent_and_the_password_never_shown() -> None:
    heard: list[bytes] = []
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with scripted_server(answer, heard) as port, pytest.raises(ConnectFailed, match="401 Unauthorized") as failure:
        await connect_to(f"http://ann:pass%20word@127.0.0.1:{port}")
    assert b"Basic YW5uOnBhc3Mgd29yZA==" in heard[0]  # ann:pass word
    assert "pass" not in str(failure.value)


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("http:///mcp", {}),
        ("http://127.0.0.1/mcp", {"ssl_context": ssl.create_default_context()}),
        ("http://127.0.0.1/mcp", {"token": "hush", "auth": httpx2.BasicAuth("ann", "hush")}),
        ("http://ann:hush@127.0.0.1/mcp", {"token": "hush"}),
        ("http://127.0.0.1/mcp", {"token": "hush\r\nX: y"}),
        ("http://127.0.0.1/mcp", {"headers": {"X": "hush\r\nY: z"}}),
        ("http://127.0.0.1/mcp", {"headers": {"X:": "hush"}}),
        ("http://127.0.0.1/mcp", {"max_message_size": 0}),
        ("http://127.0.0.1/mcp", {"open_timeout": -1}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_opened(uri: str, options: dict[str, Any]) -> None:
    with pytest.raises(URIError) as refusal:
        dialled(uri, **options)
    assert "hush" not in str(refusal.value)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownOption, match="read_timeout"):
        dialled("http://127.0.0.1/mcp", timeout=3)


@modes
async def test_a_server_killed_in_the_middle_of_a_call_fails_the_call_at_once(mode: Mode) -> None:
    with killable_server(LOCAL) as (uri, kill):
        async with Client(dialled(uri), mode=mode) as client:
            failures: list[MCPError] = []

            async def call() -> None:
                with pytest.raises(MCPError) as failure:
                    await client.call_tool("block", {})
                failures.append(failure.value)

            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call)
                    await kill()
                with pytest.raises(MCPError) as later:
                    await add(client)
            assert [failure.code for failure in failures] == [CONNECTION_CLOSED]
            assert later.value.code == CONNECTION_CLOSED


async def test_a_peer_that_falls_silent_fails_the_call() -> None:
    def answer(request: bytes) -> bytes:
        if request.startswith(b"OPTIONS"):
            return b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n"

    failures: list[int] = []
    with scripted_server(answer) as port, anyio.fail_after(120):
        for seconds in (0.2, 3.0, 30.0):  # on a busy machine it may be silent for a moment while it is dialled
            with suppress(ConnectFailed):
                async with (
                    dialled(f"http://127.0.0.1:{port}", read_timeout=seconds) as streams,
                    ClientSession(*streams) as session,
                ):
                    with pytest.raises(MCPError, match="without a response") as failure:
                        await session.send_ping()
                    failures.append(failure.value.code)
                    break
    assert failures == [CONNECTION_CLOSED]


LOST = pytest.RaisesExc(MCPError, check=lambda exc: exc.code == CONNECTION_CLOSED)


async def test_a_question_for_the_era_that_gets_lost_is_not_taken_for_an_older_server() -> None:
    def answer(request: bytes) -> bytes | None:
        if b'"method"' in request:
            return None
        return b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" if request.startswith(b"OPTIONS") else b""

    heard: list[bytes] = []
    with scripted_server(answer, heard) as port, anyio.fail_after(60), pytest.RaisesGroup(LOST, flatten_subgroups=True):
        async with Client(dialled(f"http://127.0.0.1:{port}")):
            raise AssertionError("it connected")
    assert b"server/discover" in b"".join(heard)
    assert b"initialize" not in b"".join(heard)


async def test_an_error_in_the_callers_block_comes_out_as_it_is() -> None:
    with SmallServer().served(LOCAL) as uri, pytest.raises(KeyError):
        async with dialled(uri):
            raise KeyError("mine")


async def test_a_session_is_ended_at_the_server_also_when_the_client_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "CLOSE_TIMEOUT", 60.0)  # what is said as we leave may take what it takes
    with SmallServer().served(LOCAL, max_sessions=1) as uri:
        for _ in range(3):  # each finds the only session free again
            with anyio.CancelScope() as scope:
                async with Client(dialled(uri), mode="legacy"):
                    scope.cancel()
                    await anyio.sleep_forever()


# --- TLS and authentication -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context


@modes
async def test_tls_with_a_certificate_that_is_trusted(
    mode: Mode, trusting: ssl.SSLContext, certificate: ssl.SSLContext
) -> None:
    with SmallServer().served("https://localhost:0", ssl_context=certificate) as uri:
        assert uri.startswith("https://localhost:")
        async with Client(dialled(uri, ssl_context=trusting), mode=mode) as client:
            assert await add(client) == 5


async def test_a_certificate_that_is_not_trusted_is_refused_in_plain_words(certificate: ssl.SSLContext) -> None:
    serving = SmallServer().served("https://127.0.0.1:0", ssl_context=certificate)
    with serving as uri, pytest.raises(ConnectFailed, match="certificate was not accepted"):
        await connect_to(uri)


async def test_a_certificate_in_files(authority: trustme.CA, trusting: ssl.SSLContext, tmp_path: Path) -> None:
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = {"ssl_certfile": tmp_path / "cert.pem", "ssl_keyfile": tmp_path / "key.pem"}
    with SmallServer().served("https://127.0.0.1:0", **files) as uri:
        async with Client(dialled(uri, ssl_context=trusting)) as client:
            assert await add(client) == 5


@modes
async def test_a_token_lets_its_owner_in_and_nobody_else(mode: Mode) -> None:
    with SmallServer().served("http://0.0.0.0:0", token_verifier=Verifier()) as uri:
        assert uri.startswith("http://127.0.0.1:")
        async with Client(dialled(uri, token="secret-of-ann"), mode=mode) as client:
            assert await add(client) == 5
        for wrong in ({"token": "secret-of-eve"}, {}):
            with pytest.raises(ConnectFailed, match="401 Unauthorized") as refusal:
                await connect_to(uri, **wrong)
            assert "secret" not in str(refusal.value)


async def test_an_auth_flow_is_used() -> None:
    class Bearer(httpx2.Auth):
        def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
            request.headers["Authorization"] = "Bearer secret-of-ann"
            yield request

    with SmallServer().served(LOCAL, token_verifier=Verifier()) as uri:
        async with Client(dialled(uri, auth=Bearer())) as client:
            assert await add(client) == 5


async def test_a_dial_cancelled_in_the_tls_handshake_closes_its_socket() -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def converse(stream: SocketStream) -> None:
        async with stream:
            assert await stream.receive()  # the handshake's first words
            begun.set()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            ended.set()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as server:
        server.start_soon(listener.serve, converse)
        uri = f"https://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        gc.disable()  # it would close the socket too, some day
        try:
            async with anyio.create_task_group() as client:
                client.start_soon(connect_to, uri)
                await begun.wait()
                client.cancel_scope.cancel()
            with anyio.fail_after(60):
                await ended.wait()
        finally:
            gc.enable()
        server.cancel_scope.cancel()

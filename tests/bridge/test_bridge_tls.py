"""TLS at a bridge: where clients come in, and on the way to the server; every scheme that has it."""

from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from mcp.server.auth.provider import AccessToken

import mcpc
from mcpc.uri import dial
from support import ASYNCIO_ONLY, TEMPLATES, Certificates, serving

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),  # the SDK's, on trio
]

SECURE = ["wss", "https", "sse+https"]
ROUTES = [
    ("wss", "memory"),
    ("https", "unix"),
    ("sse+https", "tcp"),
    ("tcp", "wss"),
    ("memory", "https"),
    ("unix", "sse+https"),
    ("wss", "https"),
    ("https", "wss"),
    ("https", "https"),
]


@pytest.fixture(autouse=True)
def only_where_both_ends_can_run(request: pytest.FixtureRequest, anyio_backend: str) -> None:
    parameters: dict[str, Any] = request.node.callspec.params
    if anyio_backend == "trio" and ASYNCIO_ONLY & {parameters.get("come"), parameters.get("go")}:
        pytest.skip("HTTP is served on asyncio only")


def listen_uri(scheme: str, tmp_path: Path) -> str:
    return TEMPLATES[scheme].format(name="bridge", tmp=tmp_path)


def with_tls(scheme: str, context: Any) -> dict[str, Any]:
    return {"ssl_context": context} if scheme in SECURE else {}


@pytest.mark.parametrize(("come", "go"), ROUTES)
async def test_callbacks_prompts_and_calls_cross_a_bridge_with_tls(
    come: str, go: str, tmp_path: Path, certificates: Certificates
) -> None:
    with anyio.fail_after(60):
        async with (
            serving(go, tmp_path, certificates=certificates) as served,
            mcpc.bridging(
                listen_uri(come, tmp_path),
                served.uri,
                listen_options=with_tls(come, certificates.server),
                connect_options=served.options,
            ) as listener,
        ):
            assert listener.uri.startswith(f"{come}:")
            trusting = with_tls(come, certificates.client)
            async with mcpc.Client(listener.uri, **trusting) as client:
                task = await client.start_task("count", {"n": 100})
                assert [message.event async for message in task] == ["created", *["update"] * 100, "complete"]
                client.on_prompt(lambda prompt: "b")
                assert await (await client.start_task("ask")).result() == {"answer": "b"}
            for mode in ("auto", "legacy"):
                async with mcp.Client(mcpc.connect(listener.uri, **trusting), mode=mode) as plain:
                    assert (await plain.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


@pytest.mark.parametrize("come", SECURE)
async def test_who_does_not_trust_the_bridge_or_speaks_no_tls_does_not_come_in(
    come: str, tmp_path: Path, certificates: Certificates
) -> None:
    options = with_tls(come, certificates.server)
    with anyio.fail_after(60):
        async with (
            serving("memory", tmp_path) as served,
            mcpc.bridging(listen_uri(come, tmp_path), served.uri, listen_options=options) as listener,
        ):
            unsafe = listener.uri.replace("wss:", "ws:").replace("https:", "http:")
            for uri in (listener.uri, unsafe):
                with pytest.raises(mcpc.ConnectFailed):
                    async with mcpc.Client(uri):
                        pass
            async with mcpc.Client(listener.uri, ssl_context=certificates.client) as client:
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


@pytest.mark.parametrize("go", SECURE)
async def test_a_server_that_the_bridge_does_not_trust_cannot_be_reached_through_it(
    go: str, tmp_path: Path, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(60):
        async with (
            serving(go, tmp_path, certificates=certificates) as served,
            mcpc.bridging("memory://distrusting", served.uri) as listener,
            dial(listener.uri) as channel,
        ):
            await channel.send(b'{"jsonrpc":"2.0","id":"seven","method":"ping"}')  # pyright: ignore
            answer = await channel.receive()  # pyright: ignore
    assert b'"id":"seven"' in answer
    assert b"cannot be reached" in answer
    assert "certificate" in caplog.text


class OneToken:
    """Knows one bearer token."""

    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="me", scopes=[]) if token == "secret" else None


@pytest.mark.parametrize("come", ["wss", "https", "sse+https"])
async def test_with_tls_who_may_come_in_is_checked_too(come: str, tmp_path: Path, certificates: Certificates) -> None:
    options = {**with_tls(come, certificates.server), "token_verifier": OneToken()}
    trusting = with_tls(come, certificates.client)
    with anyio.fail_after(60):
        async with (
            serving("memory", tmp_path) as served,
            mcpc.bridging(listen_uri(come, tmp_path), served.uri, listen_options=options) as listener,
        ):
            for token in ({}, {"token": "guessed"}):
                with pytest.raises(mcpc.ConnectFailed, match="401"):
                    async with mcpc.Client(listener.uri, **token, **trusting):
                        pass
            async with mcpc.Client(listener.uri, token="secret", **trusting) as client:
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}

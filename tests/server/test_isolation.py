"""A channel's tasks answer to that channel only; a foreign id looks just like an unknown one."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.auth.provider import AccessToken
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.client.requests import ask_server
from mcpc.wire.names import LISTEN_METHOD, SEND_METHOD, STOP_METHOD, TASK_METHOD
from support import make_server, serving

pytestmark = pytest.mark.anyio

SCHEMES = ["ws", "http"]


class Tokens:
    """Two users with a token each."""

    async def verify_token(self, token: str) -> AccessToken | None:
        if token not in ("alice-token", "bob-token"):
            return None
        return AccessToken(token=token, client_id=token.removesuffix("-token"), scopes=[])


async def _errors(client: mcpc.Client, channel: str, task_id: str) -> list[tuple[int, str, Any]]:
    """What the server answers to each way of reaching for a task."""
    found: list[tuple[int, str, Any]] = []
    for method in (TASK_METHOD, SEND_METHOD, STOP_METHOD):
        params: dict[str, Any] = {"channel": channel, "taskId": task_id, "input": "mine now"}
        try:
            await ask_server(client.session, method, params)
        except mcpc.UnknownTask as exc:
            cause = exc.__cause__
            assert isinstance(cause, MCPError)
            found.append((cause.code, cause.message, cause.error.data))
        else:
            found.append((0, "it worked", None))
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_another_clients_task_cannot_be_reached_nor_told_from_an_unknown_one(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with (
            serving(scheme, tmp_path) as served,
            mcpc.Client(served.uri) as owner,
            mcpc.Client(served.uri) as other,
        ):
            seen: list[mcpc.MCPCMessage] = []
            other.add_event_listener(seen.append)
            # The same session label on both: it opens nothing.
            task = await owner.start_task("wait_for_input", session_id="shared")
            mine = await other.start_task("count", {"n": 1}, session_id="shared")
            foreign = await _errors(other, other._listening.channel, task.task_id)  # pyright: ignore[reportPrivateUsage]
            unknown = await _errors(other, other._listening.channel, "0" * 36)  # pyright: ignore[reportPrivateUsage]
            no_channel = await _errors(other, "x" * 32, task.task_id)
            assert foreign == unknown == no_channel
            assert {code for code, _, _ in foreign} == {-32602}
            await task.send("done")
            assert await task.result() == []
            assert await mine.result() == {"rows": 1}
    assert {message.task_id for message in seen} == {mine.task_id}


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_with_authentication_not_even_the_channels_key_opens_another_principals_tasks(
    scheme: str, tmp_path: Path
) -> None:
    with anyio.fail_after(60):
        async with (
            serving(scheme, tmp_path, token_verifier=Tokens()) as served,
            mcpc.Client(served.uri, token="alice-token") as alice,
            mcpc.Client(served.uri, token="bob-token") as bob,
        ):
            task = await alice.start_task("wait_for_input")
            key = alice._listening.channel  # pyright: ignore[reportPrivateUsage] - stolen, for the test
            assert await _errors(bob, key, task.task_id) == await _errors(bob, key, "0" * 36)
            with pytest.raises(MCPError) as refused:
                await ask_server(bob.session, LISTEN_METHOD, {"channel": key, "after": 0})
            assert refused.value.code == -32602
            bob._listening.channel = key  # pyright: ignore[reportPrivateUsage]
            with pytest.raises(MCPError):
                await bob.start_task("count", {"n": 1})
            await task.send("done")
            assert await task.result() == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_wrong_token_is_refused_and_never_shown(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, token_verifier=Tokens()) as served:
            with pytest.raises(Exception) as refused:
                async with mcpc.Client(served.uri, token="s3cret-guess"):
                    pass
            assert "s3cret" not in f"{refused.value!r} {refused.value}"


async def test_a_task_id_in_use_is_refused_and_the_first_task_goes_on(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with serving("ws", tmp_path, make_server()) as served, mcpc.Client(served.uri) as client:
            task = await client.start_task("wait_for_input")
            meta: Any = {
                "mcpc/channel": client._listening.channel,  # pyright: ignore[reportPrivateUsage]
                "mcpc/sessionId": "s",
                "mcpc/taskId": task.task_id,
            }
            again = await client.call_tool("count", {"n": 1}, meta=meta)
            assert again.is_error
            await task.send("done")
            assert await task.result() == []


@pytest.mark.parametrize(
    "params",
    [
        {"after": 0},
        {"channel": "short", "after": 0},
        {"channel": "x" * 32},
        {"channel": "x" * 32, "after": -1},
        {"channel": "x" * 32, "after": "0"},
        {"channel": "x" * 32, "after": 1.5},
        {"channel": ["x" * 32], "after": 0},
        {"channel": "x" * 257, "after": 0},
    ],
)
async def test_bad_params_of_a_listen_request_are_refused_and_the_next_request_works(
    params: dict[str, Any], tmp_path: Path
) -> None:
    with anyio.fail_after(60):
        async with serving("ws", tmp_path) as served, mcpc.Client(served.uri) as client:
            with pytest.raises(MCPError) as refused:
                await ask_server(client.session, LISTEN_METHOD, params)
            assert refused.value.code == -32602
            assert await (await client.start_task("count", {"n": 3})).result() == {"rows": 3}

"""Our own log lines: no peer breaks them or steers a terminal by them, and no secret stands in any."""

import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken

import mcpc
from mcpc.logs import logger_of
from support import ASYNCIO_ONLY, serving

pytestmark = pytest.mark.anyio

KEY = "the-key-of-a-channel-3f9a1c"
TOKEN = "the-token-of-somebody-77b2d0"
EVIL = "gone\n2026-01-01 CRITICAL forged\x1b[31mred\x9b\u202egnp"


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="somebody", scopes=[]) if token == TOKEN else None


def make_server() -> MCPServer[Any]:
    server = MCPServer[Any]("logs", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def work(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        await task.update(1)
        return await task.ask("which?", choices=[0, 1])

    return server


def ours(caplog: pytest.LogCaptureFixture) -> str:
    format_record = logging.Formatter("%(message)s").format
    return "\n".join(format_record(record) for record in caplog.records if record.name.startswith("mcpc"))


@pytest.mark.parametrize("scheme", ["memory", "tcp", "ws", "http", "sse+http"])
async def test_no_key_and_no_token_stands_in_a_log_line_at_any_level(
    scheme: str, tmp_path: Path, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if scheme in ASYNCIO_ONLY and anyio_backend_name != "asyncio":
        pytest.skip("HTTP listeners need asyncio")
    caplog.set_level(logging.DEBUG)
    options: dict[str, Any] = {} if scheme in ("memory", "tcp") else {"token_verifier": Verifier()}
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, make_server(), **options) as served:
            client = mcpc.Client(served.uri, channel=KEY, **({"token": TOKEN} if options else {}))
            async with client:
                task = await client.start_task("work")
                async for message in task:
                    for prompt_id in list(task.prompts):
                        with pytest.raises(mcpc.PromptError, match="none of the choices"):
                            await task.answer(prompt_id, True)  # true is not 1
                        await task.answer(prompt_id, 1)
                    if message.terminal:
                        assert message.result == 1
                with pytest.raises(mcpc.UnknownTask):
                    await client.task("of-nobody").state()
            if options:
                with pytest.raises(mcpc.ConnectFailed) as refused:
                    async with mcpc.Client(served.uri, token=f"wrong-{TOKEN}", reconnect=False):
                        pass
                assert TOKEN not in str(refused.value)
    assert KEY not in ours(caplog)
    assert TOKEN not in ours(caplog)


async def test_what_a_peer_says_stays_on_one_line_of_our_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logger = logger_of("mcpc.bridge.links")
    logger.warning("it said %s", EVIL)
    assert caplog.messages == [r"it said gone\n2026-01-01 CRITICAL forged\x1b[31mred\x9b\u202egnp"]
    logger.info("a tab\tand an umlaut ü stay")
    assert caplog.messages[1] == "a tab\tand an umlaut ü stay"

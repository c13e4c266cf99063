"""A background worker has all that an ordinary tool has, over every transport, long after its call was answered."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.server.auth.provider import AccessToken
from pydantic import FileUrl

import mcpc
from context_server import KINDS, make_context_server
from support import TEMPLATES, Certificates, serving

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

WITH_REQUESTS = frozenset(scheme for scheme in TEMPLATES if scheme.removeprefix("sse+").startswith(("ws", "http")))
"""Those whose connections or messages are HTTP requests, with headers and tokens."""


class Tokens:
    """Knows one token."""

    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="ann", scopes=[], subject="42") if token == "secret" else None


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    if request.param == "FastMCP" and anyio_backend == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return request.param


@asynccontextmanager
async def dialled(
    scheme: str, kind: str, tmp_path: Path, certificates: Certificates, **options: Any
) -> AsyncGenerator[mcpc.Client]:
    """A client of a server of that kind, over that transport, known by its token where there can be one."""
    if scheme == "stdio":
        program = Path(__file__).parents[1] / "kits" / "context_server.py"
        async with mcpc.Client(f"stdio:{sys.executable} {program} {kind}", **options) as client:
            yield client
        return
    known = {"token_verifier": Tokens()} if scheme in WITH_REQUESTS else {}
    options |= {"token": "secret", "headers": {"X-Team": "blue"}} if known else {}
    async with serving(scheme, tmp_path, make_context_server(kind), certificates, **known) as served:
        async with mcpc.Client(served.uri, **options, **served.options) as client:
            yield client


def said(data: Any) -> Any:
    """What a log entry says: FastMCP puts it into an object."""
    return data.get("msg", data) if isinstance(data, dict) else data  # pyright: ignore


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("scheme", TEMPLATES)
async def test_a_worker_tells_asks_and_knows_what_an_ordinary_tool_does(
    scheme: str, kind: str, mode: str, tmp_path: Path, certificates: Certificates
) -> None:
    logs: list[Any] = []
    logged = {2: anyio.Event()}

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        logs.append((params.level, said(params.data)))
        if len(logs) in logged:
            logged[len(logs)].set()

    async def sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        assert params.max_tokens == 9
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text="red"), model="m"
        )

    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl("file:///rows"))])

    team, name = ("blue", "ann") if scheme in WITH_REQUESTS else (None, None)
    with anyio.fail_after(60):
        async with dialled(
            scheme,
            kind,
            tmp_path,
            certificates,
            mode=mode,
            logging_callback=on_log,
            sampling_callback=sample,
            list_roots_callback=roots,
        ) as client:
            for tool in ("on_loop", "in_thread"):
                task = await client.start_task(tool)
                async for message in task:  # the call was answered with the first
                    if message.event != "update":
                        continue
                    if "prompt" in message.result:
                        for prompt_id in list(task.prompts):
                            await task.answer(prompt_id, {"size": "small"})
                    else:
                        assert message.result == {"progress": 1, "total": 2, "message": "half"}
                answered = {"size": "small", "colour": "red", "roots": ["file:///rows"]}
                known = {**answered, "client": name, "team": team, "answer": 42, "injected": team}
                assert await task.result() == known
            await logged[2].wait()
    assert logs == [("info", "hello")] * 2

"""What servers of the SDK ask in the standard's way, answered by our client: both eras, over any transport."""

import json
import shlex
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import mcp
import pytest
from mcp.client._memory import InMemoryTransport
from mcp.client.session import ClientRequestContext
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    Root,
    TextContent,
)
from pydantic import FileUrl

import mcpc
from standard_server import serving_with_uvicorn, standard_server
from support import ASYNCIO_ONLY, HERE, serving

pytestmark = pytest.mark.anyio

ERAS = ["auto", "legacy"]


def answer(prompt: mcpc.Prompt) -> Any:
    """A person's answers, one a text and one a form."""
    return {"city": "Bern", "floor": 2} if prompt.message == "where?" else "red"


ANSWERED = {"auto": "colour={'colour': 'red'} place={'city': 'Bern', 'floor': 2}", "legacy": "colour=red"}
DECLINED = {"auto": "colour=None place=None", "legacy": "decline"}


@asynccontextmanager
async def connected(mode: str, **options: Any) -> AsyncGenerator[mcpc.Client]:
    """A client of the server, over streams of the SDK's."""
    with anyio.fail_after(60):
        async with mcpc.Client(InMemoryTransport(standard_server()), mode=mode, **options) as client:
            assert not client.supports_mcpc
            yield client


@asynccontextmanager
async def standard(transport: str) -> AsyncGenerator[Any]:
    """Where such a server is, over transports of the SDK's alone."""
    if transport == "stdio":
        yield f"stdio:{sys.executable} {HERE}/standard_server.py"
    elif transport == "http":
        async with serving_with_uvicorn(standard_server().streamable_http_app()) as address:
            yield f"{address}/mcp"
    else:
        async with serving_with_uvicorn(standard_server().sse_app()) as address:
            yield f"sse+{address}/sse"


def text_of(result: Any) -> str:
    return result.content[0].text


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
@pytest.mark.parametrize("mode", ERAS)
async def test_a_prompt_handler_answers_what_a_standard_server_asks(
    mode: str, transport: str, anyio_backend_name: str
) -> None:
    if transport != "stdio" and anyio_backend_name != "asyncio":
        pytest.skip("uvicorn needs asyncio")
    if (transport, mode) == ("sse", "auto"):
        pytest.skip("HTTP+SSE has the older era only")
    with anyio.fail_after(60):
        async with standard(transport) as uri, mcpc.Client(uri, mode=mode) as client:
            assert not client.supports_mcpc
            client.on_prompt(answer)
            assert text_of(await client.call_tool("paint")) == ANSWERED[mode]
            assert await (await client.start_task("paint")).result() == ANSWERED[mode]


@pytest.mark.parametrize("scheme", ["memory", "unix", "ws", "http"])
@pytest.mark.parametrize("mode", ERAS)
async def test_a_prompt_handler_answers_what_an_ordinary_tool_of_a_server_with_a_helper_asks(
    mode: str, scheme: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    if scheme in ASYNCIO_ONLY and anyio_backend_name != "asyncio":
        pytest.skip("uvicorn needs asyncio")
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, standard_server()) as served:
            async with mcpc.Client(served.uri, mode=mode) as client:
                assert client.supports_mcpc
                client.on_prompt(answer)
                assert text_of(await client.call_tool("paint")) == ANSWERED[mode]
                assert await (await client.start_task("paint")).result() == ANSWERED[mode]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_question_of_a_started_call_is_a_prompt_of_its_handle_which_may_be_answered_there(mode: str) -> None:
    async with connected(mode) as client:
        task = await client.start_task("paint", session_id="chat")
        wanted = 2 if mode == "auto" else 1
        with pytest.raises(mcpc.PromptError):
            await task.answer("not asked", 1)
        async for message in task:
            prompt = mcpc.messages.prompt_of(message)
            if prompt is None:
                continue
            assert (prompt.tool_name, prompt.session_id, task.status) == ("paint", "chat", "waiting")
            if prompt.message == "where?":
                with pytest.raises(mcpc.PromptError, match="object"):
                    await task.answer(prompt.id, "nowhere")
                with pytest.raises(mcpc.PromptError, match="texts"):
                    await task.answer(prompt.id, {"city": {"name": "Bern"}})
            await task.answer(prompt.id, answer(prompt))
            wanted -= 1
        assert (wanted, await task.result(), task.prompts) == (0, ANSWERED[mode], {})


@pytest.mark.parametrize("mode", ERAS)
async def test_what_nobody_can_answer_is_declined_and_a_handler_that_fails_declines_too(mode: str) -> None:
    async with connected(mode) as client:
        assert text_of(await client.call_tool("paint")) == DECLINED[mode]

        @client.on_prompt
        def fails(prompt: mcpc.Prompt) -> Any:  # pyright: ignore[reportUnusedFunction]
            raise SystemExit("no idea")

        assert text_of(await client.call_tool("paint")) == DECLINED[mode]
        client.on_prompt(lambda prompt: {"colour": {"red": 1}})
        assert text_of(await client.call_tool("paint")) == DECLINED[mode]


@pytest.mark.parametrize("mode", ERAS)
async def test_an_elicitation_callback_answers_where_there_is_no_handler(mode: str) -> None:
    async def callback(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        content: Any = {"colour": "blue"} if params.message != "where?" else {"city": "Rome", "floor": 1}
        return ElicitResult(action="accept", content=content)

    async with connected(mode, elicitation_callback=callback) as client:
        wanted = "colour=blue" if mode == "legacy" else "colour={'colour': 'blue'} place={'city': 'Rome', 'floor': 1}"
        assert text_of(await client.call_tool("paint")) == wanted
        assert await (await client.start_task("paint")).result() == wanted
        client.on_prompt(answer)
        assert text_of(await client.call_tool("paint")) == ANSWERED[mode]


async def test_in_the_newer_era_a_request_says_whether_its_client_can_be_asked_now() -> None:
    async with connected("auto") as client:
        assert (await client.call_tool("can_ask")).structured_content == {"result": False}
        assert await (await client.start_task("can_ask")).result() is True, "a handle can be answered by its holder"
        client.on_prompt(answer)
        assert (await client.call_tool("can_ask")).structured_content == {"result": True}


async def test_the_questions_of_two_open_calls_of_the_older_era_go_to_the_handler_alone() -> None:
    seen: list[mcpc.Prompt] = []
    both = anyio.Event()

    async with connected("legacy") as client:

        @client.on_prompt
        async def answers(prompt: mcpc.Prompt) -> str:  # pyright: ignore[reportUnusedFunction]
            seen.append(prompt)
            if len(seen) == 2:
                both.set()
            await both.wait()
            return "red"

        one, two = await client.start_task("paint"), await client.start_task("paint")
        assert [await one.result(), await two.result()] == ["colour=red", "colour=red"]
        assert len(seen) == 2


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")  # the tool asks in the old way
@pytest.mark.parametrize("kind", ["ours", "the SDK's"])
async def test_sampling_and_roots_callbacks_work_as_with_the_sdks_client(kind: Literal["ours", "the SDK's"]) -> None:
    server = MCPServer[Any]("asks", log_level="WARNING")

    @server.tool()
    async def think(ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        session: Any = ctx.session
        roots = (await session.list_roots()).roots
        made = await session.create_message([], max_tokens=9)
        return f"{roots[0].uri} {made.content.text}"

    async def sample(context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
        content = TextContent(type="text", text=f"{params.max_tokens} words")
        return CreateMessageResult(role="assistant", content=content, model="none")

    async def roots(context: ClientRequestContext) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=FileUrl("file:///here"))])

    options: Any = {"mode": "legacy", "sampling_callback": sample, "list_roots_callback": roots}
    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://asks") as listener:
            made: Any = mcpc.Client if kind == "ours" else mcp.Client
            uri: Any = listener.uri if kind == "ours" else mcpc.connect(listener.uri)
            async with made(uri, **options) as client:
                assert text_of(await client.call_tool("think")) == "file:///here 9 words"


async def test_what_has_no_params_is_sent_without_the_member_where_nobody_can_be_asked(tmp_path: Path) -> None:
    frames = tmp_path / "frames"  # servers of the TypeScript SDK leave a request unanswered whose params are null
    program = f"tee {frames} | {sys.executable} {HERE}/standard_server.py"
    with anyio.fail_after(60):
        async with mcpc.Client(f"stdio:sh -c {shlex.quote(program)}", mode="legacy") as client:
            await client.list_tools()
            await client.list_prompts()
    sent = [json.loads(line) for line in frames.read_text().splitlines()]
    assert {frame["method"] for frame in sent} >= {"tools/list", "prompts/list"}
    assert [frame for frame in sent if frame.get("params", {}) is None] == []


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
async def test_an_argument_and_an_answer_that_have_no_form_in_json_fail_alone(
    transport: str, anyio_backend_name: str
) -> None:
    if transport != "stdio" and anyio_backend_name != "asyncio":
        pytest.skip("uvicorn needs asyncio")
    with anyio.fail_after(60):
        async with standard(transport) as uri, mcpc.Client(uri, mode="legacy") as client:
            with pytest.raises(mcpc.MessageError, match="nothing was sent"):
                await client.call_tool("can_ask", {"text": "\ud800"})
            answers = iter(["\ud800", "red"])
            client.on_prompt(lambda prompt: {"colour": next(answers)})
            with pytest.raises(MCPError, match="surrogates not allowed"):
                await client.call_tool("paint")
            assert text_of(await client.call_tool("paint")) == ANSWERED["legacy"]

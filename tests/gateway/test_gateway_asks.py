"""What a server behind a gateway asks of a client's program goes to the client whose call it is, and to no other."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp
import mcp_types as types
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import CreateMessageResult, InputRequiredResult, SamplingMessage, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

import mcpc
from gateway_kit import behind
from mcpc.gateway import catalogue, child

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

DEADLINE = 60

QUESTION = SamplingMessage(role="user", content=TextContent(type="text", text="which colour?"))
PARAMS = types.CreateMessageRequestParams(messages=[QUESTION], max_tokens=9, temperature=0.5)

FORM: dict[str, Any] = {"type": "object", "properties": {"size": {"type": "string"}}, "required": ["size"]}
WISH = types.ElicitRequestFormParams(message="which size?", requested_schema=FORM)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine is waited for."""
    monkeypatch.setattr(catalogue, "PATIENCE", DEADLINE)
    monkeypatch.setattr(child, "SETTLING", DEADLINE)


class Behind:
    """A server that asks for a colour and for roots, in a background tool and in an ordinary one."""

    def __init__(self) -> None:
        self.server = MCPServer[Any]("behind", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(self.server)
        for tool in (self.think, self.order):
            callbacks.tool()(tool)
        for tool in (self.paint, self.sleep, self.meet, self.choose):
            self.server.tool()(tool)
        self.server.prompt()(self.hint)
        self.sleeps, self.wake = anyio.Event(), anyio.Event()
        self.met = 0

    async def think(self, ctx: Context[Any, Any], task: mcpc.Task) -> str:
        """In the background."""
        await task.update("thinking")
        return await asked_in_requests(ctx)

    async def order(self, task: mcpc.Task) -> str:
        """In the background, with a question of MCPC's own."""
        return await task.ask("which size?")

    async def paint(self, ctx: Context[Any, Any]) -> str | InputRequiredResult:
        """An ordinary tool, in the way of its caller's era."""
        if ctx.request_context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return await asked_in_requests(ctx)
        responses: Any = ctx.input_responses
        if not responses:
            requests: Any = {"colour": types.CreateMessageRequest(params=PARAMS), "roots": types.ListRootsRequest()}
            return InputRequiredResult(input_requests=requests)
        return f"{responses['colour'].content.text} at {responses['roots'].roots[0].uri}"

    async def choose(self, ctx: Context[Any, Any]) -> str | InputRequiredResult:
        """An ordinary tool that has something to do, too, where its user will not answer."""
        if ctx.request_context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return f"did without: {(await ctx.session.elicit_form(WISH.message, FORM, ctx.request_id)).action}"
        responses: Any = ctx.input_responses
        if not responses:
            return InputRequiredResult(input_requests={"size": types.ElicitRequest(params=WISH)})
        return f"did without: {responses['size'].action}"

    async def sleep(self) -> None:
        """Ask nothing, until it is woken."""
        self.sleeps.set()
        await self.wake.wait()

    async def meet(self, ctx: Context[Any, Any]) -> str:
        """Ask once two calls are here."""
        self.met += 1
        if self.met == 2:
            self.wake.set()
        await self.wake.wait()
        answer = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
            [QUESTION], max_tokens=9, temperature=0.5, related_request_id=ctx.request_id
        )
        assert isinstance(answer.content, TextContent)
        return answer.content.text

    async def hint(self, ctx: Context[Any, Any]) -> str:
        """A prompt that asks, though it is no call of a tool."""
        told = await asked_in_requests(ctx)
        try:
            await ctx.session.elicit_form("which size?", {"type": "object", "properties": {}}, ctx.request_id)
        except MCPError as exc:
            told += f"; {exc}"
        return told


async def asked_in_requests(ctx: Context[Any, Any]) -> str:
    try:
        answer = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
            [QUESTION], max_tokens=9, temperature=0.5, related_request_id=ctx.request_id
        )
        roots = await ctx.session.list_roots()  # pyright: ignore[reportDeprecated]
    except MCPError as exc:
        return f"refused: {exc}"
    assert isinstance(answer.content, TextContent)
    return f"{answer.content.text} at {roots.roots[0].uri}"


def program(colour: str) -> dict[str, Any]:
    """The callbacks of a client whose model likes one colour."""

    async def sample(context: Any, params: types.CreateMessageRequestParams) -> CreateMessageResult:
        assert (params.max_tokens, params.temperature) == (9, 0.5)
        assert params.messages == [QUESTION]
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text=colour), model="m")

    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=f"file:///{colour}")])  # type: ignore[arg-type]

    return {"sampling_callback": sample, "list_roots_callback": roots}


@asynccontextmanager
async def gateway_before(asking: Behind, era: str, uri: str) -> AsyncGenerator[mcpc.Gateway]:
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.listen(asking.server, uri) as inner,
            mcpc.Gateway(behind(era, inner.uri)) as gateway,
        ):
            yield gateway


BEHIND = pytest.mark.parametrize(("era", "uri"), [("newer", "tcp://127.0.0.1:0"), ("older", "memory://asks-behind")])


@BEHIND
async def test_a_client_of_ours_is_asked_by_background_and_ordinary_tools(era: str, uri: str) -> None:
    async with (
        gateway_before(Behind(), era, uri) as gateway,
        mcpc.Client(gateway.server, **program("red")) as red,
        mcpc.Client(gateway.server, **program("blue")) as blue,
    ):
        for client, colour in ((red, "red"), (blue, "blue")):
            for tool in ("one__think", "one__paint"):
                assert await (await client.start_task(tool)).result() == f"{colour} at file:///{colour}"
        assert "red" in str((await red.call_tool("one__paint", {})).content)


@BEHIND
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_plain_caller_is_asked_in_the_way_of_its_era(era: str, uri: str, mode: Any) -> None:
    async with gateway_before(Behind(), era, uri) as gateway, mcpc.listen(gateway.server, "memory://asks") as outer:
        async with mcp.Client(mcpc.connect(outer.uri), mode=mode, **program("red")) as plain:
            for tool in ("one__think", "one__paint"):
                answer = await plain.call_tool(tool, {})
                assert answer.structured_content == {"result": "red at file:///red"}, tool


@BEHIND
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_user_who_will_not_answer_is_no_end_of_the_call_the_tool_is_told(era: str, uri: str, mode: Any) -> None:
    chosen: list[Any] = ["decline", "cancel"]

    async def refuse(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action=chosen[0])

    async with gateway_before(Behind(), era, uri) as gateway, mcpc.listen(gateway.server, "memory://no") as outer:
        async with mcp.Client(mcpc.connect(outer.uri), mode=mode, elicitation_callback=refuse) as plain:
            while chosen:
                answer = await plain.call_tool("one__choose", {})
                assert answer.structured_content == {"result": f"did without: {chosen.pop(0)}"}


async def test_a_background_tool_whose_user_will_not_answer_is_stopped_and_its_caller_told_why() -> None:
    async def refuse(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    async with (
        gateway_before(Behind(), "newer", "memory://stops-behind") as gateway,
        mcpc.listen(gateway.server, "memory://stops") as outer,
        mcp.Client(mcpc.connect(outer.uri), elicitation_callback=refuse) as plain,
    ):
        answer = await plain.call_tool("one__order", {})
        assert answer.is_error
        assert "the user chose to decline the question" in str(answer.content)


@BEHIND
async def test_a_caller_that_answers_no_such_requests_is_not_asked_and_the_server_is_told(era: str, uri: str) -> None:
    async with gateway_before(Behind(), era, uri) as gateway, mcpc.Client(gateway.server) as client:
        assert "refused" in await (await client.start_task("one__think")).result()


async def test_where_several_calls_are_open_on_one_connection_of_the_older_era_nobody_is_asked() -> None:
    asking = Behind()
    async with (
        gateway_before(asking, "older", "tcp://127.0.0.1:0") as gateway,
        mcpc.Client(gateway.server, **program("red")) as red,
        mcpc.Client(gateway.server, **program("blue")) as blue,
    ):
        sleeping = await red.start_task("one__sleep")
        await asking.sleeps.wait()
        told = await (await blue.start_task("one__paint")).result()
        assert "refused: this client is a gateway, which serves many" in told
        asking.wake.set()
        await sleeping.result()
        assert await (await blue.start_task("one__paint")).result() == "blue at file:///blue"


async def test_a_request_that_belongs_to_no_call_of_a_tool_is_refused() -> None:
    async with (
        gateway_before(Behind(), "older", "memory://asks-nobody") as gateway,
        mcpc.Client(gateway.server, **program("red")) as client,
    ):
        hint = await client.get_prompt("one__hint")
        assert str(hint.messages[0].content).count("it can ask one of them only for a call of a tool") == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_http_each_of_two_calls_at_once_asks_its_own_caller() -> None:
    async with (
        gateway_before(Behind(), "older", "http://127.0.0.1:0/mcp") as gateway,
        mcpc.Client(gateway.server, **program("red")) as red,
        mcpc.Client(gateway.server, **program("blue")) as blue,
    ):
        first, second = await red.start_task("one__meet"), await blue.start_task("one__meet")
        assert (await first.result(), await second.result()) == ("red", "blue")

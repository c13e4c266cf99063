"""A worker asks the client's model or for its roots, whoever follows its task, and is told where it cannot."""

from typing import Any

import anyio
import mcp
import mcp_types as types
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import CreateMessageResult, ErrorData, SamplingMessage, TextContent
from pydantic import BaseModel

import mcpc
from sep2663_kit import by_hand

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


class Answer(BaseModel):
    size: str


def make_server(**options: Any) -> MCPServer[Any]:
    server = MCPServer[Any]("samples", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, **options)

    @callbacks.tool()
    async def sample(ctx: Context[Any, Any], task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.update("asking")
        question = SamplingMessage(role="user", content=TextContent(type="text", text="which colour?"))
        try:
            answer = await ctx.session.create_message([question], max_tokens=9, related_request_id=ctx.request_id)  # pyright: ignore[reportDeprecated]
        except MCPError as exc:
            return f"refused: {exc}"
        assert isinstance(answer.content, TextContent)
        return answer.content.text

    @callbacks.tool()
    async def both(ctx: Context[Any, Any]) -> list[str]:  # pyright: ignore[reportUnusedFunction]
        """Ask the user and the model at once."""
        answers: dict[str, str] = {}

        async def user() -> None:
            asked = await ctx.elicit("which size?", Answer)
            assert asked.action == "accept"
            answers["size"] = asked.data.size

        async def model() -> None:
            question = SamplingMessage(role="user", content=TextContent(type="text", text="which colour?"))
            answer = await ctx.session.create_message([question], max_tokens=9)  # pyright: ignore[reportDeprecated]
            assert isinstance(answer.content, TextContent)
            answers["colour"] = answer.content.text

        async with anyio.create_task_group() as group:
            group.start_soon(user)
            group.start_soon(model)
        return [answers["size"], answers["colour"]]

    return server


async def red(context: Any, params: types.CreateMessageRequestParams) -> CreateMessageResult:
    assert params.max_tokens == 9
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="red"), model="m")


async def unwilling(context: Any, params: Any) -> ErrorData:
    return ErrorData(code=-1, message="no budget")


async def broken(context: Any, params: Any) -> CreateMessageResult:
    raise OSError("secret")


async def small(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"size": "small"})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_of_ours_answers_with_its_callback_and_its_prompt_handler_sees_nothing(mode: str) -> None:
    prompts: list[mcpc.Prompt] = []
    with anyio.fail_after(60):
        async with mcpc.Client(make_server(), mode=mode, sampling_callback=red) as client:

            @client.on_prompt
            def answer(prompt: mcpc.Prompt) -> Any:  # pyright: ignore[reportUnusedFunction]
                prompts.append(prompt)
                return {"size": "small"}

            assert await (await client.start_task("sample")).result() == "red"
            assert prompts == []
            assert await (await client.start_task("both")).result() == ["small", "red"]
            assert [prompt.message for prompt in prompts] == ["which size?"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(("callback", "said"), [(unwilling, "no budget"), (broken, "program failed")])
async def test_the_worker_is_told_what_went_wrong(mode: str, callback: Any, said: str) -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(make_server(), mode=mode, sampling_callback=callback) as client:
            result = await (await client.start_task("sample")).result()
            assert said in result
            assert "secret" not in result


async def test_a_worker_whose_client_declared_no_model_is_told_so_and_waits_for_nothing() -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(make_server()) as client:
            assert "refused" in await (await client.start_task("sample")).result()
        async with mcpc.listen(make_server(), "memory://samples") as listener:
            async with mcp.Client(mcpc.connect(listener.uri)) as plain:
                answer = await plain.call_tool("sample")
                assert isinstance(answer.content[0], TextContent)
                assert "refused" in answer.content[0].text
            async with by_hand(listener.uri) as hand:
                ended = await hand.until((await hand.call("sample"))["taskId"], "completed")
                assert "refused" in ended["result"]["structuredContent"]["result"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_plain_caller_is_asked_as_its_era_allows(mode: Any) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), "memory://samples") as listener:
            transport = mcpc.connect(listener.uri)
            client = mcp.Client(transport, mode=mode, sampling_callback=red, elicitation_callback=small)
            async with client as caller:
                assert (await caller.call_tool("sample")).structured_content == {"result": "red"}
                answer = await caller.call_tool("both")
                assert answer.structured_content == {"result": ["small", "red"]}


async def test_a_follower_by_the_tasks_extension_is_asked_by_the_standards_request() -> None:
    declared: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}, "sampling": {}}
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), "memory://samples") as listener, by_hand(listener.uri) as hand:
            task_id = (await hand.call("sample", capabilities=declared))["taskId"]
            ((key, request),) = (await hand.until(task_id, "input_required"))["inputRequests"].items()
            assert request["method"] == "sampling/createMessage"
            assert request["params"]["maxTokens"] == 9
            wrong = {"taskId": task_id, "inputResponses": {key: {"role": "assistant"}}}
            assert "no response to sampling/createMessage" in (await hand.refusal("tasks/update", wrong))["message"]
            content = {"type": "text", "text": "blue"}
            right = {"role": "assistant", "content": content, "model": "m"}
            await hand.ask("tasks/update", {"taskId": task_id, "inputResponses": {key: right}})
            ended = await hand.until(task_id, "completed")
            assert ended["result"]["structuredContent"] == {"result": "blue"}

# type: ignore - it runs in an environment of its own, on versions of packages that the checker does not see
"""pydantic-ai: a turn is `agent.run`; news that come during a run are enqueued into it."""

import sys

import anyio
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import FunctionModel
from story import live, wanted


def model(messages, info):
    """A fake model: it reads the newest text."""
    texts = [part.content for part in messages[-1].parts if isinstance(part, UserPromptPart)]
    texts = [text if isinstance(text, str) else "".join(map(str, text)) for text in texts]
    calls = [ToolCallPart(name, arguments) for text in texts for name, arguments in wanted(text)]
    return ModelResponse(parts=calls or [TextPart("noted")])


def by_turns(inbox):
    """Each news is a turn of its own."""
    agent = Agent(FunctionModel(model), tools=inbox.tools())
    history = []

    async def turn(text):
        nonlocal history
        history = (await agent.run(text, message_history=history)).all_messages()

    return turn


def during_a_run(inbox):
    """News that come while a run goes on are enqueued into it. The first run reads something until there are some."""
    reading, came = anyio.Event(), anyio.Event()

    async def read_the_manual() -> str:
        """Takes its time."""
        reading.set()
        await came.wait()
        return "read"

    def reads_then(messages, info):
        returned = [part.tool_name for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        if returned == ["start_task"] and not came.is_set():
            return ModelResponse(parts=[ToolCallPart("read_the_manual", {})])
        return model(messages, info)

    agent = Agent(FunctionModel(reads_then), tools=[*inbox.tools(), read_the_manual])

    async def pump(run):
        await reading.wait()
        run.enqueue(str(await inbox.wait(30)))
        came.set()

    async def turn(text):
        async with agent.iter(text) as run, anyio.create_task_group() as group:
            if not came.is_set():
                group.start_soon(pump, run)
            async for _ in run:
                pass
        print("in one run:", "answer_question" in str(run.all_messages()), file=sys.stderr)

    return turn


live(during_a_run if sys.argv[1:] == ["enqueue"] else by_turns)

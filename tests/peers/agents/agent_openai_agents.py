# type: ignore - it runs in an environment of its own, on versions of packages that the checker does not see
"""openai-agents: a turn is `Runner.run`."""

import json

from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from story import live, wanted

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled

set_tracing_disabled(True)


class FakeModel(Model):
    """A fake model: it reads the newest text."""

    async def get_response(self, system_instructions, input, *args, **options):  # noqa: A002 - the framework's name
        newest = input if isinstance(input, str) else input[-1]
        text = newest if isinstance(newest, str) else newest.get("content", "") if newest.get("role") == "user" else ""
        calls = [
            ResponseFunctionToolCall(
                type="function_call", call_id=f"{name}{number}", name=name, arguments=json.dumps(arguments)
            )
            for number, (name, arguments) in enumerate(wanted(text))
        ]
        said = ResponseOutputMessage(
            id="m",
            type="message",
            role="assistant",
            status="completed",
            content=[ResponseOutputText(type="output_text", text="noted", annotations=[])],
        )
        return ModelResponse(output=calls or [said], usage=Usage(), response_id=None)

    def stream_response(self, *args, **options):
        raise NotImplementedError("this story does not stream")


def by_turns(inbox):
    """Each news is a turn of its own."""
    agent = Agent(name="ops", model=FakeModel(), tools=[function_tool(tool) for tool in inbox.tools()])
    history = []

    async def turn(text):
        nonlocal history
        result = await Runner.run(agent, [*history, {"role": "user", "content": text}])
        history = result.to_input_list()

    return turn


live(by_turns)

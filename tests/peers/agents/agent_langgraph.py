# type: ignore - it runs in an environment of its own, on versions of packages that the checker does not see
"""LangGraph: a turn is `graph.ainvoke`; the graph is LangChain's agent."""

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from story import live, wanted


class FakeModel(BaseChatModel):
    """A fake model: it reads the newest text."""

    @property
    def _llm_type(self):
        return "fake"

    def bind_tools(self, tools, **options):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **options):
        newest = messages[-1]
        named = wanted(newest.content) if isinstance(newest, HumanMessage) else []
        calls = [{"name": name, "args": args, "id": f"{name}{n}"} for n, (name, args) in enumerate(named)]
        message = AIMessage(content="" if calls else "noted", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])


def by_turns(inbox):
    """Each news is a turn of its own."""
    tools = [StructuredTool.from_function(coroutine=tool) for tool in inbox.tools()]
    graph = create_agent(FakeModel(), tools)
    history = []

    async def turn(text):
        nonlocal history
        history = (await graph.ainvoke({"messages": [*history, HumanMessage(text)]}))["messages"]

    return turn


live(by_turns)

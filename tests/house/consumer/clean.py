"""A program of a user: nothing in it may be an error to a strict type checker. Checked, not run."""

from typing import Any, Unpack, assert_type

from mcp.server import MCPServer

import mcpc

server = MCPServer("consumer")
callbacks = mcpc.MCPCHelper(server, plain="handle", after=2.0, max_tasks=10, task_ttl=60)


@callbacks.tool("job", description="Works.", title="Job", on_interrupt="restart", max_attempts=2, meta={"a": 1})
async def job(n: int, task: mcpc.Task) -> dict[str, int]:
    """A worker."""
    await task.update({"progress": 1})
    answer = await task.ask("Which?", choices=["a", "b"], timeout=3)
    async for value in task.inputs():
        print(value, answer)
    return {"rows": n}


@callbacks.tool()
def blocking(task: mcpc.SyncTask) -> int:
    """A worker in a thread."""
    task.update("half")
    return 1


def told(state: mcpc.ConnectionState) -> None:
    """A narrow callback."""
    if state == "lost":
        print("lost")


def told_of_anything(state: str) -> None:
    """A wide one."""


async def on_message(message: mcpc.MCPCMessage) -> None:
    """An async listener."""
    print(message.event, message.result)


async def use(**options: Unpack[mcpc.ClientOptions]) -> Any:
    """A client, its handle and its listeners."""
    async with mcpc.Client("ws://127.0.0.1:1/mcp", on_connection=told, reconnect=True, **options) as client:
        registration = client.add_event_listener(on_message, task_id="t", type="task", capacity=3, overflow="block")
        client.add_event_listener(lambda message: print(message.event))
        registration.remove()

        @client.on_prompt
        async def answer(prompt: mcpc.Prompt) -> str:
            return prompt.message

        task = await client.start_task("job", {"n": 3}, session_id="s", overflow="drop_oldest")
        async for message in task:
            print(message.event, answer)
        if task.status == "lost":
            print("lost")
        state = await task.state()
        assert_type(state, mcpc.TaskInfo)
        if state["status"] == "waiting":
            await task.answer("p", "a")
        result = await client.call_tool("add", {"a": 1})
        print(result.content, client.tasks["t"].ended)
        return await task.result()


async def listen(**options: Unpack[mcpc.ListenOptions]) -> None:
    """A listener, and the same with options of a transport of others."""
    async with mcpc.listen(server, "ws://127.0.0.1:0/mcp", transport_options=None, **options) as served:
        print(served.uri, served.name)
    async with mcpc.listen(server, "ws://127.0.0.1:0/mcp", allowed_origins=["*"]):
        pass
    async with mcpc.listen(server, "nats://x", transport_options={"subject": "s"}):
        pass
    mcpc.Client("nats://x", on_connection=told_of_anything, transport_options={"subject": "s"})
    mcpc.Client("wss://x", token="t", ping_interval=None, headers={"a": "b"}, mode="legacy")
    mcpc.connect("stdio:python server.py", env={"A": "b"}, cwd="/")
    await mcpc.serve(server, "tcp://127.0.0.1:0", allow_remote=True, on_listening=print)


def main() -> None:
    """A program."""
    mcpc.asgi_app(server, path="/mcp", transports=["http"], allowed_hosts=["example.org"])
    mcpc.run(server, "http://127.0.0.1:0/mcp", backend="asyncio", stateless=True)


async def bridged() -> None:
    """A bridge, and errors."""
    try:
        async with mcpc.bridging("tcp://127.0.0.1:0", "stdio:python server.py", listen_options={"backlog": 3}) as at:
            print(at.uri)
    except mcpc.ListenFailed as error:
        print(error)
    except mcpc.TaskFailed as error:
        print(error.task_id, error.result)

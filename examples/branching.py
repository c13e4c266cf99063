"""Several tasks in several conversations of one client, each followed by those whom it concerns."""

from typing import Any

import anyio
import command
from mcp.server import MCPServer

import mcpc

server = MCPServer("analyst", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
async def analyse(subject: str, task: mcpc.Task) -> dict[str, Any]:
    """Analyse something in three steps, once there are figures."""
    figures = await anext(task.inputs())
    for step in ("reading", "comparing", "writing"):
        await task.update(f"{step} about {subject}")
        await anyio.sleep(0.05)
    return {"report": f"all about {subject}, {figures}"}


@callbacks.tool()
async def monitor(subject: str, task: mcpc.Task) -> None:
    """Report on something for as long as nobody stops it."""
    while not task.stop_requested:
        await task.update(f"{subject} is quiet")
        with anyio.move_on_after(0.1):
            await task.stopping()
    task.check_stopped()  # ends the task as stopped, which "complete" would not say


async def conversation(client: mcpc.Client) -> None:
    seen: dict[str, list[str]] = {"sales": [], "support": []}

    def listener_for(session: str) -> Any:
        return lambda message: seen[session].append(message.event)

    for session in seen:
        client.add_event_listener(listener_for(session), session_id=session)
    # Whatever the conversation, somebody may want to hear of results only.
    client.add_event_listener(
        lambda message: print(f"{message.session_id}: {message.result['report']}"), event="complete"
    )

    prices = await client.start_task("analyse", {"subject": "prices"}, session_id="sales")
    rivals = await client.start_task("analyse", {"subject": "rivals"}, session_id="sales")
    inbox = await client.start_task("monitor", {"subject": "the inbox"}, session_id="support")
    running = sorted(f"{task.session_id}/{task.tool_name}" for task in client.tasks.values())
    print(f"running: {', '.join(running)}")

    for task in (prices, rivals):
        await task.send("by the figures of May")
    await prices.result()
    await rivals.result()
    # The conversation of the one goes on while the other's tasks end.
    print(f"still running: {', '.join(task.tool_name for task in client.tasks.values())}")
    await inbox.stop()
    try:
        await inbox.result()
    except mcpc.TaskStopped:
        print("support: the monitor was stopped")
    print(f"sales heard of {seen['sales'].count('complete')} results, support of {seen['support'].count('complete')}")


if __name__ == "__main__":
    command.main(server, conversation)

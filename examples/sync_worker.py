"""A worker without `async`: it runs in a thread, and the task's names block instead of being awaited."""

import hashlib

import command
from mcp.server import MCPServer

import mcpc

server = MCPServer("hasher", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
def hash_blocks(blocks: int, task: mcpc.SyncTask) -> dict[str, str]:
    """Hash so many blocks of zeros."""
    digest = hashlib.sha256()
    for number in range(1, blocks + 1):
        # A thread cannot be cancelled from outside, so a long worker looks now and then.
        task.check_stopped()
        digest.update(bytes(1 << 16))
        if number % max(blocks // 4, 1) == 0:
            task.update({"status": f"block {number}/{blocks}", "progress": 100 * number / blocks})
    return {"sha256": digest.hexdigest()}


async def conversation(client: mcpc.Client) -> None:
    task = await client.start_task("hash_blocks", {"blocks": 400})
    async for message in task:
        print(message.event, message.result)

    endless = await client.start_task("hash_blocks", {"blocks": 10_000_000})
    await endless.stop()
    try:
        await endless.result()
    except mcpc.TaskStopped as stopped:
        print(stopped)


if __name__ == "__main__":
    command.main(server, conversation)

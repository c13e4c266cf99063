"""What `mcpc watch` does: it shows what a server says, or one task."""

from datetime import datetime

import anyio

import mcpc
from mcpc.cli.connecting import connected
from mcpc.cli.following import Follower
from mcpc.cli.mistakes import COMPLETE, FAILED, UserMistake
from mcpc.cli.remembered import Remembered
from mcpc.cli.running import run, until_signal
from mcpc.cli.speech import OutputEnded, printable, put, say
from mcpc.cli.steering import Where
from mcpc.cli.values import compact
from mcpc.cli.views import status_of

__all__ = ["Where", "watch"]


def watch(where: Where, session: str | None, *, is_task: bool, as_json: bool) -> None:
    """Show what a server sends, or one task, until Ctrl-C."""

    async def main() -> int:
        watcher = _Watcher(as_json)
        task, place = where.known()
        code = COMPLETE
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_on_signal, tasks.cancel_scope)
            async with connected(place, reconnect_timeout=None, on_connection=watcher.connection) as client:
                code = await (watcher.follow(client, task) if is_task else watcher.watch(client, session))
            tasks.cancel_scope.cancel()
        return code

    run(main)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    await until_signal()
    scope.cancel()


class _Watcher:
    """Writes what comes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._over = anyio.Event()
        self._failure: Exception = mcpc.ConnectionLost("the server has ended the connection")
        self._redials = True

    def connection(self, state: str) -> None:
        """The connection has changed its state."""
        if state != "closed":
            say(f"{_now()} connection {state}")
        if state == "lost" and not self._redials:
            self._over.set()

    async def follow(self, client: mcpc.Client, task: Remembered) -> int:
        """Show one task to its end, and ask what it asks."""
        handle = client.task(task.task_id, tool_name=task.tool_name)
        await handle
        await Follower(handle, self, as_json=self.as_json, ours=False).follow()
        task.forget()
        return COMPLETE if handle.status == "complete" else FAILED

    async def watch(self, client: mcpc.Client, session: str | None) -> int:
        """Watch until cancelled, until a connection is lost that is not dialled again, or until nobody reads us."""
        if not client.supports_mcpc:
            raise UserMistake("this server sends no callbacks: it is a plain MCP server, there is nothing to watch")
        self._redials = client.reconnect
        client.add_event_listener(self._listen, session_id=session)
        await self._over.wait()
        raise self._failure

    def _listen(self, message: mcpc.MCPCMessage) -> None:
        try:
            self.show(message)
        except OutputEnded as exc:
            self._failure = exc
            self._over.set()

    def note(self, text: str) -> None:
        """See `View`."""
        say(text)

    def pause(self) -> None:
        """See `View`: there is nothing to leave."""

    def close(self) -> None:
        """See `View`: there is nothing to leave."""

    def show(self, message: mcpc.MCPCMessage) -> None:
        """Write a message."""
        if self.as_json:
            put(compact(message.model_dump()))
            return
        about = [_now(), message.event]
        if message.type == "task":
            about.insert(1, f"{message.tool_name}[{(message.task_id or '')[:8]}]")
        if message.session_id not in (None, "*", "default"):
            about.append(f"({message.session_id})")
        put(printable(" ".join(about)) + f"  {status_of(message.result)}".rstrip())


def _now() -> str:
    return datetime.now().strftime("%H:%M:%S")

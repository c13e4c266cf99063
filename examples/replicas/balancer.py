"""A TCP load balancer, for machines without nginx: each connection goes to the next server that answers."""

import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count

import anyio
from anyio.abc import ByteStream, SocketStream, TaskStatus


class Balancer:
    """Passes connections on to these ports of this machine."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.open: list[anyio.CancelScope] = []
        """The connections. A client whose one is cancelled dials again, and is led to the next server."""
        self._ports = ports
        self._turns = count()

    async def run(self, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Do so until cancelled; tells the port that it listens at."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET) as listener:
            task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
            await listener.serve(self._serve)

    async def _serve(self, client: SocketStream) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            turn = next(self._turns)
            for number in range(len(self._ports)):
                try:
                    server = await anyio.connect_tcp("127.0.0.1", self._ports[(turn + number) % len(self._ports)])
                except OSError:
                    continue  # it is dead: the next one
                await stack.enter_async_context(server)
                async with anyio.create_task_group() as both:
                    self.open.append(both.cancel_scope)
                    both.start_soon(pump, client, server, both.cancel_scope)
                    both.start_soon(pump, server, client, both.cancel_scope)
                self.open.remove(both.cancel_scope)
                return


async def pump(source: ByteStream, target: ByteStream, scope: anyio.CancelScope) -> None:
    """Pass on what comes, until either side is gone."""
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()

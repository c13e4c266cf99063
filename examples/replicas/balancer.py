"""A TCP load balancer, for machines without nginx: each connection goes to the next server that answers."""

import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count

import anyio
from anyio.abc import ByteStream, SocketStream, TaskStatus


async def balance(ports: Sequence[int], *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
    """Pass connections on to these ports of this machine, until cancelled; tells the port that it listens at."""
    turns = count()

    async def serve(client: SocketStream) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            turn = next(turns)
            for number in range(len(ports)):
                try:
                    server = await anyio.connect_tcp("127.0.0.1", ports[(turn + number) % len(ports)])
                except OSError:
                    continue  # it is dead: the next one
                await stack.enter_async_context(server)
                async with anyio.create_task_group() as both:
                    both.start_soon(pump, client, server, both.cancel_scope)
                    both.start_soon(pump, server, client, both.cancel_scope)
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET) as listener:
        task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
        await listener.serve(serve)


async def pump(source: ByteStream, target: ByteStream, scope: anyio.CancelScope) -> None:
    """Pass on what comes, until either side is gone."""
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()

"""An ordinary tool that a client of ours has called as a task: the client is shown that it runs.

A background tool answers such a call at once. An ordinary one answers at its end, so that its caller could not tell
it from a background tool whose answer is late. Knows no kind of server.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from mcpc.logs import logger_of
from mcpc.server.call import Call
from mcpc.server.workshop import Workshop

__all__ = ["shown_to_run"]

logger: logging.Logger = logger_of(__name__)

GRACE = 0.1
"""Seconds in which a call may be answered, or its task begin, before anything is said of it."""


@asynccontextmanager
async def shown_to_run(call: Call, workshop: Workshop) -> AsyncGenerator[None]:
    """Around the handling of a call: if it takes its time and no task of its id begins, its caller is told.

    The sign is the first progress of the call: a bare 0.
    """
    if call.metadata.form != "meta" or call.metadata.task_id is None:
        yield
        return
    answered = anyio.Event()
    workshop.host.spawn(partial(_show, call, workshop, answered))
    try:
        yield
    finally:
        answered.set()


async def _show(call: Call, workshop: Workshop, answered: anyio.Event) -> None:
    with anyio.move_on_after(GRACE):
        await answered.wait()
    assert call.metadata.task_id is not None
    if answered.is_set() or workshop.registry.find(call.metadata.task_id) is not None:
        return
    try:
        await call.session.report_progress(0.0)
    except Exception as exc:
        logger.debug("a caller could not be shown that its tool runs: %s", exc)

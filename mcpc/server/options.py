"""What `MCPCHelper` and `@callbacks.tool()` take by name, for signatures: `Unpack[ToolOptions]`. Knows names only."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from mcp.server import MCPServer, Server

if TYPE_CHECKING:
    from mcp_types import Icon, ToolAnnotations

    from mcpc.stored import OnInterrupt

__all__ = ["LimitOptions", "Plain", "RunsWhere", "ToolOptions", "tool_keywords"]

Plain = Literal["wait", "handle"]
"""What a plain caller of a background tool gets: its result, or after some time a handle to its task."""
RunsWhere = Literal["here", "worker"]
"""Where a tool's tasks run: in the server that was called, or in a worker process (`mcpc worker`, `mcpc.work`)."""


class LimitOptions(TypedDict, total=False):
    """The bounds of a server, by the names in `Limits`, where each one is explained."""

    client_share: float
    max_tasks: int
    max_tasks_per_client: int | None
    max_queued: int
    abandon_after: float | None
    max_ended_tasks: int
    max_ended_bytes: int
    task_ttl: float
    max_messages: int
    max_bytes: int
    max_total_bytes: int
    max_message_size: int
    max_inputs: int
    max_input_bytes: int
    max_total_input_bytes: int
    max_requests: int
    max_request_bytes: int
    max_prompts: int
    max_rounds: int
    round_ttl: float
    max_channels: int
    channel_ttl: float
    stall_timeout: float
    stop_grace: float
    shutdown_grace: float
    lease: float


class ToolOptions(TypedDict, total=False):
    """What `@callbacks.tool()` takes. The last ones are those of one kind of server each."""

    title: str | None
    """A name for people."""
    annotations: "ToolAnnotations | None"
    """Hints for clients: whether it only reads, destroys, …"""
    icons: "list[Icon] | None"
    """Pictures for it."""
    meta: dict[str, Any] | None
    """The tool's `_meta`."""
    task_required: bool
    """Refuse callers who can follow no task (SEP-2663, error -32021) instead of making them wait."""
    plain: Plain
    """What a plain caller gets: `wait` for the result, or a `handle` to a task that lasts longer than `after`."""
    after: float
    """Seconds, for `plain="handle"`."""
    on_interrupt: "OnInterrupt"
    """What becomes of its tasks if their process dies, where there is a store: `fail`, `restart` or `resume`."""
    max_attempts: int
    """How often a task is run at the most, with `restart` and `resume`."""
    run: RunsWhere
    """Where its tasks run: `here`, in the server that was called, or in a `worker` process, with a store for both."""
    structured_output: bool | None
    """MCPServer: whether results are structured; None to see by the annotation."""
    version: str | int | None
    """FastMCP."""
    tags: set[str] | None
    """FastMCP."""
    output_schema: dict[str, Any] | None
    """FastMCP."""
    app: Any
    """FastMCP."""
    auth: Any
    """FastMCP."""
    timeout: float | None
    """FastMCP."""


_OURS = ("task_required", "plain", "after", "on_interrupt", "max_attempts", "run")
_OF_LOWLEVEL = ("title", "annotations", "icons", "meta")
_NOT_OPTIONS = {"self", "fn", "name", "name_or_fn", "description", "task", "run_in_thread"}
"""What is ours to give, or has no meaning for a background tool."""


def tool_keywords(server: Any) -> Sequence[str]:
    """What `@callbacks.tool()` takes by name for tools of this server."""
    if isinstance(server, Server):
        theirs: Sequence[str] = _OF_LOWLEVEL
    else:
        method = MCPServer[Any].add_tool if isinstance(server, MCPServer) else server.tool
        theirs = [name for name in inspect.signature(method).parameters if name not in _NOT_OPTIONS]
    return ("name", "description", *_OURS, *theirs)

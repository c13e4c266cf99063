"""The answer of a call that became a task (SEP-2663), as the SDK reads it for a client.

Specification: modelcontextprotocol/ext-tasks, specification/draft/tasks.md.
"""

from typing import ClassVar, Literal

from mcp_types import Result
from pydantic import ConfigDict

__all__ = ["CreateTaskResult"]


class CreateTaskResult(Result):
    """The answer of a call that became a task."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    result_type: Literal["task"]
    task_id: str
    status: str
    status_message: str | None = None
    created_at: str | None = None
    last_updated_at: str | None = None
    ttl_ms: float | None = None
    poll_interval_ms: float | None = None

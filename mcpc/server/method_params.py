"""What the requests of the `mcpc/*` methods carry.

Loaded with the first such request: pydantic takes its time to make each model, and a server's first answer needs none.
Knows nothing of what is done with them.
"""

from typing import Any

from mcp_types import RequestParams
from pydantic import ConfigDict, Field

from mcpc.server.reception import MAX_KEY, MIN_KEY
from mcpc.wire.requests import INPUT_KEY, LISTEN_ID, MAX_MESSAGE_SIZE, PROMPT_ID, TASK_ID

__all__ = ["InfoParams", "ListenParams", "PauseParams", "SendParams", "StateParams", "TaskParams"]

ChannelKey: Any = Field(min_length=MIN_KEY, max_length=MAX_KEY)


class _Params(RequestParams):
    model_config = ConfigDict(populate_by_name=True, extra="ignore")


class InfoParams(_Params):
    """Of `mcpc/info`."""

    mcpc_info: dict[str, Any] = Field(default_factory=dict)


class ListenParams(_Params):
    """Of `mcpc/listen`."""

    channel: str = ChannelKey
    after: int = Field(ge=0, strict=True)
    epoch: str | None = Field(default=None, max_length=256)
    max_message_size: int | None = Field(default=None, alias=MAX_MESSAGE_SIZE, ge=1, strict=True)
    forms: list[Any] = Field(default_factory=list[Any], max_length=64)
    listen_id: str | None = Field(default=None, alias=LISTEN_ID, max_length=256)


class PauseParams(_Params):
    """Of `mcpc/pause` and `mcpc/resume`."""

    channel: str = ChannelKey
    listen_id: str = Field(alias=LISTEN_ID, min_length=1, max_length=256)


class TaskParams(_Params):
    """Of `mcpc/stop`, and of others that are about a task."""

    channel: str = ChannelKey
    task_id: str = Field(alias=TASK_ID, min_length=1, max_length=1024)


class StateParams(TaskParams):
    """Of `mcpc/task`."""

    max_message_size: int | None = Field(default=None, alias=MAX_MESSAGE_SIZE, ge=1, strict=True)


class SendParams(TaskParams):
    """Of `mcpc/send`."""

    input: Any = None
    prompt_id: str | None = Field(default=None, alias=PROMPT_ID, max_length=1024)
    key: str | None = Field(default=None, alias=INPUT_KEY, min_length=1, max_length=256)

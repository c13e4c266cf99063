"""What a `tools/call` says of its session and task, in our form and the originals'."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mcp_types import CLIENT_CAPABILITIES_META_KEY

from mcpc.errors import MessageError
from mcpc.wire.jsontext import as_object
from mcpc.wire.names import ANSWERS_META, CHANNEL_META, KEY_META, SESSION_META, TASK_META
from mcpc.wire.originals import METADATA_ARGUMENT, PARAMETERS_ARGUMENT

__all__ = ["CallMetadata", "call_meta", "is_plain", "read_call", "without_elicitation"]


_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallMetadata:
    """What a `tools/call` says of its session and task, whichever form it came in."""

    session_id: str = "default"
    task_id: str | None = None
    channel: str | None = None
    form: str = "none"
    """`meta` (ours), `0.2.6`, `0.2.1`, or `none`: an ordinary call."""
    key: str | None = None
    """Names the start: the same key on the same channel is the same task."""
    answers: frozenset[str] = _NONE
    """The methods of the standard's requests that the client answers where they come as questions of its task."""


_ORDINARY = CallMetadata()


def call_meta(
    *, channel: str, session_id: str, task_id: str, key: str | None = None, answers: Sequence[str] = ()
) -> dict[str, Any]:
    """The `_meta` members of a tool call in our form."""
    meta: dict[str, Any] = {CHANNEL_META: channel, SESSION_META: session_id, TASK_META: task_id}
    if key is not None:
        meta[KEY_META] = key
    if answers:
        meta[ANSWERS_META] = list(answers)
    return meta


def read_call(params: dict[str, Any]) -> CallMetadata:
    """The MCPC metadata of a `tools/call`'s params; ours first, then the older forms inside `arguments`.

    Raises:
        MessageError: a member has the wrong type.
    """
    meta: Any = params.get("_meta")
    if isinstance(meta, dict) and (CHANNEL_META in meta or TASK_META in meta):
        return _read(cast("dict[str, Any]", meta), "meta", SESSION_META, TASK_META, CHANNEL_META)
    arguments: Any = params.get("arguments")
    if isinstance(arguments, dict):
        found = cast("dict[str, Any]", arguments)
        newer, older = found.get(PARAMETERS_ARGUMENT), found.get(METADATA_ARGUMENT)
        if isinstance(newer, dict):
            return _read(cast("dict[str, Any]", newer), "0.2.6", "session_id", "task_id", None)
        if isinstance(older, dict) and ("mcpc_session_id" in older or "mcpc_task_id" in older):
            return _read(cast("dict[str, Any]", older), "0.2.1", "mcpc_session_id", "mcpc_task_id", None)
    return _ORDINARY


def is_plain(params: Mapping[str, Any]) -> bool:
    """Whether the params of a `tools/call` say nothing of a session, a task or a channel."""
    try:
        return read_call(dict(params)).form == "none"
    except MessageError:
        return False


def _read(members: dict[str, Any], form: str, session: str, task: str, channel: str | None) -> CallMetadata:
    def text(name: str | None) -> str | None:
        value = None if name is None else members.get(name)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= 1024):
            raise MessageError(f"{name!r} must be a text of 1 to 1024 characters")
        return value

    key = text(KEY_META) if form == "meta" else None
    listed: Any = members.get(ANSWERS_META)
    methods = cast("list[Any]", listed) if isinstance(listed, list) else []
    answers = frozenset(method for method in methods if isinstance(method, str)) or _NONE  # kept as long as the task
    return CallMetadata(text(session) or "default", text(task), text(channel), form, key, answers)


def without_elicitation(params: dict[str, Any] | None) -> dict[str, Any] | None:
    """A request's params without elicitation among the capabilities that it says its client has (2026-07-28)."""
    meta: dict[str, Any] = as_object(as_object(params).get("_meta"))
    capabilities = as_object(meta.get(CLIENT_CAPABILITIES_META_KEY))
    if params is None or "elicitation" not in capabilities:
        return params
    kept = {name: value for name, value in capabilities.items() if name != "elicitation"}
    return {**params, "_meta": {**meta, CLIENT_CAPABILITIES_META_KEY: kept}}

"""The key of a start: the same tool and arguments are the same start, in whatever order they were written."""

import pytest

from mcpc.errors import KeyRefused
from mcpc.server.start_key import StartKey
from mcpc.tasks import TaskState


def begun(key: StartKey) -> TaskState:
    return TaskState("t", "work", "s", "owner", 0.0, 0.0, fingerprint=key.fingerprint)


@pytest.mark.parametrize("arguments", [{"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}])
def test_the_order_of_members_is_all_the_same(arguments: object) -> None:
    known = begun(StartKey.of("k", "work", {"a": 1, "b": {"c": 2, "d": 3}}))
    StartKey.of("k", "work", arguments).check(known)


def test_no_arguments_are_empty_ones() -> None:
    StartKey.of("k", "work", None).check(begun(StartKey.of("k", "work", {})))


@pytest.mark.parametrize(("tool", "arguments"), [("other", {"a": 1}), ("work", {"a": 2}), ("work", {"a": "1"})])
def test_another_tool_or_other_arguments_are_refused(tool: str, arguments: object) -> None:
    known = begun(StartKey.of("k", "work", {"a": 1}))
    with pytest.raises(KeyRefused, match="use a new key"):
        StartKey.of("k", tool, arguments).check(known)


def test_a_text_that_is_no_unicode_has_a_fingerprint_too() -> None:
    StartKey.of("k", "work", {"a": "\ud800"}).check(begun(StartKey.of("k", "work", {"a": "\ud800"})))

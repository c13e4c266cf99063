"""What a worker returned, as its task's value and as an ordinary answer: how the two belong together."""

from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import BaseModel, Field

from mcpc.errors import MessageError
from mcpc.server.outcome import ToolError, check_answer, message_value, unsendable, with_structure
from mcpc.wire.jsontext import encode_json

TEXT = {"content": [{"type": "text", "text": "said"}]}


def test_an_answer_that_is_an_error_is_one() -> None:
    check_answer(TEXT, "said")
    said = CallToolResult(content=[TextContent(type="text", text="said")], is_error=True)
    with pytest.raises(ToolError, match=r"^said$") as error:
        check_answer({**TEXT, "isError": True}, said)
    assert error.value.result is None


def test_a_value_that_does_not_fit_what_the_tool_declares_is_kept_with_the_error() -> None:
    with pytest.raises(ToolError, match="does not fit what the tool says it returns: said") as error:
        check_answer({**TEXT, "isError": True}, {"rows": "many"})
    assert error.value.result == {"rows": "many"}


@pytest.mark.parametrize("value", [None, 1, "text", [1], {"a": 1}, True])
def test_a_plain_value_is_the_task_s_value_as_it_is(value: Any) -> None:
    assert message_value(TEXT, value) == value


def test_the_value_of_an_answer_is_what_a_client_would_read() -> None:
    answer = CallToolResult(content=[], structured_content={"rows": 1})
    assert message_value({"content": [], "structuredContent": {"rows": 1}}, answer) == {"rows": 1}
    block = TextContent(type="text", text="[1]")
    assert message_value({"content": [{"type": "text", "text": "[1]"}]}, block) == [1]


def test_an_object_stands_beside_its_text_where_the_tool_declares_nothing() -> None:
    assert with_structure(TEXT, {"a": 1}) == {**TEXT, "structuredContent": {"a": 1}}
    assert with_structure(TEXT, [1]) == TEXT
    assert with_structure(TEXT, {"a": float("nan")}) == TEXT
    declared = {**TEXT, "structuredContent": {"result": 1}}
    assert with_structure(declared, {"a": 1}) == declared


def test_what_cannot_be_sent_says_why_and_where() -> None:
    failure, data = unsendable({"rows": [1.0, float("inf")]}, "it has no form", encode_json)
    assert failure["message"] == "the result cannot be sent: it has no form (result.rows[1])"
    assert failure["result"] == {"rows": [1.0, "inf"]}
    assert data == encode_json(failure)


def test_what_is_too_large_even_mended_is_told_without_it() -> None:
    def encode(value: Any) -> bytes:
        if "result" in value:
            raise MessageError("too large")
        return encode_json(value)

    failure, _ = unsendable([float("nan")], "why", encode)
    assert set(failure) == {"error", "message"}


class Row(BaseModel):
    count: int = Field(default=1, alias="rowCount")


class Kept(BaseModel):
    result: int = 1


@pytest.mark.parametrize(
    ("value", "structured", "stands_for"),
    [
        (Row(), {"rowCount": 1}, {"rowCount": 1}),
        (Row(), {"result": {"rowCount": 1}}, {"rowCount": 1}),  # of `-> Row | None`
        (Kept(), {"result": 1}, {"result": 1}),
        (Kept(), {"result": {"result": 1}}, {"result": 1}),
        ([Row()], {"result": [{"rowCount": 1}]}, [{"rowCount": 1}]),
        ([Row()], None, [{"rowCount": 1}]),
        ({"row": Row()}, None, {"row": {"rowCount": 1}}),
        (Path("a"), None, "a"),
    ],
)
def test_an_object_is_what_the_server_made_of_it_however_that_is_wrapped(
    value: Any, structured: Any, stands_for: Any
) -> None:
    answer = TEXT if structured is None else {**TEXT, "structuredContent": structured}
    assert message_value(answer, value) == stands_for


def test_what_has_no_form_in_json_is_a_text_as_the_server_writes_it() -> None:
    class Mute:
        def __str__(self) -> str:
            raise ValueError

    value = {"path": [slice(1)], "mute": Mute()}
    mended = {"path": ["slice(None, 1, None)"], "mute": "(a Mute that cannot be printed)"}
    assert message_value(TEXT, value) == mended
    assert with_structure(TEXT, value) == {**TEXT, "structuredContent": mended}


def test_a_value_with_a_number_that_json_lacks_is_left_to_the_end_of_its_task() -> None:
    class Measured(BaseModel):
        mean: float = float("nan")

    with pytest.raises(MessageError):
        encode_json(message_value(TEXT, [Measured()]))


def test_content_in_a_list_of_a_list_is_read_from_the_answer_where_the_server_laid_it_flat() -> None:
    image = {"type": "image", "data": "AA==", "mimeType": "image/png"}
    value = ["see", [ImageContent(type="image", data="AA==", mime_type="image/png")]]
    flat = {"content": [{"type": "text", "text": "see"}, image]}
    assert message_value(flat, value) == flat["content"]
    assert message_value({"content": [{"type": "text", "text": "[…]"}]}, [["see"]]) == [["see"]]

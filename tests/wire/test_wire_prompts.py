"""A prompt travels as an elicitation and comes back: the question on the one side, its answer on the other."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.errors import PromptError
from mcpc.messages import MCPCMessage, prompt_of
from mcpc.wire.prompts import (
    answer_from_form,
    describe_prompt,
    form_schema,
    input_request,
    prompt_from_request,
    prompt_update,
    response_to,
)

quick = settings(max_examples=60, deadline=None, database=None)


@dataclass
class Asked:
    """A question."""

    message: str = "Which one?"
    choices: list[Any] | None = None
    schema: dict[str, Any] | None = None
    request: dict[str, Any] | None = None


FLAT = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}

choices = st.lists(st.text(min_size=1) | st.integers(), min_size=1, max_size=5, unique_by=str)


def there_and_back(question: Asked, answer: Any) -> Any:
    """What the worker is given where the client answers `answer` to the elicitation of `question`."""
    response = response_to(input_request(question), answer)
    assert response["action"] == "accept"
    return answer_from_form(question, response["content"])


@quick
@given(st.text(), st.text())
def test_a_plain_question_and_its_answer_come_back_as_they_were(message: str, answer: str) -> None:
    question = Asked(message)
    assert prompt_from_request("p", input_request(question)) == describe_prompt("p", question)
    assert there_and_back(question, answer) == answer


@quick
@given(choices, st.data())
def test_a_choice_comes_back_as_the_value_that_it_stands_for(values: list[Any], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(values))
    back = there_and_back(Asked(choices=values), chosen)
    assert back == chosen
    assert type(back) is type(chosen)


def test_a_flat_form_is_shown_as_it_is_and_its_fields_are_the_answer() -> None:
    question = Asked(schema=FLAT)
    assert form_schema(question) == FLAT
    assert prompt_from_request("p", input_request(question)) == describe_prompt("p", question)
    assert there_and_back(question, {"name": "Ada", "age": 36}) == {"name": "Ada", "age": 36}


@pytest.mark.parametrize("answer", ["Ada", 36, None, ["Ada"]])
def test_one_value_is_no_answer_to_a_form_of_several_fields(answer: Any) -> None:
    with pytest.raises(PromptError, match="name, age"):
        response_to(input_request(Asked(schema=FLAT)), answer)


def test_a_form_with_one_field_of_another_name_takes_a_plain_answer() -> None:
    request = input_request(Asked(schema={"type": "object", "properties": {"city": {"type": "string"}}}))
    assert response_to(request, "Oslo") == {"action": "accept", "content": {"city": "Oslo"}}
    assert response_to(request, {"city": "Oslo"}) == {"action": "accept", "content": {"city": "Oslo"}}


def test_what_is_no_elicitation_is_no_prompt() -> None:
    assert prompt_from_request("p", {"method": "sampling/createMessage", "params": {}}) is None
    assert prompt_from_request("p", {}) is None


def test_a_page_to_visit_is_shown_with_its_address_and_accepted_without_content() -> None:
    request = {"method": "elicitation/create", "params": {"mode": "url", "message": "Sign in", "url": "https://a.b"}}
    assert prompt_from_request("p", request) == {"id": "p", "message": "Sign in\nhttps://a.b"}
    assert response_to(request, True) == {"action": "accept"}


@quick
@given(st.text(min_size=1), st.none() | choices, st.sampled_from([None, FLAT]))
def test_an_update_with_a_prompt_is_read_back_as_the_prompt(
    text: str, values: list[Any] | None, schema: dict[str, Any] | None
) -> None:
    result = prompt_update(describe_prompt("p", Asked(text, values, schema)))
    found = prompt_of(MCPCMessage(event="update", session_id="s", task_id="t", tool_name="n", result=result))
    assert found is not None
    assert (found.id, found.message, found.choices, found.schema_) == ("p", text, values, schema)

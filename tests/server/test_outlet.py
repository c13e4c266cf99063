"""A question that waits for its answer: what fits is taken once, what does not is refused."""

from typing import Any

import pytest

import mcpc
from mcpc.server.outlet import OpenPrompt
from mcpc.tasks import Prompt

pytestmark = pytest.mark.anyio


def asked(choices: list[Any] | None = None, schema: dict[str, Any] | None = None) -> OpenPrompt:
    return OpenPrompt(Prompt("p", "Which?", choices, schema))


async def test_an_answer_is_taken_once() -> None:
    prompt = asked()
    prompt.accept({"any": "thing"})
    assert (prompt.answer, prompt.refused, prompt.answered.is_set()) == ({"any": "thing"}, None, True)
    with pytest.raises(mcpc.PromptError, match="has been answered"):
        prompt.accept("another")
    assert prompt.answer == {"any": "thing"}


async def test_an_answer_is_one_of_the_choices_and_fits_the_schema() -> None:
    prompt = asked([1, "two"], {"type": "string"})
    for wrong, why in ((2, "none of the choices"), (1, "does not fit the schema")):
        with pytest.raises(mcpc.PromptError, match=why):
            prompt.accept(wrong)
        assert not prompt.answered.is_set()
    prompt.accept("two")


async def test_a_refusal_ends_it_and_comes_too_late_after_an_answer() -> None:
    refused, answered = asked(), asked()
    refused.refuse("decline")
    assert (refused.refused, refused.answered.is_set()) == ("decline", True)
    with pytest.raises(mcpc.PromptError):
        refused.accept(1)
    answered.accept(1)
    answered.refuse("cancel")
    assert (answered.answer, answered.refused) == (1, None)

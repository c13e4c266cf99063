"""A prompt as it travels: in a message of ours, and as an MCP elicitation, written and read."""

from typing import Any, Protocol, cast

from mcpc.errors import PromptError
from mcpc.wire.forms import ANSWER, read_form, show_form
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import METHOD, PARAMS, RESULT, params_of
from mcpc.wire.standard import ELICITATION_METHOD

__all__ = [
    "Question",
    "answer_from_form",
    "describe_prompt",
    "elicitation",
    "form_schema",
    "input_request",
    "prompt_from_request",
    "prompt_update",
    "read_response",
    "request_prompt",
    "response_to",
]


class Question(Protocol):
    """What a prompt asks."""

    @property
    def message(self) -> str:
        """The question."""
        ...

    @property
    def choices(self) -> list[Any] | None:
        """The answers that can be given."""
        ...

    @property
    def schema(self) -> dict[str, Any] | None:
        """What the answer must be like (JSON Schema)."""
        ...

    @property
    def request(self) -> dict[str, Any] | None:
        """The standard's request that it is, which the client's program answers: `{"method", "params"?}`."""
        ...


# --- ours -------------------------------------------------------------------------------------------------------


def describe_prompt(prompt_id: str, question: Question) -> dict[str, Any]:
    """The prompt as it travels."""
    body: dict[str, Any] = {"id": prompt_id, "message": question.message}
    if question.choices is not None:
        body["choices"] = question.choices
    if question.schema is not None:
        body["schema"] = question.schema
    if question.request is not None:
        body["request"] = question.request
    return body


def request_prompt(prompt_id: str, request: dict[str, Any]) -> dict[str, Any]:
    """A request of the client's program, as the prompt that it travels as."""
    return {"id": prompt_id, "message": f"{request[METHOD]}, for the program of the client", "request": request}


def prompt_update(body: dict[str, Any]) -> dict[str, Any]:
    """The `result` of the update that carries a prompt (read back by `mcpc.messages.prompt_of`)."""
    return {"prompt": body}


# --- as an elicitation, server to client ------------------------------------------------------------------------


def form_schema(prompt: Question) -> dict[str, Any]:
    """The `requestedSchema` that asks for the answer to `prompt`."""
    return show_form(prompt.schema, prompt.choices)


def answer_from_form(prompt: Question, content: dict[str, Any]) -> Any:
    """The answer in a filled form."""
    return read_form(prompt.schema, prompt.choices, content)


def input_request(question: Question, message: str | None = None) -> dict[str, Any]:
    """The elicitation that asks `question` (in other words, where `message` is given), as a member of
    `inputRequests` (SEP-2322, SEP-2663). One that is a request of the standard goes as it is.
    """
    if question.request is not None:
        return question.request
    params = {"mode": "form", "message": message or question.message, "requestedSchema": form_schema(question)}
    return elicitation(params)


def read_response(question: Question, response: dict[str, Any]) -> tuple[str, Any]:
    """What a response to an input request says: `accept` and the answer, or `decline` or `cancel` and None.

    Raises:
        PromptError: it says nothing of these.
    """
    if question.request is not None:
        return "accept", {RESULT: response}
    action = response.get("action")
    if action == "accept":
        return action, answer_from_form(question, as_object(response.get("content")))
    if action in ("decline", "cancel"):
        return action, None
    raise PromptError("a response needs an action: accept, decline or cancel")


# --- as an elicitation, client to server ------------------------------------------------------------------------


def elicitation(params: dict[str, Any]) -> dict[str, Any]:
    """The request with these params."""
    return {METHOD: ELICITATION_METHOD, PARAMS: params}


def _fields(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of the form that a request shows."""
    schema = as_object(params_of(request).get("requestedSchema"))
    return as_object(schema.get("properties"))


def prompt_from_request(key: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """An elicitation as one of our prompts; None for other requests (sampling, roots).

    A form with the one field `answer` stands for a plain question, as our own servers write it.
    """
    if request.get(METHOD) != ELICITATION_METHOD:
        return None
    params = params_of(request)
    body: dict[str, Any] = {"id": key, "message": str(params.get("message", ""))}
    if params.get("mode") == "url":
        body["message"] += f"\n{params.get('url')}"
        return body
    fields = _fields(request)
    if set(fields) != {ANSWER}:
        return {**body, "schema": as_object(params.get("requestedSchema"))}
    field_schema = {name: value for name, value in as_object(fields[ANSWER]).items() if name != "title"}
    if isinstance(field_schema.get("enum"), list):
        body["choices"] = field_schema["enum"]
    elif field_schema != {"type": "string"}:
        body["schema"] = field_schema
    return body


def response_to(request: dict[str, Any], answer: Any) -> dict[str, Any]:
    """The response that accepts an elicitation with an answer.

    Raises:
        PromptError: the form has several fields, and the answer is not an object.
    """
    if params_of(request).get("mode") == "url":
        return {"action": "accept"}
    fields = _fields(request)
    if set(fields) == {ANSWER} or (len(fields) == 1 and not isinstance(answer, dict)):
        name = next(iter(fields))
        choices: Any = as_object(fields[name]).get("enum")
        if isinstance(choices, list) and answer not in choices and str(answer) in choices:
            answer = str(answer)
        return {"action": "accept", "content": {name: answer}}
    if not isinstance(answer, dict):
        raise PromptError(f"the answer must be an object with {', '.join(fields) or 'no members'}")
    return {"action": "accept", "content": cast("dict[str, Any]", answer)}

"""A prompt as an MCP elicitation, for callers that speak no MCPC: the form to show, and the answer read back.

MCP's form schema is one flat object of simple properties (specification,
client/elicitation), so an answer that is not an object travels as `answer`.
"""

from typing import Any

from mcpc.server.running import OpenPrompt

__all__ = ["answer_from_form", "form_schema"]


def _is_flat_object(schema: dict[str, Any] | None) -> bool:
    return schema is not None and schema.get("type") == "object" and bool(schema.get("properties"))


def form_schema(prompt: OpenPrompt) -> dict[str, Any]:
    """The `requestedSchema` that asks for the answer to `prompt`."""
    if prompt.schema is not None and _is_flat_object(prompt.schema):
        return prompt.schema
    answer: dict[str, Any] = dict(prompt.schema) if prompt.schema is not None else {"type": "string"}
    if prompt.choices is not None:
        answer = {"type": "string", "enum": [str(choice) for choice in prompt.choices]}
    answer.setdefault("title", "Answer")
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}


def answer_from_form(prompt: OpenPrompt, content: dict[str, Any]) -> Any:
    """The answer in a filled form; a choice comes back as the value it stands for."""
    if _is_flat_object(prompt.schema):
        return content
    answer = content.get("answer")
    for choice in prompt.choices or ():
        if str(choice) == answer:
            return choice
    return answer

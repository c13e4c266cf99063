"""MCP's own words, where they are written or read by hand: the SDK's models stand for all others."""

__all__ = [
    "ARGUMENTS",
    "AUTHORS_METHODS",
    "CALL_TOOL_METHOD",
    "CANCELLED_METHOD",
    "CHANGES",
    "COMPLETE_METHOD",
    "DISCOVER_METHOD",
    "ELICITATION_METHOD",
    "GET_PROMPT_METHOD",
    "INITIALIZED_METHOD",
    "INITIALIZE_METHOD",
    "INPUT_REQUESTS",
    "INPUT_RESPONSES",
    "INPUT_SCHEMA",
    "INVALID_STATE",
    "IS_ERROR",
    "LIST_PROMPTS_METHOD",
    "LOG_METHOD",
    "LIST_RESOURCES_METHOD",
    "LIST_TEMPLATES_METHOD",
    "LIST_TOOLS_METHOD",
    "PROGRESS_METHOD",
    "PROGRESS_TOKEN",
    "PROTOCOL_VERSION",
    "READ_RESOURCE_METHOD",
    "REQUEST_ID",
    "REQUEST_STATE",
    "RESULT_TYPE",
    "ROOTS_METHOD",
    "SAMPLING_METHOD",
    "SHORT_METHODS",
    "STRUCTURED_CONTENT",
]

INITIALIZE_METHOD = "initialize"
DISCOVER_METHOD = "server/discover"
INITIALIZED_METHOD = "notifications/initialized"
CANCELLED_METHOD = "notifications/cancelled"
PROGRESS_METHOD = "notifications/progress"
LOG_METHOD = "notifications/message"
LIST_TOOLS_METHOD = "tools/list"
CALL_TOOL_METHOD = "tools/call"
ELICITATION_METHOD = "elicitation/create"
SAMPLING_METHOD = "sampling/createMessage"
ROOTS_METHOD = "roots/list"

LIST_RESOURCES_METHOD = "resources/list"
LIST_TEMPLATES_METHOD = "resources/templates/list"
READ_RESOURCE_METHOD = "resources/read"
LIST_PROMPTS_METHOD = "prompts/list"
GET_PROMPT_METHOD = "prompts/get"
COMPLETE_METHOD = "completion/complete"

AUTHORS_METHODS = frozenset((CALL_TOOL_METHOD, GET_PROMPT_METHOD, READ_RESOURCE_METHOD, COMPLETE_METHOD))
"""Requests that code of the server's author handles."""

CHANGES = frozenset(
    (
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    )
)
"""Notifications of the older era that belong to no request."""

SHORT_METHODS = AUTHORS_METHODS | {LIST_TOOLS_METHOD, LIST_RESOURCES_METHOD, LIST_TEMPLATES_METHOD, LIST_PROMPTS_METHOD}
"""Requests that are answered and done: they subscribe to nothing, and negotiate nothing."""

ARGUMENTS = "arguments"
PROTOCOL_VERSION = "protocolVersion"
INPUT_SCHEMA = "inputSchema"
PROGRESS_TOKEN = "progressToken"
REQUEST_ID = "requestId"

IS_ERROR = "isError"
STRUCTURED_CONTENT = "structuredContent"
RESULT_TYPE = "resultType"
INPUT_REQUESTS = "inputRequests"
INPUT_RESPONSES = "inputResponses"
REQUEST_STATE = "requestState"
INVALID_STATE = "invalid_request_state"
"""The `reason` in the data of a refused `requestState`, as the SDK says it."""

"""The names of our methods, `_meta` keys and extensions."""

__all__ = [
    "ANSWERS_META",
    "CALLBACKS_EXTENSION",
    "CHANNEL_META",
    "CHANNEL_OPEN",
    "HEADS_FORM",
    "HOPS_META",
    "INFO_METHOD",
    "KEY_META",
    "LISTENING_METHOD",
    "LISTEN_METHOD",
    "MESSAGES_METHOD",
    "NOTIFICATION_PREFIX",
    "PAUSE_METHOD",
    "REFUSAL_META",
    "RESUME_METHOD",
    "SEND_METHOD",
    "SESSION_META",
    "STOP_METHOD",
    "SUBSCRIPTION_META",
    "TASK_META",
    "TASK_METHOD",
    "WORKER_TOKEN",
]

INFO_METHOD = "mcpc/info"
LISTEN_METHOD = "mcpc/listen"
PAUSE_METHOD = "mcpc/pause"
RESUME_METHOD = "mcpc/resume"
SEND_METHOD = "mcpc/send"
STOP_METHOD = "mcpc/stop"
TASK_METHOD = "mcpc/task"
NOTIFICATION_PREFIX = "notifications/mcpc/"
LISTENING_METHOD = "notifications/mcpc/listening"
MESSAGES_METHOD = "notifications/mcpc/messages"
CALLBACKS_EXTENSION = "mcpc/callbacks"

CHANNEL_META = "mcpc/channel"
CHANNEL_OPEN = "mcpc_channel_open"
"""In the settings of the extension: the server has opened the channel that was offered with the question."""
SESSION_META = "mcpc/sessionId"
TASK_META = "mcpc/taskId"
KEY_META = "mcpc/key"
ANSWERS_META = "mcpc/answers"
"""Of a call: the methods of the standard's requests that its client answers where they come as questions."""
HOPS_META = "mcpc/hops"
"""In the first message of a bridged connection: how many bridges it has passed."""
REFUSAL_META = "mcpc/refusal"
SUBSCRIPTION_META = "io.modelcontextprotocol/subscriptionId"

WORKER_TOKEN = "mcpc/task"
"""The progress token of a request as a worker sees it. It does not travel, but stands where one that does would."""

HEADS_FORM = "heads"
"""In `forms` of `mcpc/listen`: this listener takes `runs`, with the head of messages in a row once."""

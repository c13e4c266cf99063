"""What a server allows. Every bound has a name, a unit and a default."""

from dataclasses import dataclass

from mcpc.pending import DEFAULT_MAX_REQUEST_BYTES, DEFAULT_MAX_REQUESTS
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """The bounds of one server; `MCPCHelper(server, max_tasks=…)` takes each by name."""

    client_share: float = 0.9
    """The part of `max_tasks`, `max_channels` and `max_total_input_bytes` that one client may have while nobody else
    has any; less where others have much, so that there is always some left for one who has little. 1.0 is no bound."""
    max_tasks: int = 1000
    """Tasks that run at once; over it a call is answered with a tool error."""
    max_tasks_per_client: int | None = None
    """Tasks of one client that run at once; None leaves it to `client_share`. With a store, those of its channel at all
    servers together, the waiting ones too; and those of its principal on all its channels, where it has one."""
    max_queued: int = 10_000
    """Tasks of one tool that wait for a worker, at all servers of a store together; over it a call is refused."""
    abandon_after: float | None = None
    """Seconds without its client listening or asking, at any process, after which a task is stopped, also one that
    waits for a worker; None for never. With a store it may take half a minute longer, as each process looks now and
    then."""
    max_ended_tasks: int = 10_000
    """Ended tasks that are remembered."""
    max_ended_bytes: int = 64 * 1024 * 1024
    """Bytes of what ended tasks are remembered with, and of last messages set aside for each channel."""
    task_ttl: float = 300.0
    """Seconds for which an ended task and its last message are kept."""
    max_messages: int = 10_000
    """Messages kept for each channel."""
    max_bytes: int = 16 * 1024 * 1024
    """Bytes of messages kept for each channel."""
    max_total_bytes: int = 256 * 1024 * 1024
    """Bytes of messages kept for all channels together; beyond it the largest log that nobody reads loses its older
    half."""
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE - 1024
    """Bytes of one message; a larger one is refused where it is made: a client would refuse the whole frame."""
    max_inputs: int = 1000
    """Inputs that wait in one task; over it the sender gets an error."""
    max_input_bytes: int = 16 * 1024 * 1024
    """Bytes of inputs that wait in one task."""
    max_total_input_bytes: int = 256 * 1024 * 1024
    """Bytes of inputs that wait in all tasks."""
    max_requests: int = DEFAULT_MAX_REQUESTS
    """Requests of one connection that wait for their answers; over it a request is answered with an error."""
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    """Bytes that requests of one connection take while they wait for their answers: 25 KiB each beside what they say,
    and more than its text for what has many small parts."""
    max_prompts: int = 100
    """Prompts of one task that may be open at once."""
    max_rounds: int = 10
    """Times that one plain call is answered with questions; clients go along with no more."""
    round_ttl: float = 600.0
    """Seconds for which a plain call's questions wait for its caller to come back; then its task is stopped."""
    max_channels: int = 10_000
    """Channels at once; the one idle for longest that was read makes room, and where there is none the client is
    refused."""
    channel_ttl: float = 300.0
    """Seconds for which a channel is kept that nobody listens to and no task runs for."""
    stall_timeout: float = 30.0
    """Seconds for which `update` waits for a connected client that does not read."""
    stop_grace: float = 5.0
    """Seconds between a request to stop a task and its cancellation."""
    shutdown_grace: float = 1.0
    """Seconds that tasks have to end by themselves when the server shuts down, and clients to read the rest."""
    lease: float = 15.0
    """Seconds for which a process that says nothing to its store is taken to be alive; its tasks are others' then. At
    least 0.1."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value >= (0 if isinstance(value, float) else 1):
                raise ValueError(f"{name} is out of range: {value}")
        if self.lease < 0.1:
            raise ValueError(f"lease is out of range: {self.lease}; it is at least a tenth of a second")
        if not 0 < self.client_share <= 1:
            raise ValueError(f"client_share is out of range: {self.client_share}; it is a part, such as 0.9")

"""What a server allows. Every bound has a name, a unit and a default."""

from dataclasses import dataclass

from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """The bounds of one server; `MCPCHelper(server, max_tasks=…)` takes each by name."""

    max_tasks: int = 1000
    """Tasks that run at once; over it a call is answered with a tool error."""
    max_ended_tasks: int = 10_000
    """Ended tasks that are remembered."""
    task_ttl: float = 300.0
    """Seconds for which an ended task and its last message are kept."""
    max_messages: int = 10_000
    """Messages kept for each channel."""
    max_bytes: int = 16 * 1024 * 1024
    """Bytes of messages kept for each channel."""
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE - 1024
    """Bytes of one message; a larger one is refused where it is made: a client would refuse the whole frame."""
    max_inputs: int = 1000
    """Inputs that wait in one task; over it the sender gets an error."""
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

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < (0 if isinstance(value, float) else 1):
                raise ValueError(f"{name} is out of range: {value}")

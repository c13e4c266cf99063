"""What a server holds now, and how often it met its bounds: a reading of its counters.

Knows nothing of how they come about.
"""

from dataclasses import dataclass

from mcpc.server.workshop import Workshop

__all__ = ["ServerStats", "read_stats"]


@dataclass(frozen=True, slots=True)
class ServerStats:
    """A reading of a server's counters, taken now."""

    tasks: int
    """Tasks that run."""
    tasks_refused: int
    """Tasks that were not begun, as too many ran: of one client, or of all."""
    ended_tasks: int
    """Ended tasks that are remembered."""
    ended_bytes: int
    """Bytes of what they ended with."""
    ended_forgotten: int
    """Those that were forgotten before their time, as there were too many or too large ones."""
    channels: int
    """Channels that are known."""
    channels_refused: int
    """Channels that were not opened, as there were too many."""
    message_bytes: int
    """Bytes of messages kept for all channels, to some KiB each."""
    messages_evicted: int
    """Messages of the channels that are known which their logs have let go of."""
    logs_shrunk: int
    """How often a log lost its older half to the bound on all."""
    input_bytes: int
    """Bytes of inputs that wait."""


def read_stats(workshop: Workshop) -> ServerStats:
    """A reading of a workshop's counters."""
    registry, journals = workshop.registry, workshop.journals
    return ServerStats(
        tasks=registry.running,
        tasks_refused=workshop.tasks_taken.shares.refused,
        ended_tasks=len(registry) - registry.running,
        ended_bytes=registry.ended_bytes,
        ended_forgotten=registry.forgotten,
        channels=len(journals),
        channels_refused=journals.taken.shares.refused,
        message_bytes=journals.bytes,
        messages_evicted=sum(journal.mailbox.evicted for journal in journals),
        logs_shrunk=journals.shrunk,
        input_bytes=workshop.inputs_taken.shares.taken,
    )

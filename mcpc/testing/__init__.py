"""For whoever tests a transport, or what must survive one: PUBLIC, and free of any test framework.

- `check_transport`, `contract_checks`: the contract of `mcpc.transport`, run against a transport.
- `FaultyTransport`: a transport that cuts, delays, stalls and repeats, the same way for the same seed.
- `memory_pair`: two joined channels of real bytes, with no sockets.

It imports no adapter: what is under test is found by its URI, like everywhere else.
"""

from mcpc.pair import memory_pair
from mcpc.testing.contract import check_transport, contract_checks
from mcpc.testing.faults import FaultyTransport
from mcpc.testing.subject import Check, ContractViolation, NotApplicable, RemotePeer, Serve, Subject, in_child

__all__ = [
    "Check",
    "ContractViolation",
    "FaultyTransport",
    "NotApplicable",
    "RemotePeer",
    "Serve",
    "Subject",
    "check_transport",
    "contract_checks",
    "in_child",
    "memory_pair",
]

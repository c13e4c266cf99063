"""For whoever tests a transport or a store, or what must survive one: PUBLIC, and free of any test framework.

- `check_transport`, `contract_checks`: the contract of `mcpc.transport`, run against a transport.
- `FaultyTransport`: a transport that cuts, delays, stalls and repeats, the same way for the same seed.
- `check_store`, `store_checks`: the contract of `mcpc.store`, run against a store.
- `FaultyStore`: a store that loses replies and bells, is slow, full or down, and stops at a named step.
- `memory_pair`: two joined channels of real bytes, with no sockets.

It imports no adapter: what is under test is found by its URI, like everywhere else.
"""

from mcpc.pair import memory_pair
from mcpc.testing.contract import check_transport, contract_checks
from mcpc.testing.faults import FaultyTransport
from mcpc.testing.store_contract import check_store, store_checks
from mcpc.testing.store_faults import FaultyStore
from mcpc.testing.store_subject import StoreCheck, StoreSubject
from mcpc.testing.subject import Check, ContractViolation, NotApplicable, RemotePeer, Serve, Subject, in_child

__all__ = [
    "Check",
    "ContractViolation",
    "FaultyStore",
    "FaultyTransport",
    "NotApplicable",
    "RemotePeer",
    "Serve",
    "StoreCheck",
    "StoreSubject",
    "Subject",
    "check_store",
    "check_transport",
    "contract_checks",
    "in_child",
    "memory_pair",
    "store_checks",
]

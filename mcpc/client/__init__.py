"""The client's side: callbacks, tasks and prompts, over any transport."""

from mcpc.client.backoff import Backoff
from mcpc.client.client import Client
from mcpc.client.connecting import connect
from mcpc.client.handle import TaskHandle
from mcpc.client.handler import MCPCHandler
from mcpc.client.life import ConnectionState
from mcpc.client.options import ClientOptions
from mcpc.client.stats import ClientStats
from mcpc.client.sync import SyncClient, SyncOptions, SyncTaskHandle

__all__ = [
    "Backoff",
    "Client",
    "ClientOptions",
    "ClientStats",
    "ConnectionState",
    "MCPCHandler",
    "SyncClient",
    "SyncOptions",
    "SyncTaskHandle",
    "TaskHandle",
    "connect",
]

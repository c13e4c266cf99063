"""The client's side: callbacks, tasks and prompts, over any transport."""

from mcpc.client.backoff import Backoff
from mcpc.client.client import Client
from mcpc.client.connecting import connect
from mcpc.client.handle import TaskHandle
from mcpc.client.handler import MCPCHandler

__all__ = ["Backoff", "Client", "MCPCHandler", "TaskHandle", "connect"]

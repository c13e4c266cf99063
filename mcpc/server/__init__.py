"""The server's side: background tools, their channels, and serving them at a URI."""

from mcpc.server.helper import MCPCHelper
from mcpc.server.kinds import is_server
from mcpc.server.limits import Limits
from mcpc.server.options import LimitOptions, ToolOptions
from mcpc.server.running import run
from mcpc.server.served import Served
from mcpc.server.serving import listen, serve
from mcpc.server.stats import ServerStats
from mcpc.server.task import SyncTask, Task
from mcpc.server.web import WebApp, asgi_app

__all__ = [
    "LimitOptions",
    "Limits",
    "MCPCHelper",
    "Served",
    "ServerStats",
    "SyncTask",
    "Task",
    "ToolOptions",
    "WebApp",
    "asgi_app",
    "is_server",
    "listen",
    "run",
    "serve",
]

"""`ws:` and `wss:`: JSON-RPC over WebSocket, subprotocol `mcp`."""

from mcpc_transports.websocket.transport import WebSocketTransport

__all__ = ["WebSocketTransport"]

"""`http:` and `https:` (Streamable HTTP), `sse+http:` and `sse+https:` (the older HTTP+SSE)."""

from mcpc_transports.http.sse import SseTransport
from mcpc_transports.http.streamable import StreamableHttpTransport

__all__ = ["SseTransport", "StreamableHttpTransport"]

"""A server over WebSocket that asks its clients for a token.

python examples/websocket_server.py                                     serve, call and leave
TOKEN=secret python examples/websocket_server.py --serve ws://127.0.0.1:8765/mcp
"""

import hmac
import os
import sys

import anyio
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken, TokenVerifier

import mcpc

server = MCPServer("my-processor", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
async def process_data(data_id: str, task: mcpc.Task) -> dict[str, str]:
    """Process data with real-time updates."""
    for step in range(1, 6):
        await task.update({"status": f"step {step}/5", "progress": 20 * step})
        await anyio.sleep(0.05)
    return {"data_id": data_id}


class OneToken(TokenVerifier):
    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        # Compared in constant time: how long an answer takes must not tell how much of a guess was right.
        if not hmac.compare_digest(token.encode(), self._token):
            return None
        return AccessToken(token=token, client_id="anybody", scopes=[])


async def main(token: str) -> None:
    async with mcpc.listen(server, "ws://127.0.0.1:0/mcp", token_verifier=OneToken(token)) as listener:
        print(f"serving at {listener.uri.partition('127')[0]}...")
        try:
            async with mcpc.Client(listener.uri, token="a guess"):
                print("anybody may come in")
        except mcpc.ConnectFailed as refused:
            # The token is checked before the upgrade, so a stranger never gets as far as MCP.
            print(f"without the token: {str(refused).rpartition('/mcp')[2].strip()}")
        async with mcpc.Client(listener.uri, token=token) as client:
            task = await client.start_task("process_data", {"data_id": "42"})
            async for message in task:
                print(message.event, message.result)


if __name__ == "__main__":
    secret = os.environ.get("TOKEN", "secret")
    if sys.argv[1:2] == ["--serve"]:
        mcpc.run(server, sys.argv[2], token_verifier=OneToken(secret))
    else:
        anyio.run(main, secret)

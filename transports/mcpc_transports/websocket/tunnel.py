"""A connection through a proxy: HTTP's CONNECT (RFC 9110, 9.3.6) or SOCKS5 (RFC 1928).

The proxy looks up the name of the host; here it need not be known. Knows nothing of what goes through.
"""

from base64 import b64encode
from typing import Any

import anyio
import h11

from mcpc.errors import ConnectFailed
from mcpc_transports.addresses import authority
from mcpc_transports.proxies import Proxy
from mcpc_transports.sockets.connection import SocketBytes
from mcpc_transports.sockets.dialling import open_tcp
from mcpc_transports.websocket.stream import Stream, secured

__all__ = ["through"]


async def through(proxy: Proxy, host: str, port: int, timeout: float) -> Stream:
    """A stream to `host`, through a proxy.

    Raises:
        ConnectFailed: the proxy cannot be reached, or refuses.
    """
    try:
        stream: Stream = SocketBytes(await open_tcp(proxy.host, proxy.port, timeout))
    except OSError as exc:
        raise ConnectFailed(f"{proxy} cannot be reached: {exc.strerror or exc}") from exc
    try:
        if proxy.scheme == "https":
            stream = await secured(stream, None, hostname=proxy.host)
        await (_by_socks if proxy.is_socks else _by_connect)(stream, proxy, host, port)
    except (anyio.EndOfStream, anyio.BrokenResourceError) as exc:
        await _let_go(stream)
        raise ConnectFailed(f"{proxy} ended the connection") from exc
    except BaseException:
        await _let_go(stream)
        raise
    return stream


async def _let_go(stream: Stream) -> None:
    with anyio.CancelScope(shield=True):
        await stream.aclose()


async def _by_connect(stream: Stream, proxy: Proxy, host: str, port: int) -> None:
    """Ask an HTTP proxy for a tunnel."""
    where = authority(host, port)
    headers = [("Host", where)]
    if proxy.username is not None:
        known = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {known}"))
    parser = h11.Connection(h11.CLIENT)
    try:
        request = parser.send(h11.Request(method="CONNECT", target=where, headers=headers))
        await stream.send(request or b"")
        while not isinstance(event := parser.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                parser.receive_data(await stream.receive())
    except h11.ProtocolError as exc:
        raise ConnectFailed(f"{proxy} does not answer as an HTTP proxy does: {exc}") from exc
    if not 200 <= event.status_code < 300:
        raise ConnectFailed(f"{proxy} refused: HTTP {event.status_code} {event.reason.decode(errors='replace')}")


async def _by_socks(stream: Stream, proxy: Proxy, host: str, port: int) -> None:
    """Ask a SOCKS5 proxy for a connection."""
    from socksio import ProtocolError, socks5  # an extra; `proxies` has said by now where it is missing

    protocol: Any = socks5.SOCKS5Connection()

    async def ask(request: Any) -> Any:
        protocol.send(request)
        await stream.send(protocol.data_to_send())
        return protocol.receive_data(await stream.receive())

    try:
        methods = [socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if proxy.username is not None:
            methods.append(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
        chosen = await ask(socks5.SOCKS5AuthMethodsRequest(methods))
        if chosen.method is socks5.SOCKS5AuthMethod.NO_ACCEPTABLE_METHODS:
            raise ConnectFailed(f"{proxy} refused: it wants other credentials")
        if chosen.method is socks5.SOCKS5AuthMethod.USERNAME_PASSWORD:
            user, password = (proxy.username or "").encode(), proxy.password.encode()
            if not (await ask(socks5.SOCKS5UsernamePasswordRequest(user, password))).success:
                raise ConnectFailed(f"{proxy} refused: it wants other credentials")
        connect = socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port))
        reply = await ask(connect)
    except ProtocolError as exc:
        raise ConnectFailed(f"{proxy} does not answer as a SOCKS5 proxy does: {exc}") from exc
    if reply.reply_code is not socks5.SOCKS5ReplyCode.SUCCEEDED:
        raise ConnectFailed(f"{proxy} refused: {reply.reply_code.name.lower().replace('_', ' ')}")

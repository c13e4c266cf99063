"""How a Redis is opened: what answers there, over TLS, with how much it lets us do, and which keys are touched."""

import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import coredis
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from coredis.exceptions import AuthorizationError

from mcpc.errors import StoreError, StoreRefused, StoreUnavailable
from mcpc.store_uri import open_store
from mcpc.stored import Appended, Entry, NewTask, Signal, channel_id
from mcpc.testing import store_checks
from mcpc.testing.store_subject import StoreSubject
from mcpc_stores.redis.engine import Call, Engine
from mcpc_stores.redis.keys import Keys
from ports_kit import free_port
from redis_kit import RedisServer, redis_server
from support import Certificates

pytestmark = pytest.mark.anyio

CHANNEL = channel_id("a secret key of a channel")
ACL = "~mcpc:1:* &mcpc:1:* -@all +@read +@write +@scripting +@pubsub +@connection +info +time +wait"
"""What docs/scaling.md has for a user of its own."""


@pytest.fixture
def redis(tmp_path: Path) -> Generator[RedisServer]:
    with redis_server("valkey", tmp_path) as running:
        yield running


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Generator[str]:
    """Something else that listens: it answers whatever it is told with some bytes, and closes."""
    answer: bytes = request.param
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):  # who dialled may be gone
                client.recv(1000)
                client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.mark.parametrize(
    ("stranger", "kind", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", StoreRefused, "what answers there is no redis"),
        (b"220 mail.example.org ESMTP\r\n", StoreRefused, "what answers there is no redis"),
        (b"", StoreUnavailable, "redis cannot be reached"),
    ],
    indirect=["stranger"],
)
async def test_what_is_no_redis_is_told_in_a_sentence(stranger: str, kind: type[StoreError], told: str) -> None:
    with anyio.fail_after(60), pytest.raises(kind, match=told):
        async with open_store(stranger):
            pass


async def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    bus = str(free_port())
    with redis_server("valkey", tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as server:
        with pytest.raises(StoreRefused, match="a node of a cluster"):
            async with open_store(server.uri):
                pass


@asynccontextmanager
async def behind_tls(server: RedisServer, context: ssl.SSLContext) -> AsyncGenerator[int]:
    """A port that speaks TLS, in front of that server."""

    async def pump(source: ByteStream, target: ByteStream) -> None:
        try:
            async for data in source:
                await target.send(data)
            await target.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, NotImplementedError):
            pass

    async def serve(client: ByteStream) -> None:
        async with client, await anyio.connect_tcp("127.0.0.1", server.port) as there:
            async with anyio.create_task_group() as both:
                both.start_soon(pump, there, client)
                await pump(client, there)
                both.cancel_scope.cancel()

    plain = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
    async with TLSListener(plain, context, standard_compatible=False) as listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, serve)
        yield plain.listeners[0].extra(SocketAttribute.local_port)
        serving.cancel_scope.cancel()


async def test_over_tls_the_certificate_is_checked(redis: RedisServer, certificates: Certificates) -> None:
    with anyio.fail_after(60):
        async with behind_tls(redis, certificates.server) as port:
            uri = f"rediss://localhost:{port}/0"
            async with open_store(uri, ssl_context=certificates.client) as store:
                assert await store.open(CHANNEL, principal=None) is not None
            with pytest.raises(StoreUnavailable):
                async with open_store(uri, ssl_context=ssl.create_default_context()):
                    pass


async def test_a_user_who_may_touch_only_our_prefix_is_enough(redis: RedisServer) -> None:
    assert redis.say(f"ACL SETUSER app on >pw {ACL}").startswith(b"+OK")
    uri = redis.uri.replace("//", "//app:pw@")
    for name in ("one_end", "numbers_rise"):
        for check in [check for each, check in store_checks().items() if name in each]:
            await check(StoreSubject(uri, options={"poll": 0.2}))
    async with open_store(uri) as store:
        await worked(store)
        await store.sweep()
        await store.reap()
    with pytest.raises(StoreRefused, match="redis refuses us"):
        async with open_store(f"{uri}?prefix=others:") as store:
            await store.open(CHANNEL, principal=None)


async def test_a_subscription_that_is_cut_while_the_store_is_closed_is_no_error(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = anyio.Event()

    async def cut_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise AuthorizationError("cut")

    @asynccontextmanager
    async def subscription(client: Any, **options: Any) -> AsyncGenerator[Any]:
        async with anyio.create_task_group() as group:
            group.start_soon(cut_when_cancelled)
            await anyio.lowlevel.checkpoint()
            listening.set()
            await anyio.sleep_forever()
            yield

    monkeypatch.setattr(coredis.Redis, "pubsub", subscription)
    with anyio.fail_after(60):
        async with open_store(redis.uri):
            await listening.wait()


async def test_an_end_waits_for_as_many_copies_as_was_asked(redis: RedisServer) -> None:
    async with open_store(f"{redis.uri}?wait=1") as store:
        await store.open(CHANNEL, principal=None)
        await store.append([Entry(CHANNEL, "w", 1, [b"no end"])])
        assert b"cmdstat_wait:" not in redis.say("INFO commandstats")
        await store.enter(NewTask("one", CHANNEL, tool_name="t", session_id="s", state=b"{}"), runner="r")
        claim = (await store.enter(NewTask("two", CHANNEL, "t", "s", b"{}"), runner="r")).claim
        with anyio.fail_after(60):  # there is no copy: after a second it goes on, as documented
            (receipt,) = await store.append([Entry(CHANNEL, "v", 1, [b"end"], claim=claim, end="complete")])
        assert isinstance(receipt, Appended)
        assert b"cmdstat_wait:calls=1," in redis.say("INFO commandstats")


async def test_the_keys_of_each_script_are_in_one_slot_and_below_one_prefix(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: dict[str, list[Sequence[str]]] = {}
    run, run_all = Engine.run, Engine.run_all

    async def note(self: Engine, name: str, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        touched.setdefault(name, []).append(keys)
        return await run(self, name, keys, args)

    async def note_all(self: Engine, calls: Sequence[Call], copies: tuple[int, int] | None = None) -> list[Any]:
        for name, keys, _ in calls:
            touched.setdefault(name, []).append(keys)
        return await run_all(self, calls, copies)

    monkeypatch.setattr(Engine, "run", note)
    monkeypatch.setattr(Engine, "run_all", note_all)
    async with open_store(redis.uri) as store:
        await worked(store)
        await store.sweep()
        await store.reap()
    assert {"append", "open", "enter", "read", "signal", "signals", "lease", "dead", "due"} <= set(touched)
    for name, calls in touched.items():
        for keys in calls:
            assert len({slot(key) for key in keys}) == 1, name
            assert all(key.startswith(Keys().prefix) for key in keys), name


async def worked(store: Any) -> None:
    """Something of everything is done."""
    await store.open(CHANNEL, principal=None, session="s", listener="here")
    claim = (await store.enter(NewTask("a-task", CHANNEL, "t", "s", b"{}", on_interrupt="restart"), runner="r")).claim
    await store.signal("a-task", Signal("input", b"1"))
    assert len(await store.signals({claim: 0})) == 1
    await store.append([Entry(CHANNEL, "w", 1, [b"x"], claim=claim, state=b"{}", checkpoint=b"1", taken=1)])
    await store.append([Entry(CHANNEL, writer, 1, [b"y"]) for writer in ("a", "b")])
    await store.sent("here", {CHANNEL: 1})
    assert await store.read(CHANNEL, 0, max_messages=10, max_bytes=1000) is not None
    await store.beat("r", 10.0, [claim])
    await store.release(claim)
    claim, _ = await store.claim("r", ["t"])
    (receipt,) = await store.append([Entry(CHANNEL, "v", 1, [b"end"], claim=claim, end="complete")])
    assert isinstance(receipt, Appended)
    await store.leave(CHANNEL, "here")


def slot(key: str) -> int:
    """The slot of a key in a cluster, as its specification has it: CRC16 (XMODEM) of what is in the first braces."""
    begin = key.find("{")
    end = key.find("}", begin + 1)
    hashed = key[begin + 1 : end] if begin >= 0 and end > begin + 1 else key
    crc = 0
    for byte in hashed.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc % 16384


def test_slots_are_computed_as_the_specification_does() -> None:
    assert slot("123456789") == 0x31C3  # the check value of CRC16/XMODEM
    assert slot("{user1000}.following") == slot("{user1000}.followers")

"""Redis and Valkey as a store: the contract, its addresses, and what goes wrong with servers. Real servers, always."""

import re
import secrets
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcpc.errors import (
    DuplicateTask,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooManyTasks,
    UnknownOption,
    URIError,
)
from mcpc.store import Store
from mcpc.store_uri import open_store
from mcpc.stored import Appended, Change, Entry, NewTask, Signal, StoreLimits, channel_id
from mcpc.testing import store_checks
from mcpc.testing.store_subject import StoreSubject
from mcpc_stores.redis.engine import Call, Engine, connected, script
from mcpc_stores.redis.keys import Keys
from mcpc_stores.redis.log import MOST_IN_A_BELL
from redis_kit import ENGINES, RedisServer, redis_server
from replicas_kit import until, until_true

pytestmark = pytest.mark.anyio

CHANNEL = channel_id("a secret key of a channel")


@pytest.fixture(scope="module", params=sorted(ENGINES))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with redis_server(request.param, tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Generator[RedisServer]:
    """A server that the test may harm."""
    with redis_server("valkey", tmp_path) as running:
        yield running


async def write(store: Store, *messages: bytes, writer: str = "w", seq: int = 1) -> int:
    (receipt,) = await store.append([Entry(CHANNEL, writer, seq, messages)])
    assert isinstance(receipt, Appended), receipt
    return receipt.first


async def written(store: Store) -> list[bytes]:
    found: list[bytes] = []
    while (page := await store.read(CHANNEL, len(found), max_messages=1000, max_bytes=1 << 20)) is not None:
        found += page.messages
    return found


@pytest.mark.parametrize("name", sorted(store_checks()))
async def test_it_keeps_the_contract_of_a_store(name: str, server: RedisServer) -> None:
    await store_checks()[name](StoreSubject(server.uri, options={"poll": 0.2}))


# --- addresses ---


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("redis:tasks", "write redis://host:6379/0"),
        ("redis:///0", "write redis://host:6379/0"),
        ("redis://127.0.0.1/tasks", "the path is the number of the database"),
        ("redis://127.0.0.1/0?poll=0", "poll must be more than 0"),
        ("redis://127.0.0.1/0?wait=many", "wait cannot be 'many'"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_before_anything_is_dialled(uri: str, told: str) -> None:
    with pytest.raises(URIError, match=told):
        open_store(uri)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UnknownOption, match="does not take 'pol'; it takes: wait, poll"):
        open_store("redis://127.0.0.1/0?pol=1")


async def test_where_nobody_answers_it_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="redis cannot be reached"):
        async with open_store("redis://127.0.0.1:1/0"):
            pass


async def test_a_password_is_needed_and_shows_in_no_error(tmp_path: Path) -> None:
    with redis_server("valkey", tmp_path, "--requirepass", "hunter2") as server:
        with pytest.raises(StoreRefused) as refused:
            async with open_store(server.uri.replace("//", "//:wrong-secret@")):
                pass
        assert "wrong-secret" not in str(refused.value)
        async with open_store(server.uri.replace("//", "//:hunter2@")) as store:
            assert await store.open(CHANNEL, principal=None) is not None


async def test_a_server_that_may_drop_tasks_is_refused_unless_that_is_wanted(tmp_path: Path) -> None:
    with redis_server("valkey", tmp_path, "--maxmemory-policy", "allkeys-lru") as server:
        with pytest.raises(StoreRefused, match=r"allkeys-lru.*noeviction"):
            async with open_store(server.uri):
                pass
        async with open_store(f"{server.uri}?allow_eviction=1") as store:
            assert await store.open(CHANNEL, principal=None) is not None


async def test_a_server_without_an_append_only_file_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server("valkey", tmp_path, "--appendonly", "no") as server:
        async with open_store(server.uri):
            pass
    assert "keeps no append-only file" in caplog.text


def test_all_keys_of_a_script_are_in_one_slot_and_below_one_prefix() -> None:
    names = Keys().channel("abc", "task")
    assert {name.partition("{")[2].partition("}")[0] for name in names} == {"abc"}
    assert {name.startswith("mcpc:1:") for name in names} == {True}
    assert "KEYS[" not in script("append").partition("local SIGNALS")[2].partition("KEYS[10]")[2]


# --- what goes wrong with servers ---


async def test_what_was_acknowledged_survives_the_servers_death(own: RedisServer) -> None:
    async with open_store(own.uri) as store:
        await store.open(CHANNEL, principal=None)
        await write(store, b"1", b"2")
        own.kill()
        with pytest.raises(StoreUnavailable):
            await write(store, b"3", seq=2)
        own.start()
        with anyio.fail_after(60):
            assert await write(store, b"3", seq=2) == 3
            assert await written(store) == [b"1", b"2", b"3"]


async def test_bells_are_heard_again_after_the_servers_death(own: RedisServer) -> None:
    async with open_store(own.uri, poll=1000) as store, open_store(own.uri) as other:
        await store.open(CHANNEL, principal=None, listener="here")
        changes = aiter(store.changes())
        with anyio.fail_after(60):
            assert await anext(changes) == Change("look")
            own.kill()
            while await anext(changes) != Change("look"):
                pass
            own.start()
            sent = 0
            while True:  # until the subscription stands again
                sent += 1
                await write(other, b"x", seq=sent)
                with anyio.move_on_after(0.3):
                    if await anext(changes) == Change("channel", CHANNEL):
                        break


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(own: RedisServer) -> None:
    async with open_store(own.uri) as store:
        await store.open(CHANNEL, principal=None)
        await write(store, b"1")
        own.say("SCRIPT FLUSH")
        batch = [Entry(CHANNEL, f"w{n}", 1, [b"%d" % n]) for n in range(2, 5)]
        receipts = await store.append(batch)
        assert [receipt.first for receipt in receipts if isinstance(receipt, Appended)] == [2, 3, 4]
        own.say("SCRIPT FLUSH")
        assert await written(store) == [b"1", b"2", b"3", b"4"]


async def test_a_full_server_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with redis_server("valkey", tmp_path, "--maxmemory", "8mb") as server:
        async with open_store(server.uri) as store:
            await store.open(CHANNEL, principal=None)
            seq = 0
            full = None
            while full is None and seq < 200:
                try:
                    await write(store, b"%03d" % seq + b"x" * 100_000, seq=seq + 1)
                    seq += 1
                except StoreFull as exc:
                    full = exc
            assert "no memory left" in str(full)
            assert 5 < seq < 200
            page = await store.read(CHANNEL, 0, max_messages=1, max_bytes=1)
            assert page is not None
            assert page.messages[0][:3] == b"000"
            server.say("CONFIG SET maxmemory 0")
            assert await write(store, b"room again", seq=seq + 1) == seq + 1


async def test_a_server_that_lost_the_newest_gives_no_number_of_a_signal_again(own: RedisServer) -> None:
    async with open_store(own.uri) as store:
        await store.open(CHANNEL, principal=None)
        claim = (await store.enter(NewTask("one", CHANNEL, "t", "s", b"{}"), runner="r")).claim
        assert claim is not None
        numbers = [await store.signal("one", Signal("input", b"%d" % n)) for n in range(3)]
        assert numbers == [1, 2, 3]
    own.say(f"HSET {Keys().task(CHANNEL, 'one')} signalled 1")  # as if it had lost the two after it
    own.kill()
    own.start()
    async with open_store(own.uri) as store:
        numbers = [await store.signal("one", Signal("input", b"%d" % n)) for n in (3, 4)]
        assert 3 < numbers[0] < numbers[1] == numbers[0] + 1
        heard = await store.signals({claim: 3})
    assert [signal.value for signal in heard[claim]] == [b"3", b"4"]


async def test_a_killed_subscription_says_look_and_goes_on(own: RedisServer) -> None:
    async with open_store(own.uri, poll=1000) as store:
        changes = aiter(store.changes())
        with anyio.fail_after(60):
            await anext(changes)
            own.say("CLIENT KILL TYPE pubsub")
            assert await anext(changes) == Change("look")


async def test_however_often_connections_are_cut_there_are_new_ones(own: RedisServer) -> None:
    with anyio.fail_after(120):
        async with connected(own.uri) as engine:
            for _ in range(70):  # the client's pool has 64 places
                with suppress(StoreUnavailable):
                    async with engine.subscribed(["a bell"]) as heard:
                        async for _ in heard:
                            own.say("CLIENT KILL TYPE pubsub")
            assert await engine.run("dead", [Keys().runners]) == []
            for _ in range(70):
                own.say("CLIENT KILL TYPE normal")
                with suppress(StoreUnavailable):
                    await engine.run("dead", [Keys().runners])
            await until_true(lambda: _answers(engine), bool)


async def _answers(engine: Engine) -> bool:
    call: Call = ("dead", [Keys().runners], ())
    try:
        return await engine.run_all([call, call]) == [[], []]
    except StoreUnavailable:
        return False


async def test_a_connection_that_is_mute_is_not_asked_again(own: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcpc_stores.redis.engine.ANSWER_TIMEOUT", 0.2)
    with anyio.fail_after(60):
        async with connected(own.uri) as engine:
            await until_true(lambda: _answers(engine), bool)
            mute = _that_run_scripts(own)
            assert mute
            with own.stopped():
                with pytest.raises(StoreUnavailable, match="timed out"):
                    await engine.run("dead", [Keys().runners])
            await until_true(lambda: _answers(engine), bool)
            await until(lambda: mute.isdisjoint(_that_run_scripts(own)))


def _that_run_scripts(server: RedisServer) -> set[bytes]:
    return set(re.findall(rb"id=(\d+) .*cmd=evalsha", server.say("CLIENT LIST TYPE normal")))


async def test_a_bell_brings_what_was_written_up_to_a_size(own: RedisServer) -> None:
    async with open_store(own.uri, poll=1000) as store, open_store(own.uri) as other:
        changes = aiter(store.changes())
        with anyio.fail_after(60):
            await store.beat("here", 30, [])
            await store.open(CHANNEL, principal=None, listener="here")
            await heard(changes, Change("look"))
            seq = 0
            while True:  # until the subscription stands
                seq += 1
                await write(other, b"x", seq=seq)
                with anyio.move_on_after(0.3):
                    await heard(changes, Change("channel", CHANNEL))
                    break
            await write(other, b"a" * (MOST_IN_A_BELL - 2), b"b", seq=seq + 1)
            bell = await heard(changes, Change("channel", CHANNEL), last=seq + 2)
            assert [len(message) for message in bell.messages[-2:]] == [MOST_IN_A_BELL - 2, 1]
            await write(other, b"a" * MOST_IN_A_BELL, b"b", seq=seq + 2)
            bell = await heard(changes, Change("channel", CHANNEL), last=seq + 4)
            assert bell.messages == ()


async def test_a_bell_that_a_stranger_rings_is_a_reason_to_look_and_ends_nothing(own: RedisServer) -> None:
    async with open_store(own.uri, poll=1000) as store:
        changes = aiter(store.changes())
        with anyio.fail_after(60):
            await is_subscribed(own, Keys().ring)
            for text in (r"q", r"c\xff", r"t\xff", r"ca\x20b\x20c", r"cx\x201\x20y\nz"):
                assert own.say(f'PUBLISH {Keys().ring} "{text}"') == b":1\r\n"
                await heard(changes, Change("look"))
            own.say(f"PUBLISH {Keys().ring} tone")
            await heard(changes, Change("task", "one"))


@pytest.mark.parametrize("task_id", ["a b", "a\nb", 'a\n{"a": 1}', "\0 \N{CLOUD}"])
async def test_a_bell_tells_of_a_task_and_its_messages_whatever_its_id_holds(task_id: str, own: RedisServer) -> None:
    async with open_store(own.uri, poll=1000) as store, open_store(own.uri) as other:
        changes = aiter(store.changes())
        with anyio.fail_after(60):
            await other.open(CHANNEL, principal=None)
            new = NewTask(task_id, CHANNEL, tool_name="t", session_id="s", state=b"{}")
            claim = (await other.enter(new, runner="there")).claim
            await store.beat("here", 30, [])
            await is_subscribed(own, Keys().inbox("here"))
            await store.open(CHANNEL, principal=None, listener="here")
            await other.append([Entry(CHANNEL, "w", 1, [b"1", b"2"], state=b"{}", claim=claim)])
            bell = await heard(changes, Change("channel", CHANNEL), last=2)
            assert (bell.last, bell.messages) == (2, [b"1", b"2"])
            await heard(changes, Change("task", task_id))
            await is_subscribed(own, Keys().inbox("there"))
            told = aiter(other.changes())
            await store.signal(task_id, Signal("stop"))
            await heard(told, Change("signal", task_id))


async def test_what_a_process_that_died_has_counted_for_a_principal_and_not_entered_does_not_count(
    own: RedisServer,
) -> None:
    principal = '["ann"]'
    async with open_store(own.uri, limits=StoreLimits(max_tasks_per_principal=1)) as store:
        await store.open(CHANNEL, principal=principal)
        own.say(f"SADD {Keys().principal(b'=' + principal.encode())} channel-task")
        new: dict[str, Any] = {"tool_name": "t", "session_id": "s", "state": b"{}"}
        claim = (await store.enter(NewTask("one", CHANNEL, **new), runner="r")).claim
        with pytest.raises(TooManyTasks):
            await store.enter(NewTask("two", CHANNEL, **new), runner="r")
        await store.append([Entry(CHANNEL, "w", 1, [b"end"], claim=claim, end="complete")])
        with pytest.raises(DuplicateTask):
            await store.enter(NewTask("one", CHANNEL, **new), runner="r")
        assert (await store.enter(NewTask("two", CHANNEL, **new), runner="r")).is_new


async def is_subscribed(server: RedisServer, name: str) -> None:
    """Wait until somebody hears what is rung there."""
    await until(lambda: server.say(f"PUBSUB NUMSUB {name}").endswith(b":1\r\n"))


async def heard(changes: AsyncIterator[Change], wanted: Change, last: int = 0) -> Change:
    """The next bell like that one, from that number on."""
    async for change in changes:
        if change == wanted and change.last >= last:
            return change
    raise AssertionError("bells have no end")


async def test_an_id_is_used_once_whichever_channel_it_is_on(own: RedisServer) -> None:
    async with open_store(own.uri) as store:
        for channel in ("a", "b"):
            await store.open(channel, principal=None)
        new: dict[str, Any] = {"tool_name": "t", "session_id": "s", "state": b"{}"}
        await store.enter(NewTask("one", "a", **new), runner="r")
        with pytest.raises(DuplicateTask):
            await store.enter(NewTask("one", "b", **new), runner="r")


async def test_a_runner_holds_nothing_of_a_start_that_began_no_task(own: RedisServer) -> None:
    async with open_store(own.uri, limits=StoreLimits(max_tasks_per_channel=1)) as store:
        await store.open(CHANNEL, principal=None)
        new: dict[str, Any] = {"channel": CHANNEL, "tool_name": "t", "session_id": "s", "state": b"{}"}
        await store.enter(NewTask("one", **new, key="k"), runner="r")
        assert not (await store.enter(NewTask("again", **new, key="k"), runner="r")).is_new
        with pytest.raises(TooManyTasks):
            await store.enter(NewTask("two", **new), runner="r")
        with pytest.raises(DuplicateTask):
            await store.enter(NewTask("one", **new), runner="r")
        with pytest.raises(StoreRefused, match="no such channel"):
            await store.enter(NewTask("lost", channel_id("another"), "t", "s", b"{}"), runner="r")
        assert own.say(f"SMEMBERS {Keys().held('r')}").endswith(f"{CHANNEL} one\r\n".encode())
        assert own.say(f"SCARD {Keys().held('r')}") == b":1\r\n"


async def test_nothing_is_left_of_a_channel_and_a_task_whose_time_is_over(own: RedisServer) -> None:
    limits = StoreLimits(task_ttl=0.05, channel_ttl=0.05)
    async with open_store(own.uri, limits=limits) as store:
        await store.open(CHANNEL, principal=None, session="s")
        new = NewTask("one", CHANNEL, tool_name="t", session_id="s", state=b"{}", key="k")
        claim = (await store.enter(new, runner="r")).claim
        (receipt,) = await store.append([Entry(CHANNEL, "w", 1, [b"end"], claim=claim, end="complete")])
        assert isinstance(receipt, Appended)
        with anyio.fail_after(60):
            while own.say("KEYS *where*") != b"*0\r\n" or own.say("KEYS *{*") != b"*0\r\n":
                await store.sweep()
                await anyio.sleep(0.02)
        assert await store.channels("s") == []


async def test_a_command_that_fails_is_quoted_without_the_applications_data(own: RedisServer) -> None:
    async with open_store(own.uri) as store:
        await store.open(CHANNEL, principal=None)
        own.say(f"SET {Keys().channel(CHANNEL)[1]} x")  # the log is not a stream any more
        with pytest.raises(Exception, match="redis answered with an error") as failed:
            await store.append([Entry(CHANNEL, f"w{n}", 1, [b"a secret"]) for n in range(2)])
        assert "a secret" not in str(failed.value)


def test_the_engine_is_the_only_file_that_knows_the_client() -> None:
    folder = Path(str(Engine.run.__globals__["__file__"])).parent
    knowing = [file.name for file in folder.glob("*.py") if "coredis" in file.read_text(encoding="utf-8")]
    assert set(knowing) <= {"engine.py", "__init__.py"}


@pytest.mark.parametrize("lost", ["queue", "where"])
async def test_what_a_process_that_died_in_the_middle_left_out_is_made_good(lost: str, own: RedisServer) -> None:
    async with open_store(own.uri) as store:
        await store.open(CHANNEL, principal=None)
        async with open_store(own.uri) as gone:
            new = NewTask("one", CHANNEL, tool_name="t", session_id="s", state=b"{}", on_interrupt="restart")
            claim = (await gone.enter(new, runner="gone")).claim
            assert claim is not None
            await gone.release(claim)
        own.say(f"DEL {Keys().queue('t') if lost == 'queue' else Keys().where('one')}")
        await store.reap()
        task = await store.task("one")
        assert task is not None
        assert task.status == "queued"
        claimed = await store.claim("r", ["t"])
        assert claimed is not None
        assert claimed[0].task_id == "one"


async def test_a_worker_that_looks_while_a_task_is_entered_does_not_lose_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in the queue a moment before it is entered: who has seen it there by then must not take it away."""
    seen, tried, entered = anyio.Event(), anyio.Event(), anyio.Event()
    run = Engine.run

    async def slowly(self: Engine, name: str, *args: Any) -> Any:
        if name == "enter":
            seen.set()
            await tried.wait()
        answer = await run(self, name, *args)
        if name == "claim" and not tried.is_set():
            tried.set()
            await entered.wait()
        return answer

    channel, task_id = channel_id(f"the key of a front end's client {secrets.token_hex(8)}"), secrets.token_hex(8)
    task = NewTask(task_id=task_id, channel=channel, tool_name="early", session_id="s", state=b"{}")

    async def enter(store: Store) -> None:
        assert (await store.enter(task, runner=None)).is_new
        entered.set()

    with anyio.fail_after(60):
        async with open_store(server.uri) as front, open_store(server.uri) as back, anyio.create_task_group() as group:
            await front.open(channel, principal=None)
            monkeypatch.setattr(Engine, "run", slowly)
            group.start_soon(enter, front)
            await seen.wait()
            claimed = await back.claim("a worker", {"early"})
            assert claimed is not None
            assert claimed[0].task_id == task_id


class Dying:
    """What asks the store for a process that dies as soon as its task is there, while a worker looks for work."""

    def __init__(self, entering: Any, worker: Store, tool: str) -> None:
        self.scope = anyio.CancelScope()
        self._tool = tool
        self._engine, self._run = entering, entering.run
        self._worker = worker

    async def run(self, name: str, *args: Any) -> Any:
        if name != "enter":
            return await self._run(name, *args)
        assert await self._worker.claim("early", [self._tool]) is None
        answer = await self._run(name, *args)
        self.scope.cancel()
        await anyio.lowlevel.checkpoint()
        return answer


async def test_a_task_whose_process_died_as_it_entered_it_is_found_though_a_worker_had_looked_before(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(server.uri) as entering, open_store(server.uri) as worker:
        await entering.open(CHANNEL, principal=None)
        engine: Any = vars(entering)["_tasks"]._engine
        tool, task_id = secrets.token_hex(8), secrets.token_hex(8)
        dying = Dying(engine, worker, tool)
        monkeypatch.setattr(engine, "run", dying.run)
        task = NewTask(task_id, CHANNEL, tool, "default", b"{}", on_interrupt="restart", max_attempts=9)
        with dying.scope:
            await entering.enter(task, runner=None)
        claimed = await worker.claim("late", [tool])
        assert claimed is not None
        assert claimed[1].task_id == task_id
        await worker.release(claimed[0])
        assert await worker.claim("late", [tool]) is not None


async def test_a_place_in_the_queue_for_which_no_task_came_is_given_up_after_a_while(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, task_id = secrets.token_hex(8), secrets.token_hex(8)
    async with open_store(server.uri) as store:
        await store.open(CHANNEL, principal=None)
        running: Any = vars(store)["_running"]
        for number in range(30):  # more than are looked at at once
            await running.queue(tool, CHANNEL, f"never {number}")
        await store.enter(
            NewTask(task_id, CHANNEL, tool, "default", b"{}", on_interrupt="restart", max_attempts=9), runner=None
        )
        claimed = await store.claim("r", [tool])
        assert claimed is not None
        assert claimed[1].task_id == task_id
        monkeypatch.setattr("mcpc_stores.redis.runners.ENTERED_WITHIN", -2.0)  # coredis tells the time by the second
        assert await store.claim("r", [tool]) is None
        monkeypatch.undo()
        assert await running._engine.command("zcard", running._keys.queue(tool)) == 0

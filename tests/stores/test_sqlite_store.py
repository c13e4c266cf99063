"""SQLite as a store: its addresses, its files, and what goes wrong with files."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import anyio
import pytest

from mcpc.errors import StoreFull, StoreRefused, StoreSchema, StoreUnavailable, UnknownOption, URIError
from mcpc.store_uri import open_store
from mcpc.stored import Appended, Entry, NewTask, Signal, StoreLimits, channel_id

pytestmark = pytest.mark.anyio

CHANNEL = channel_id("a secret key of a channel")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


async def write(uri: str, *messages: bytes, seq: int = 1) -> None:
    async with open_store(uri) as store:
        await store.open(CHANNEL, principal=None)
        (receipt,) = await store.append([Entry(CHANNEL, "w", seq, messages)])
        assert isinstance(receipt, Appended)


# --- addresses ---


async def test_three_slashes_and_four_are_the_same_absolute_path(path: Path) -> None:
    await write(f"sqlite://{path}", b"1")
    await write(f"sqlite:///{path}", b"2", seq=2)
    await write(f"sqlite:{path}", b"3", seq=3)
    async with open_store(f"sqlite://{path}") as store:
        page = await store.read(CHANNEL, 0, max_messages=9, max_bytes=99)
        assert page is not None
        assert page.messages == [b"1", b"2", b"3"]


async def test_without_slashes_it_is_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await write("sqlite:some%20tasks.db", b"1")
    assert (tmp_path / "some tasks.db").is_file()


async def test_a_missing_folder_is_an_error_that_says_how_paths_are_read(tmp_path: Path) -> None:
    with pytest.raises(URIError, match=r"no folder /var/lib/no-such-place .*sqlite:tasks.db a relative one"):
        open_store("sqlite:///var/lib/no-such-place/tasks.db")
    with pytest.raises(URIError, match="is a folder"):
        open_store(f"sqlite:{tmp_path}")
    with pytest.raises(URIError, match="needs the path of a file"):
        open_store("sqlite:")
    with pytest.raises(URIError, match="has no host"):
        open_store("sqlite://host/tasks.db")


async def test_unknown_options_and_bad_values_are_refused(path: Path) -> None:
    with pytest.raises(UnknownOption, match="does not take 'fast'; it takes: sync, "):
        open_store(f"sqlite:{path}?fast=1")
    with pytest.raises(URIError, match=r"normal.*full"):
        open_store(f"sqlite:{path}?sync=off")
    with pytest.raises(URIError, match="busy_timeout cannot be 'soon'"):
        open_store(f"sqlite:{path}?busy_timeout=soon")


# --- files ---


async def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    async with open_store(f"sqlite:{path}") as store:
        await store.open(CHANNEL, principal=None)
        found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert {"tasks.db", "tasks.db-wal", "tasks.db-shm"} < found.keys()
        assert set(found.values()) == {0o600}
    assert [file.name for file in path.parent.iterdir()] == ["tasks.db"], "nothing else is left behind"


async def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    await write(f"sqlite:{path}", b"1")
    path.chmod(0o644)
    with pytest.raises(StoreRefused, match="chmod 600"):
        await write(f"sqlite:{path}", b"2")


async def test_a_folder_in_which_anybody_may_replace_files_is_refused(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(StoreRefused, match="everybody may replace files"):
        await write(f"sqlite:{path}", b"1")


async def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.db"
    target.touch(0o600)
    path.symlink_to(target)
    with pytest.raises(StoreRefused, match="not an ordinary file"):
        await write(f"sqlite:{path}", b"1")


async def test_a_file_of_another_program_is_left_alone(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(StoreSchema, match="another program"):
        await write(f"sqlite:{path}", b"1")
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    path.chmod(0o600)
    with pytest.raises(StoreSchema, match="is not a database"):
        await write(f"sqlite:{path}", b"1")


async def test_a_schema_from_the_future_is_refused(path: Path) -> None:
    await write(f"sqlite:{path}", b"1")
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(StoreSchema, match=r"schema 999.*newer mcpc"):
        await write(f"sqlite:{path}", b"2")


async def test_the_secret_key_is_in_no_file(path: Path) -> None:
    async with open_store(f"sqlite:{path}") as store:
        await store.open(CHANNEL, principal=None)
        files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert CHANNEL.encode() in files
    assert b"a secret key" not in files


READ_ONLY = """
import anyio, anyio.to_thread, os, sys
from mcpc.errors import StoreRefused
from mcpc.store_uri import open_store

async def main():
    opening = open_store("sqlite:" + sys.argv[1])
    await anyio.to_thread.run_sync(lambda: None)
    folder = os.path.dirname(sys.argv[1])
    os.chmod(sys.argv[1], 0o400 if sys.argv[2] == "file" else 0o600)
    os.chmod(folder, 0o755 if sys.argv[2] == "file" else 0o555)
    if os.geteuid() == 0:  # whoever may do anything becomes somebody who may not
        os.chown(sys.argv[1], 65534, 65534)
        os.setuid(65534)
    try:
        async with opening:
            print("opened")
    except StoreRefused as exc:
        print(exc)

anyio.run(main)
"""


@pytest.mark.parametrize(
    ("what", "words"), [("file", "cannot be written to by this user"), ("folder", "the folder .* cannot be written to")]
)
async def test_a_read_only_file_or_folder_is_refused(what: str, words: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder, "tasks.db")
        await write(f"sqlite:{path}", b"1")
        done = await anyio.run_process([sys.executable, "-c", READ_ONLY, str(path), what], stderr=subprocess.STDOUT)
        path.parent.chmod(0o700)
    assert re.search(words, done.stdout.decode()), done.stdout


async def test_options_out_of_range_are_refused(path: Path) -> None:
    for option in ("busy_timeout=-1", "busy_timeout=nan", "busy_timeout=3601", "max_size=-1"):
        with pytest.raises(URIError, match=f"sqlite: {option.partition('=')[0]} is a number"):
            open_store(f"sqlite:{path}?{option}")
    async with open_store(f"sqlite:{path}?busy_timeout=3600&max_size=0"):
        pass


# --- what goes wrong while it is used ---


async def test_a_full_disk_refuses_and_forgets_nothing(path: Path) -> None:
    async with open_store(f"sqlite:{path}?max_size=400000") as store:
        await store.open(CHANNEL, principal=None)
        seq = 0

        async def until_full() -> None:
            nonlocal seq
            while True:
                seq += 1
                await store.append([Entry(CHANNEL, "w", seq, [b"x" * 10_000])])

        with pytest.raises(StoreFull, match="has no room"):
            await until_full()
        page = await store.read(CHANNEL, 0, max_messages=1000, max_bytes=1 << 30)
        assert page is not None
        assert len(page.messages) == seq - 1, "what was acknowledged is there, and nothing else"
        (receipt,) = await store.append([Entry(CHANNEL, "w", seq, [b"small"])])
        assert receipt == Appended(seq, 0, False), "what has room still lands, in its place"


async def test_a_foreign_lock_is_waited_for_and_then_reported(path: Path) -> None:
    await write(f"sqlite:{path}", b"1")
    foreign = sqlite3.connect(path, isolation_level=None)
    async with open_store(f"sqlite:{path}?busy_timeout=0.05") as store:
        foreign.execute("BEGIN IMMEDIATE")
        entry = Entry(CHANNEL, "w", 2, [b"2"])
        with pytest.raises(StoreUnavailable, match="locked by another program"):
            await store.append([entry])
        page = await store.read(CHANNEL, 0, max_messages=9, max_bytes=99)
        assert page is not None, "who reads does not wait for who writes"
        foreign.execute("ROLLBACK")
        assert await store.append([entry]) == [Appended(2, 0, False)]
    foreign.close()


async def test_a_file_that_was_removed_is_missed_at_once(path: Path) -> None:
    async with open_store(f"sqlite:{path}") as store:
        await store.open(CHANNEL, principal=None)
        path.unlink()
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await store.append([Entry(CHANNEL, "w", 1, [b"1"])])
        path.touch(0o600)
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await store.read(CHANNEL, 0, max_messages=1, max_bytes=1)


DAY = 24 * 3600.0


async def test_a_jump_of_the_wall_clock_ends_nothing_whoever_opens_the_file_then(path: Path) -> None:
    limits = StoreLimits(task_ttl=3600)
    async with open_store(f"sqlite:{path}", limits=limits) as store:
        await store.open(CHANNEL, principal=None)
        await store.beat("r", 60, [])
        claims = [(await store.enter(NewTask(f"t{n}", CHANNEL, "tool", "s", b""), runner="r")).claim for n in range(2)]
        (receipt,) = await store.append([Entry(CHANNEL, "w", 1, [b"end"], claim=claims[0], end="complete")])
        assert isinstance(receipt, Appended)
        right = time.time()
        for ahead in (-DAY, DAY):
            with patch("time.time", lambda ahead=ahead: right + ahead):
                async with open_store(f"sqlite:{path}", limits=limits) as other:
                    assert await other.reap() == []
                    assert claims[1] is not None
                    assert await store.beat("r", 60, [claims[1]]) == {"t1"}
                    for handle in (store, other):
                        await handle.sweep()
                        assert await handle.task("t0") is not None
                        assert await handle.task("t1") is not None
                        assert await handle.read(CHANNEL, 0, max_messages=9, max_bytes=99) is not None


@pytest.mark.parametrize("ahead", [-DAY, DAY])
async def test_nor_does_it_keep_anything(path: Path, ahead: float) -> None:
    limits = StoreLimits(task_ttl=0.05, channel_ttl=0.05)
    async with open_store(f"sqlite:{path}", limits=limits) as store:
        await store.open(CHANNEL, principal=None)
        claim = (await store.enter(NewTask("t", CHANNEL, "tool", "s", b""), runner="r")).claim
        await store.append([Entry(CHANNEL, "w", 1, [b"end"], claim=claim, end="complete")])
        right = time.time()
        with patch("time.time", lambda: right + ahead):
            async with open_store(f"sqlite:{path}", limits=limits) as other:
                with anyio.fail_after(60):
                    while await other.task("t") is not None:
                        await other.sweep()


async def test_after_a_reboot_the_wall_clock_is_believed_once(path: Path) -> None:
    limits = StoreLimits(task_ttl=3600)
    async with open_store(f"sqlite:{path}", limits=limits) as store:
        await store.open(CHANNEL, principal=None)
        claim = (await store.enter(NewTask("t", CHANNEL, "tool", "s", b""), runner="r")).claim
        await store.append([Entry(CHANNEL, "w", 1, [b"end"], claim=claim, end="complete")])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE clock SET boot = 'an earlier one'")
    db.close()
    right = time.time()
    with patch("time.time", lambda: right + DAY):
        async with open_store(f"sqlite:{path}", limits=limits) as store:
            await store.sweep()
            assert await store.task("t") is None, "the machine was down for a day"


DYING = """
import anyio, os, sys
from mcpc.store_uri import open_store
from mcpc.stored import NewTask

async def main():
    async with open_store("sqlite:" + sys.argv[1]) as store:
        await store.open(sys.argv[2], principal=None)
        await store.beat("dead", 3600, [])
        await store.enter(NewTask("t", sys.argv[2], "tool", "s", b"", interrupted=b"interrupted"), runner="dead")
        os.kill(os.getpid(), 9)

anyio.run(main)
"""


async def test_a_process_that_was_killed_is_known_for_dead_at_once(path: Path) -> None:
    async with open_store(f"sqlite:{path}") as store:
        await anyio.run_process([sys.executable, "-c", DYING, str(path), CHANNEL], check=False)
        (task,) = await store.reap()
        assert (task.task_id, task.status, task.was_interrupted) == ("t", "failed", True)
        assert await store.reap() == []
        assert not list(path.parent.glob("*.lock")) or len(list(path.parent.glob("*.lock"))) == 1


async def test_a_sweep_lets_go_of_channels_tasks_and_pages(path: Path) -> None:
    now = 1e9
    limits = StoreLimits(task_ttl=10, channel_ttl=10)
    async with open_store(f"sqlite:{path}", limits=limits, clock=lambda: now) as store:
        for n in range(20):
            channel = channel_id(str(n))
            await store.open(channel, principal=None)
            claim = (await store.enter(NewTask(f"t{n}", channel, "tool", "s", b""), runner="r")).claim
            await store.signal(f"t{n}", Signal("input", b"1"))
            await store.append([Entry(channel, "w", 1, [b"x" * 10_000] * 5, claim=claim, end="complete")])
        now += 10
        counts = await store.sweep()
        assert (counts.tasks, counts.channels) == (20, 20)
        state = await store.open(channel_id("0"), principal=None)
        assert state is not None
        assert state.head == 0
    assert path.stat().st_size < 300_000, os.listdir(path.parent)


async def test_beyond_the_bound_the_idlest_channel_makes_room(path: Path) -> None:
    async with open_store(f"sqlite:{path}", limits=StoreLimits(max_channels=2)) as store:
        one, two, three, four = (channel_id(str(n)) for n in range(4))
        for channel in (one, two, three):
            await store.open(channel, principal=None, session="s")
        assert await store.channels("s") == [two, three]
        for channel in (two, three):
            await store.enter(NewTask(channel, channel, "tool", "s", b""), runner="r")
        with pytest.raises(StoreFull, match="2 channels, which is the limit"):
            await store.open(four, principal=None)

"""What 10, 100 or 1 000 replicas and a million channels need of Redis: `python -m benchmarks.sizing [--measure]`.

A model on paper: numbers measured on one machine (or, with `--measure`, on this one, now) times what is asked for. It
says where one Redis ends; it does not say what a network or a disk adds.
"""

import argparse
import time
from dataclasses import dataclass

import anyio

from mcpc.server.shelf import COMPARED_AT_ONCE
from mcpc.store_uri import open_store
from mcpc.stored import Entry, Place, StoreLimits, channel_id


@dataclass(frozen=True)
class Costs:
    """What Redis spends; by default as it was measured on two cores that were busy with other work."""

    append: float = 225e-6
    """Seconds of its processor for an entry that rings a listener."""
    message: float = 2.1e-6
    """Seconds more for each message of an entry."""
    read: float = 125e-6
    """Seconds for a listener's read, of an entry that is too large for a bell."""
    look: float = 93e-6
    """Seconds for comparing heads and a listener's word of how far it has come, each five seconds and channel."""
    channel: float = 590.0
    """Bytes of an idle channel with an empty log."""
    kept: float = 0.9
    """Bytes for each byte of a message in a log."""


@dataclass(frozen=True)
class Load:
    """What is asked for."""

    replicas: int
    channels: int
    listening: float = 0.1
    """Of the channels, those that a client listens to."""
    rate: float = 1.0
    """Messages a second of each channel that is listened to."""
    batch: float = 1.0
    """Messages of an entry: 1 where they come singly, up to 512 under load."""
    size: int = 300
    log: int = 20
    """Messages in the log of a channel."""
    carried: float = 1.0
    """Of the entries, those that the bells bring along, so that nobody reads them: up to 64 KiB each."""

    def processor(self, costs: Costs) -> float:
        """Seconds of Redis's processor a second: over 0.7 it is time for another one."""
        active = self.channels * self.listening
        messages = active * self.rate
        entries = messages / self.batch
        each = costs.append + (1 - self.carried) * costs.read
        return entries * each + messages * costs.message + active / 5 * costs.look

    def memory(self, costs: Costs) -> float:
        """Bytes in Redis."""
        return self.channels * (costs.channel + self.log * self.size * costs.kept)


async def measured(uri: str, channels: int = 2000, entries: int = 4000) -> Costs:
    """The costs on this machine."""
    names = [channel_id(str(n)) for n in range(channels)]
    async with open_store(uri, limits=StoreLimits(max_channels=10 * channels)) as store, open_store(uri) as other:
        before = await used(uri)
        for name in names:
            await store.open(name, principal=None, listener="here")
        opened = await used(uri)
        message = b"x" * 300
        for seq in range(entries):
            await store.append([Entry(names[seq % channels], "w", seq // channels + 1, [message])])
        single = await used(uri)
        for seq in range(entries // 10):
            await store.append([Entry(names[seq], "v", 1, [message] * 100)])
        batched = await used(uri)
        for seq in range(entries):
            await other.read(names[seq % channels], 0, max_messages=1, max_bytes=1)
        read = await used(uri)
        for start in range(0, channels, COMPARED_AT_ONCE):
            some = names[start : start + COMPARED_AT_ONCE]
            await store.listen("here", dict.fromkeys(some, Place(None, 1, "")))
            await store.sent("here", dict.fromkeys(some, 2))
        looked = await used(uri)
    append = (single[0] - opened[0]) / entries
    return Costs(
        append=append,
        message=max(0.0, ((batched[0] - single[0]) / (entries // 10) - append) / 100),
        read=(read[0] - batched[0]) / entries,
        look=(looked[0] - read[0]) / channels,
        channel=(opened[1] - before[1]) / channels,
        kept=(batched[1] - single[1]) / (entries // 10 * 100 * 300),
    )


async def used(uri: str) -> tuple[float, float]:
    """Redis's processor so far in seconds, and its memory in bytes."""
    host, _, port = uri.removeprefix("redis://").partition("/")[0].partition(":")
    async with await anyio.connect_tcp(host, int(port)) as connection:
        await connection.send(b"INFO\r\n")
        text = b""
        while b"# Keyspace" not in text:
            text += await connection.receive()
    about = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    processor = float(about["used_cpu_user"]) + float(about["used_cpu_sys"])
    return processor, float(about["used_memory"])


def table(costs: Costs) -> None:
    """Print what each load needs."""
    print("replicas   channels  listening  messages/s   Redis processors   memory (GiB)")
    for replicas, channels in ((10, 10_000), (100, 100_000), (1000, 1_000_000)):
        for batch in (1, 20):
            load = Load(replicas, channels, rate=float(batch), batch=float(batch))
            active = int(channels * load.listening)
            print(
                f"{replicas:8} {channels:10} {active:10} {int(active * load.rate):11} "
                f"{load.processor(costs):18.2f} {load.memory(costs) / (1 << 30):14.2f}"
            )


def main() -> None:
    """Print the costs and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", metavar="URI", help="measure at this Redis, which should hold nothing else")
    asked = parser.parse_args()
    started = time.monotonic()
    costs = anyio.run(measured, asked.measure) if asked.measure else Costs()
    print(costs, f"({time.monotonic() - started:.0f} s)")
    table(costs)


if __name__ == "__main__":
    main()

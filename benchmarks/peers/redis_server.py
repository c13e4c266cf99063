# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""Messages into a stream of Redis and nothing else, through the client that our store uses: one XADD a batch.

It obeys what comes in the stream `orders`: `count`, `size` and `rate`.
"""

import asyncio
import json

import coredis
import kit

BATCH = 512
"""Messages of a batch, as in our store under load; or fewer, by the next bound."""
BATCH_BYTES = 128 * 1024


async def flood(client, order: dict) -> None:
    """Write the messages. The payload is encoded once; only the number and the time are new in each."""
    count, rate, pad = order["count"], order["rate"], kit.padding(order["size"])
    before, after = json.dumps(kit.message(0, 0, pad), separators=(",", ":")).split('"n":0,"t":0')
    most = 1 if rate else max(1, min(BATCH, BATCH_BYTES // order["size"]))
    pace = kit.Pace(rate)
    for first in range(0, count, most):
        await pace.wait()
        numbers = range(first, min(count, first + most))
        data = "\n".join(f'{before}"n":{number},"t":{kit.CLOCK()}{after}' for number in numbers)
        await client.xadd("log", field_values={"d": data})


async def main(todo: kit.Job) -> None:
    """Obey orders until we are ended."""
    async with coredis.Redis.from_url(todo.store) as client:
        kit.announce(todo.store)
        last = "0"
        while True:
            found = await client.xread({"orders": last}, block=60_000)
            for entry in (found or {}).get(b"orders", ()):
                last = entry.identifier
                await flood(client, json.loads(entry.field_values[b"d"]))


if __name__ == "__main__":
    asyncio.run(main(kit.job()))

# type: ignore - it runs in environments of its own, on versions of packages that the checker does not see
"""What each Python client does with the server. A client gives `play` one function that calls a tool."""

import asyncio
import json
import re
import sys
import time


class Seen:
    """What a client was told and asked in one call."""

    def __init__(self):
        self.updates = []
        self.questions = []

    async def progress(self, progress, total, message, *rest):
        """A progress callback."""
        self.updates.append(message)

    def ask(self, question):
        """Somebody answers."""
        self.questions.append(question)
        return {"answer": "b"}


async def attempt(call, name, arguments, seen=None):
    """The text of what a call comes to, be it an error."""
    try:
        return str(await call(name, arguments, seen or Seen())).replace("\\", "")
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}".replace("\\", "")


def since(text):
    found = re.findall(r"since\W+(\d+)", text)
    return int(found[-1]) if found else 0


async def news_until(word, text, call, task_id):
    """All news up to those that say it; each is waited for by the server."""
    give_up_at, told = time.monotonic() + 60, text
    while word not in text and time.monotonic() < give_up_at:
        text = await attempt(call, "task_news", {"task_id": task_id, "since": since(text)})
        told += text
    return told


async def with_companions(call):
    """Start a tool, hear of it, answer it, and have its result, as a model does that only calls tools."""
    text = await attempt(call, "survey", {})
    found = re.search(r"task_id\W+([0-9a-f-]{36})", text)
    if found is None:
        return False
    task_id = found.group(1)
    told = await news_until("half done", text, call, task_id)
    text = await attempt(call, "task_send", {"task_id": task_id, "input": "go on"})
    told += await news_until("questions", text, call, task_id)
    text = await attempt(call, "task_answer", {"task_id": task_id, "answer": "b"})
    told += await news_until("surveyed: b", text, call, task_id)
    return "half done" in told and "surveyed: b" in told


async def stops(call, name):
    """Whether a call that is cancelled stops its worker."""
    running = asyncio.create_task(attempt(call, "hangs", {"name": name}))
    await attempt(call, "reached", {"name": name})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return "true" in (await attempt(call, "was_stopped", {"name": name})).lower()


def saw_updates(updates):
    """Whether each update was seen, in order; a client that polls sees the newest."""
    if updates == ["row 1", "row 2", "row 3"]:
        return True
    return updates[-1:] == ["row 3"] and "the newest"


async def play(call, name, has_handle=None):
    """Do all of it, and print what was seen as one line of JSON.

    `has_handle` is what a client of the tasks extension does in place of the companion tools.
    """
    counted, asked = Seen(), Seen()
    result = await attempt(call, "count", {"n": 3}, counted)
    choice = await attempt(call, "choose", {}, asked)
    failure = await attempt(call, "fails", {})
    rows = {
        "result": "rows" in result and "3" in result,
        "updates": saw_updates(counted.updates),
        "question": "chosen: b" in choice,
        "failure": "no such row" in failure,
        "stop": await stops(call, name),
        "companions": await (has_handle() if has_handle else with_companions(call)),
    }
    print("said:", result, "|", choice, "|", failure, "|", counted.updates, file=sys.stderr)
    print(json.dumps(rows), flush=True)

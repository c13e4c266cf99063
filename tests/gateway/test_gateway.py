"""Many servers behind one address: what each offers is there under its name, and what one does harms no other."""

import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp
import pytest
from mcp.server.auth.provider import AccessToken
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.messages import prompt_of

pytestmark = pytest.mark.anyio

DEADLINE = 60
"""Seconds that no wait here should come near."""

BEHIND = str(Path(__file__).parents[1] / "kits" / "gateway_server.py")

MODES = ["auto", "legacy"]


def process(*arguments: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": [BEHIND, *arguments]}


def ending_at_once(last_word: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-c", f"import sys; sys.exit({last_word!r})"]}


@asynccontextmanager
async def gathered(servers: dict[str, Any], **options: Any) -> AsyncGenerator[tuple[mcpc.Gateway, mcpc.Client]]:
    """A gateway to these servers, and a client of it."""
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.Gateway({"mcpServers": servers}) as gateway,
            mcpc.Client(gateway.server, **options) as client,
        ):
            yield gateway, client


async def polled(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something: what other processes do is told to nobody here."""
    while not (found := look()):  # noqa: ASYNC110
        await anyio.sleep(0.01)
    return found


async def until(gateway: mcpc.Gateway, name: str, state: str, restarts: int = 0) -> mcpc.ServerStatus:
    """Wait until a server is in a state, after so many restarts."""

    def look() -> mcpc.ServerStatus | None:
        (found,) = [status for status in gateway.status() if status.name == name]
        return found if found.state == state and found.restarts >= restarts else None

    return await polled(look)


async def events_of(handle: mcpc.TaskHandle) -> list[str]:
    return [message.event async for message in handle]


async def started_waiting(client: mcpc.Client, tool: str) -> mcpc.TaskHandle:
    """A task that waits, as has been seen."""
    handle = await client.start_task(tool)
    async for message in handle:
        if message.event == "update":
            break
    return handle


async def pid_of(client: mcpc.Client, name: str) -> int:
    result = await client.call_tool(f"{name}__pid", {})
    assert result.structured_content is not None
    return result.structured_content["result"]


# --- what all of them offer ---


@pytest.mark.parametrize("mode", MODES)
async def test_the_tools_of_all_are_listed_under_their_servers_names_and_work(mode: str) -> None:
    async with gathered({"one": process(), "my two": process()}, mode=mode) as (_, client):
        names = [tool.name for tool in (await client.list_tools()).tools]
        own = ["count", "order", "collect", "wait", "fail", "pid", "die", "refuse"]
        assert names == [f"{prefix}__{name}" for prefix in ("one", "my_two") for name in own]
        task = await client.start_task("one__count", {"n": 3})
        assert await events_of(task) == ["created", "update", "update", "update", "complete"]
        assert await task.result() == {"rows": 3}
        assert await pid_of(client, "one") != await pid_of(client, "my_two")
        refused = await client.call_tool("one__refuse", {})
        assert refused.is_error
        assert "nothing here" in str(refused.content)
        with pytest.raises(mcpc.TaskFailed, match="ValueError: no such row"):
            await (await client.start_task("my_two__fail")).result()


@pytest.mark.parametrize("mode", MODES)
async def test_a_plain_client_gets_progress_questions_and_the_result(mode: str) -> None:
    seen: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    async def answer(context: Any, params: Any) -> Any:
        return mcp.types.ElicitResult(action="accept", content={"answer": "Bee & Co"})

    with anyio.fail_after(DEADLINE):
        async with mcpc.Gateway({"mcpServers": {"one": process()}}) as gateway:
            async with mcp.Client(gateway.server, mode=mode, elicitation_callback=answer) as plain:  # type: ignore[arg-type]
                counted = await plain.call_tool("one__count", {"n": 2}, progress_callback=on_progress)
                ordered = await plain.call_tool("one__order", {"item": "tea"})
    assert counted.structured_content == {"rows": 2}
    assert sorted(seen) == [(1.0, 2.0), (2.0, 2.0)]  # the SDK starts a task for each
    assert ordered.structured_content == {"result": "tea from Bee & Co"}


async def test_questions_inputs_and_stops_reach_the_task_behind() -> None:
    async with gathered({"one": process()}) as (_, client):
        task = await client.start_task("one__order", {"item": "tea"})
        async for message in task:
            if (prompt := prompt_of(message)) is not None:
                assert prompt.choices == ["Ant Ltd", "Bee & Co"]
                with pytest.raises(mcpc.PromptError):
                    await task.answer(prompt.id, "nobody")
                await task.answer(prompt.id, "Ant Ltd")
        assert await task.result() == "tea from Ant Ltd"

        task = await client.start_task("one__collect")
        for value in (1, {"two": 2}, "done"):
            await task.send(value)
        assert await task.result() == [1, {"two": 2}]

        task = await started_waiting(client, "one__wait")
        await task.stop()
        with pytest.raises(mcpc.TaskStopped):
            await task.result()


async def test_server_events_reach_the_clients_of_their_session_only() -> None:
    heard: dict[str, list[Any]] = {"chat": [], "other": []}
    with anyio.fail_after(DEADLINE):
        async with mcpc.Gateway({"mcpServers": {"one": process()}}) as gateway:
            async with mcpc.Client(gateway.server) as chat, mcpc.Client(gateway.server) as other:
                chat.add_event_listener(lambda message: heard["chat"].append(message.result), event="counted")
                other.add_event_listener(lambda message: heard["other"].append(message.result), event="counted")
                await (await other.start_task("one__count", {"n": 1}, session_id="other")).result()
                await (await chat.start_task("one__count", {"n": 2}, session_id="chat")).result()
                await polled(lambda: all(heard.values()))
    assert heard == {"chat": [{"n": 2}], "other": [{"n": 1}]}


async def test_resources_keep_their_uris_and_prompts_bear_their_servers_names() -> None:
    async with gathered({"one": process(), "two": process()}) as (_, client):
        assert [resource.uri for resource in (await client.list_resources()).resources] == ["stock://all"]
        templates = (await client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == ["stock://{shelf}"]
        assert (await client.read_resource("stock://all")).contents[0].model_dump()["text"] == "all"
        assert (await client.read_resource("stock://5")).contents[0].model_dump()["text"] == "on 5"
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["one__greet", "two__greet"]
        greeting = await client.get_prompt("two__greet", {"name": "Eve"})
        assert greeting.messages[0].content.model_dump()["text"] == "hello Eve"


async def test_a_start_with_a_key_is_made_once_behind_the_gateway_too() -> None:
    async with gathered({"one": process()}) as (_, client):
        first = await client.start_task("one__wait", key="monthly")
        again = await client.start_task("one__wait", key="monthly")
        assert again is first
        await first.stop()


# --- mistakes ---


async def test_an_unknown_name_is_refused_with_the_likely_one() -> None:
    async with gathered({"one": process()}) as (_, client):
        with pytest.raises(MCPError, match="Unknown tool: one__cuont; did you mean one__count"):
            await client.call_tool("one__cuont", {})
        with pytest.raises(MCPError, match=r"Unknown tool: won__count; there are: one__…"):
            await client.call_tool("won__count", {})
        with pytest.raises(MCPError, match="other://x"):
            await client.read_resource("other://x")


@pytest.mark.parametrize("names", [("a b", "a.b"), ("a", "a__b"), ("a__b", "a")])
async def test_servers_that_could_not_be_told_apart_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(mcpc.ConfigError, match=f"{names[0]}.*{names[1]}.*cannot be told apart"):
        mcpc.Gateway({"mcpServers": dict.fromkeys(names, process())})


async def test_a_configuration_without_servers_is_refused_and_a_disabled_one_is_left_out() -> None:
    with pytest.raises(mcpc.ConfigError, match="names no servers"):
        mcpc.Gateway({"mcpServers": {}})
    off = {**process(), "disabled": True}
    with pytest.raises(mcpc.ConfigError, match="names no servers that are not disabled"):
        mcpc.Gateway({"mcpServers": {"off": off}})
    gateway = mcpc.Gateway({"mcpServers": {"off": off, "on": process()}})
    assert [status.name for status in gateway.status()] == ["on"]


# --- one that is down ---


async def test_servers_that_do_not_start_hold_no_other_back_and_say_why() -> None:
    servers = {
        "broken": ending_at_once("no database"),
        "missing": {"command": "no-such-command-at-all"},
        "unset": {"url": "${NO_SUCH_VARIABLE_AT_ALL}"},
        "good": process(),
    }
    async with gathered(servers) as (gateway, client):
        assert (await client.call_tool("good__pid", {})).is_error is False
        broken = await until(gateway, "broken", "down")
        assert "exit code 1" in str(broken.error)
        assert "no database" in str(broken.error)
        assert "there is no such command" in str((await until(gateway, "missing", "down")).error)
        assert "NO_SUCH_VARIABLE_AT_ALL" in str((await until(gateway, "unset", "unusable")).error)
        with pytest.raises(MCPError, match="the server 'broken' behind this one is not up now") as refused:
            await client.call_tool("broken__x", {})
        assert "no database" not in str(refused.value)  # what it wrote is for the operator


async def test_a_killed_server_comes_back_and_its_tasks_end_with_a_word_while_the_others_go_on() -> None:
    async with gathered({"one": process(), "two": process()}) as (gateway, client):
        other = await client.start_task("two__collect")
        task = await started_waiting(client, "one__wait")
        os.kill(pid := await pid_of(client, "one"), signal.SIGKILL)
        with pytest.raises(mcpc.TaskFailed, match=r"the server 'one' behind this one went away.*signal 9"):
            await task.result()
        await until(gateway, "one", "up", restarts=1)
        assert await pid_of(client, "one") not in (pid, 0)
        await other.send("still here")
        await other.send("done")
        assert await other.result() == ["still here"]
        assert [status.restarts for status in gateway.status()] == [1, 0]


async def test_an_ordinary_call_under_which_its_server_dies_ends_with_a_word() -> None:
    async with gathered({"one": process()}) as (gateway, client):
        died = await client.call_tool("one__die", {})
        assert died.is_error
        assert "the server 'one' behind this one went away" in str(died.content)
        found = await until(gateway, "one", "up", restarts=1)
        assert "exit code 3" in str(found.error)
        assert "out of paper" in str(found.error)


async def test_a_task_of_a_killed_server_with_a_store_goes_on_in_the_next_process(tmp_path: Path) -> None:
    async with gathered({"one": process(f"sqlite:{tmp_path / 'tasks.db'}")}) as (_, client):
        task = await started_waiting(client, "one__wait")
        os.kill(await pid_of(client, "one"), signal.SIGKILL)
        assert await task.result() == "went on from 7"


async def test_each_reason_for_which_a_server_is_down_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcpc.gateway")
    async with gathered({"missing": {"command": "no-such-command-at-all"}}):
        await polled(lambda: len([r for r in caplog.records if "no such command" in r.getMessage()]) >= 3)
    levels = [record.levelname for record in caplog.records if "no such command" in record.getMessage()]
    assert levels[:3] == ["WARNING", "DEBUG", "DEBUG"]


# --- over HTTP ---


class OneToken:
    """Knows a token, and one that has expired, of which others have to take notice."""

    async def verify_token(self, token: str) -> AccessToken | None:
        expires_at = {"s3cret": None, "old": 1}
        if token not in expires_at:
            return None
        return AccessToken(token=token, client_id="one", scopes=[], expires_at=expires_at[token])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_status_route_says_who_is_up_and_asks_for_the_token_where_there_is_one() -> None:
    servers = {"good": process(), "broken": ending_at_once("no database")}
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.Gateway({"mcpServers": servers}, status_verifier=OneToken()) as gateway,
            mcpc.listen(gateway.server, "http://127.0.0.1:0/mcp", token_verifier=OneToken()) as listener,
            httpx2.AsyncClient(timeout=60) as http,
        ):
            await polled(lambda: gateway.status()[0].tools)  # it is up, and has listed them
            await until(gateway, "broken", "down")
            where = listener.uri.replace("/mcp", "/status")
            for given in (None, "Bearer wrong", "Basic s3cret", "Bearer old", "Bearer"):
                headers = {} if given is None else {"Authorization": given}
                assert (await http.get(where, headers=headers)).status_code == 401, given
            told = await http.get(where, headers={"Authorization": "Bearer s3cret"})
            async with mcpc.Client(listener.uri, token="s3cret") as client:
                assert await (await client.start_task("good__count", {"n": 1})).result() == {"rows": 1}
    assert told.status_code == 200
    assert told.json()["up"] == 1
    good, broken = told.json()["servers"]
    assert (good["name"], good["state"], good["restarts"], good["error"]) == ("good", "up", 0, None)
    assert good["tools"] == 8
    assert (broken["name"], broken["state"]) == ("broken", "down")
    assert "no database" in broken["error"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_status_route_answers_503_while_no_server_is_up() -> None:
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.Gateway({"mcpServers": {"broken": ending_at_once("no database")}}) as gateway,
            mcpc.listen(gateway.server, "http://127.0.0.1:0/mcp") as listener,
            httpx2.AsyncClient(timeout=60) as http,
        ):
            await until(gateway, "broken", "down")
            assert (await http.get(listener.uri.replace("/mcp", "/status"))).status_code == 503


def test_a_gateway_is_made_before_there_is_a_loop_as_the_command_line_makes_it() -> None:
    gateway = mcpc.Gateway({"mcpServers": {"one": process()}})
    assert gateway.server.name == "mcpc-gateway"


async def test_what_goes_wrong_while_a_gateway_is_up_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError, match="stock"):
        async with mcpc.Gateway({"mcpServers": {"one": {"url": "memory://nobody-at-all"}}}):
            raise KeyError("stock")

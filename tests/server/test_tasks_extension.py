"""The tasks extension (SEP-2663), server side: background tools as tasks, polled, asked by, cancelled; and who may."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp
import pytest
from mcp.server import MCPServer, Server
from mcp.server.auth.provider import AccessToken
from mcp.shared.exceptions import MCPError
from mcp_types import Request, RequestParams, Result
from pydantic import ConfigDict

import mcpc
from conformance import fixture_server
from sep2663_kit import DEADLINE, DECLARED, SUBSCRIPTION, TASKS, UUID4, VERSION, Puppet, by_hand, next_millisecond
from support import ASYNCIO_ONLY, make_server, serving

pytestmark = pytest.mark.anyio

SCHEMES = ["memory", "ws", "http"]
UNDECLARED: dict[str, Any] = {}
MISSING: dict[str, Any] = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]}


@pytest.fixture(autouse=True)
def both_loops_where_the_transport_has_both(request: pytest.FixtureRequest, anyio_backend: str) -> None:
    scheme = request.node.callspec.params.get("scheme") if hasattr(request.node, "callspec") else None
    if anyio_backend == "trio" and scheme in ASYNCIO_ONLY:
        pytest.skip("HTTP is served on asyncio only")


# --- a task's life ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_server_says_that_it_serves_tasks(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, make_server()) as served, by_hand(served.uri) as client:
            capabilities = (await client.ask("server/discover"))["capabilities"]
    assert capabilities["extensions"][TASKS] == {}
    assert "tasks" not in capabilities


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_client_that_declares_the_extension_gets_a_task_and_polls_it_to_its_result(
    scheme: str, tmp_path: Path
) -> None:
    puppet = Puppet(task_ttl=120.0)
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            created = await client.call("work")
            assert created.pop("resultType") == "task"
            assert created.pop("_meta")["io.modelcontextprotocol/serverInfo"]["name"] == "puppet"
            task_id = created["taskId"]
            assert UUID4.fullmatch(task_id)
            assert created["status"] == "working"
            assert created["ttlMs"] is None  # a task that runs is not forgotten
            assert created["pollIntervalMs"] == 1000
            assert created["statusMessage"] == "work has started."
            assert created["createdAt"] == created["lastUpdatedAt"]
            assert await client.get(task_id) == created  # nothing has changed yet

            await puppet.update(task_id, {"status": "half way", "progress": 50})
            await puppet.finish(task_id, {"rows": 10})
            ended = await client.until(task_id, "completed")
            assert ended["createdAt"] == created["createdAt"]
            assert ended["lastUpdatedAt"] >= created["lastUpdatedAt"]
            assert ended["statusMessage"] == "half way"
            assert 120_000 <= ended["ttlMs"] <= 120_000 + 1000 * DEADLINE
            assert ended["result"] == {
                "resultType": "complete",
                "content": [{"type": "text", "text": '{\n  "rows": 10\n}'}],
                "structuredContent": {"rows": 10},
                "isError": False,
            }
            assert await client.get(task_id) == ended


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_task_reports_no_progress_and_logs_nothing_beside_its_states(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            meta = {"progressToken": "tell me", "io.modelcontextprotocol/logLevel": "debug"}
            params: dict[str, Any] = {"name": "work", "arguments": {}, "_meta": meta}
            task_id = (await client.ask("tools/call", params))["taskId"]
            stream = await client.listen(task_id)
            await stream.next()
            for number in range(3):
                await puppet.update(task_id, {"progress": number, "total": 3})
            await puppet.finish(task_id)
            await stream.until("completed")
            assert client.unaddressed == []


async def test_the_inlined_result_is_what_the_call_would_have_answered(tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, make_server()) as served, by_hand(served.uri) as client:
            for tool, arguments in (("count", {"n": 2}), ("fail", {})):
                plain = await client.call(tool, arguments, capabilities=UNDECLARED)
                assert "taskId" not in plain
                created = await client.call(tool, arguments)
                ended = await client.until(created["taskId"], "completed")
                plain.pop("_meta")
                assert ended["result"] == plain


async def test_the_last_update_is_dated_by_changes_and_by_nothing_else(tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = (await client.call("work"))["taskId"]
            texts: dict[str, Any] = {"in words": "in words", "said": {"message": "said", "x": 1}, '{"n":1}': {"n": 1}}
            before = await client.get(task_id)
            for text, value in texts.items():
                await next_millisecond()
                await puppet.update(task_id, value)
                while (after := await client.get(task_id)) == before:
                    pass
                assert after["statusMessage"] == text
                assert after["lastUpdatedAt"] > before["lastUpdatedAt"]
                assert await client.get(task_id) == after
                before = after
            await puppet.finish(task_id)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_tools_failure_is_a_result_and_a_protocol_error_is_a_failed_task(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            failing = (await client.call("work"))["taskId"]
            await puppet.fail(failing, ValueError("no such row"))
            state = await client.until(failing, "completed")
            assert state["result"]["isError"] is True
            assert state["result"]["content"] == [{"type": "text", "text": "ValueError: no such row"}]

            breaking = (await client.call("work"))["taskId"]
            await puppet.fail(breaking, MCPError(-32603, "rate limit exceeded", {"retry": 5}))
            state = await client.until(breaking, "failed")
            assert state["error"] == {"code": -32603, "message": "rate limit exceeded", "data": {"retry": 5}}
            assert state["statusMessage"] == "rate limit exceeded"
            assert "result" not in state


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_cancelled_task_is_stopped_and_cancelling_it_again_changes_nothing(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet(stop_grace=3600.0)
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = (await client.call("work"))["taskId"]
            await puppet.update(task_id, "busy")
            ack = await client.ask("tasks/cancel", {"taskId": task_id})
            assert set(ack) == {"resultType", "_meta"}
            assert ack["resultType"] == "complete"
            assert puppet.workers[task_id].stop_requested
            assert (await client.get(task_id))["statusMessage"] == "The task is being stopped."
            await puppet.finish(task_id)
            ended = await client.until(task_id, "cancelled")
            assert "result" not in ended
            assert "error" not in ended
            assert set(await client.ask("tasks/cancel", {"taskId": task_id})) == {"resultType", "_meta"}
            assert await client.get(task_id) == ended


async def test_an_ended_task_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    puppet = Puppet(task_ttl=0.0)
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = (await client.call("work"))["taskId"]
            assert (await client.get(task_id))["status"] == "working"
            await puppet.finish(task_id)
            while "result" in (answer := await client.answer("tasks/get", {"taskId": task_id})):
                pass
            never = await client.refusal("tasks/get", {"taskId": "1a31a4d4-7d5a-4f7c-9d8a-2a1f0a3a1b1c"})
            assert answer["error"] == never


async def test_a_result_that_is_too_large_to_travel_is_an_error_of_the_tool(tmp_path: Path) -> None:
    puppet = Puppet(max_message_size=10_000)
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = (await client.call("work"))["taskId"]
            await puppet.finish(task_id, {"text": "x" * 9_000})  # it travels twice, as a text and as an object
            result = (await client.until(task_id, "completed"))["result"]
    assert result["isError"] is True
    assert "limit of 10000" in result["content"][0]["text"]


# --- questions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_question_is_an_elicitation_that_tasks_update_answers(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = (await client.call("work"))["taskId"]
            await puppet.ask(task_id, "Delete it?", schema=CONFIRM)
            state = await client.until(task_id, "input_required")
            assert state["statusMessage"] == "Delete it?"
            ((key, request),) = state["inputRequests"].items()
            params = {"mode": "form", "message": "Delete it?", "requestedSchema": CONFIRM}
            assert request == {"method": "elicitation/create", "params": params}

            response = {"action": "accept", "content": {"confirm": True}}
            ack = await client.ask("tasks/update", {"taskId": task_id, "inputResponses": {key: response}})
            assert set(ack) == {"resultType", "_meta"}
            assert (await client.get(task_id))["status"] == "working"

            await puppet.ask(task_id, "Which one?", choices=[1, 2])
            state = await client.until(task_id, "input_required")
            ((other_key, request),) = state["inputRequests"].items()
            assert other_key != key
            assert request["params"]["requestedSchema"]["properties"]["answer"]["enum"] == ["1", "2"]
            # A key that was answered already is passed over, also beside one that is open.
            responses = {key: response, other_key: {"action": "accept", "content": {"answer": "2"}}}
            await client.ask("tasks/update", {"taskId": task_id, "inputResponses": responses})
            await puppet.finish(task_id)
            await client.until(task_id, "completed")
            # So is any, once the task has ended.
            await client.ask("tasks/update", {"taskId": task_id, "inputResponses": responses})
    assert puppet.answers == [{"confirm": True}, 2]


async def test_questions_are_answered_one_at_a_time_or_refused(tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, puppet.server) as served, by_hand(served.uri) as client:
            task_id = (await client.call("work"))["taskId"]

            async def respond(**responses: Any) -> dict[str, Any]:
                params = {"taskId": task_id, "inputResponses": responses}
                return await client.answer("tasks/update", params)

            await puppet.ask(task_id, "one", "two", "three", schema=CONFIRM)
            while len(requests := (await client.until(task_id, "input_required"))["inputRequests"]) < 3:
                pass
            one, two, three = sorted(requests, key=lambda key: requests[key]["params"]["message"])  # one, three, two
            before = (await client.get(task_id))["lastUpdatedAt"]
            await next_millisecond()

            yes = {"action": "accept", "content": {"confirm": True}}
            assert "result" in await respond(**{one: yes, "nobody": yes, "asked": {"ignored": True}})
            state = await client.get(task_id)
            assert state["status"] == "input_required"
            assert set(state["inputRequests"]) == {two, three}
            assert state["lastUpdatedAt"] > before

            # What does not fit is refused, and its question stays open; the other answers count.
            for bad in ({"action": "accept", "content": {"confirm": "perhaps"}}, {"action": "later"}, "yes"):
                error = (await respond(**{two: bad}))["error"]
                assert error["code"] == -32602
                assert two in error["message"]
            assert set((await client.get(task_id))["inputRequests"]) == {two, three}
            assert "error" in await respond(**{two: {"action": "decline"}, three: 17})
            assert set((await client.get(task_id))["inputRequests"]) == {three}
            assert "result" in await respond(**{three: {"action": "cancel"}})
            assert (await client.get(task_id))["status"] == "working"
            await puppet.finish(task_id)
            await client.until(task_id, "completed")
    assert puppet.answers[0] == {"confirm": True}
    assert [str(answer) for answer in puppet.answers[1:]] == [
        "the user chose to decline the question",
        "the user chose to cancel the question",
    ]


async def test_a_tool_may_ask_before_there_is_a_task(tmp_path: Path) -> None:
    capabilities: dict[str, Any] = {**DECLARED, "elicitation": {"form": {}}}
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, fixture_server.make_server()) as served, by_hand(served.uri) as client:
            first = await client.call("test_tool_with_task", capabilities=capabilities)
            assert first["resultType"] == "input_required"
            assert "taskId" not in first
            (key,) = first["inputRequests"]
            response = {"action": "accept", "content": {"name": "Alice"}}
            params = {
                "name": "test_tool_with_task",
                "arguments": {},
                "inputResponses": {key: response},
                "requestState": first["requestState"],
            }
            created = await client.ask("tools/call", params, capabilities=capabilities)
            assert created["resultType"] == "task"
            assert "requestState" not in created
            state = await client.until(created["taskId"], "completed")
    assert state["result"]["content"][0]["text"] == "Done for Alice."


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_unknown_task_and_a_caller_who_declares_nothing_are_refused(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, make_server()) as served, by_hand(served.uri) as client:
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                params: dict[str, Any] = {"taskId": "b5f0c4f6-5fd5-4f7b-8b2e-1d4b1f7a9c10", "inputResponses": {}}
                error = await client.refusal(method, params)
                assert (error["code"], error["data"]) == (-32602, {"reason": "unknown_task"})
                assert (await client.refusal(method, {"inputResponses": {}}))["code"] == -32602
                assert (await client.refusal(method, {**params, "taskId": 7}))["code"] == -32602
                error = await client.refusal(method, params, capabilities=UNDECLARED)
                assert (error["code"], error["data"]) == (-32021, MISSING)
            error = await client.refusal(
                "subscriptions/listen", {"notifications": {"taskIds": ["x"]}}, capabilities=UNDECLARED
            )
            assert (error["code"], error["data"]) == (-32021, MISSING)
            error = await client.refusal("subscriptions/listen", {"notifications": {"taskIds": "x"}})
            assert error["code"] == -32602
            created = await client.call("wait_for_input")
            error = await client.refusal("tasks/update", {"taskId": created["taskId"], "inputResponses": []})
            assert error["code"] == -32602
            for method in ("tasks/list", "tasks/result"):
                assert (await client.refusal(method, {"taskId": created["taskId"]}))["code"] == -32601


async def test_a_client_of_2025_finds_no_such_methods_and_gets_no_task(tmp_path: Path) -> None:
    class Params(RequestParams):
        model_config = ConfigDict(extra="allow")

    with anyio.fail_after(DEADLINE):
        async with (
            serving("memory", tmp_path, make_server()) as served,
            mcpc.Client(served.uri, mode="legacy") as owner,
            mcp.Client(mcpc.connect(served.uri), mode="legacy") as client,
        ):
            task = await owner.start_task("wait_for_input")
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                for members in ({"taskId": task.task_id}, {}, {"taskId": 3}):
                    request: Any = Request[Params, str](method=method, params=Params.model_validate(members))
                    with pytest.raises(MCPError) as refused:
                        await client.session.send_request(request, Result)
                    assert refused.value.code == -32601
            assert (await client.call_tool("count", {"n": 1})).structured_content == {"rows": 1}
            await task.send("done")
            assert await task.result() == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("strict", [False, True])
async def test_over_http_the_header_must_name_the_task_where_there_is_one(tmp_path: Path, strict: bool) -> None:
    """SEP-2663 asks for it, and clients in use send none: a request without one is taken where nobody is strict."""
    async with (
        serving("http", tmp_path, make_server(), strict_headers=strict) as served,
        by_hand(served.uri) as client,
        httpx2.AsyncClient(timeout=60) as http,
    ):
        task_id = (await client.call("wait_for_input"))["taskId"]

        async def post(method: str, *names: str, said: str | None = None) -> tuple[int, dict[str, Any]]:
            meta = {
                "io.modelcontextprotocol/protocolVersion": VERSION,
                "io.modelcontextprotocol/clientCapabilities": DECLARED,
            }
            params: dict[str, Any] = {"taskId": task_id, "inputResponses": {}, "_meta": meta}
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            headers = [("mcp-protocol-version", VERSION), ("mcp-method", said or method)]
            headers += [("content-type", "application/json")]
            headers += [("accept", "application/json, text/event-stream"), *(("mcp-name", name) for name in names)]
            response = await http.post(served.uri, content=json.dumps(body), headers=headers)
            return response.status_code, response.json()

        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            status, answer = await post(method, task_id, said="tools/list")
            assert (status, answer["error"]["code"]) == (400, -32020)
            for names in (("another",), (task_id, task_id), (f"{task_id} x",)):
                status, answer = await post(method, *names)
                assert (status, answer["error"]["code"]) == (400, -32020)
            status, answer = await post(method, task_id)
            assert (status, answer["result"]["resultType"]) == (200, "complete")
            status, answer = await post(method)
            if strict:
                assert (status, answer["error"]["code"], answer["id"]) == (400, -32020, 1)
            else:
                assert (status, answer["result"]["resultType"]) == (200, "complete")


class Tokens:
    """Two users with a token each."""

    async def verify_token(self, token: str) -> AccessToken | None:
        if token not in ("alice-token", "bob-token"):
            return None
        return AccessToken(token=token, client_id=token.removesuffix("-token"), scopes=[])


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_with_authentication_a_task_is_its_principals_and_looks_unknown_to_others(
    scheme: str, tmp_path: Path
) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with (
            serving(scheme, tmp_path, puppet.server, token_verifier=Tokens()) as served,
            by_hand(served.uri, token="alice-token") as alice,
            by_hand(served.uri, token="alice-token") as alices_other,
            by_hand(served.uri, token="bob-token") as bob,
        ):
            task_id = (await alice.call("work"))["taskId"]
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                params: dict[str, Any] = {"inputResponses": {}}
                foreign = await bob.refusal(method, {**params, "taskId": task_id})
                unknown = await bob.refusal(method, {**params, "taskId": "5f4e6b0e-5b5c-4a0e-8f0e-3a3b1c2d4e5f"})
                assert foreign == unknown
            listening = await bob.listen(task_id)
            assert (await listening.next())["params"]["notifications"]["taskIds"] == []
            assert (await alices_other.get(task_id))["status"] == "working"
            await puppet.finish(task_id)
            assert (await alices_other.until(task_id, "completed"))["result"]["content"][0]["text"] == "done"
            assert listening.is_empty


async def test_a_tool_may_insist_on_callers_who_can_follow_a_task(tmp_path: Path) -> None:
    server = MCPServer[Any]("strict", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool(task_required=True)
    async def long_job(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Take hours."""
        return "done"

    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, server) as served, by_hand(served.uri) as client:
            params: dict[str, Any] = {"name": "long_job", "arguments": {}}
            error = await client.refusal("tools/call", params, capabilities=UNDECLARED)
            assert (error["code"], error["data"]) == (-32021, MISSING)
            created = await client.call("long_job")
            assert (await client.until(created["taskId"], "completed"))["result"]["content"][0]["text"] == "done"
            async with mcp.Client(mcpc.connect(served.uri), mode="legacy") as old:
                with pytest.raises(MCPError):
                    await old.call_tool("long_job")
            async with mcpc.Client(served.uri) as ours:
                assert await (await ours.start_task("long_job")).result() == "done"


# --- one task, one registry -------------------------------------------------------------------------------------


async def test_a_client_that_speaks_mcpc_too_gets_its_own_form_first(tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, make_server()) as served, by_hand(served.uri) as client:
            meta = {"mcpc/channel": "0123456789abcdef0123", "mcpc/sessionId": "s"}
            params: dict[str, Any] = {"name": "count", "arguments": {"n": 0}, "_meta": meta}
            answer = await client.ask("tools/call", params)
    assert answer["resultType"] == "complete"
    assert answer["structuredContent"]["event"] == "created"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_task_with_callbacks_may_be_polled_and_answered_too(scheme: str, tmp_path: Path) -> None:
    puppet = Puppet()
    with anyio.fail_after(DEADLINE):
        async with (
            serving(scheme, tmp_path, puppet.server) as served,
            mcpc.Client(served.uri) as ours,
            by_hand(served.uri) as client,
        ):
            task = await ours.start_task("work", session_id="chat-1")
            await puppet.update(task.task_id, {"status": "step 1"})
            await puppet.ask(task.task_id, "Go on?", schema=CONFIRM)
            state = await client.until(task.task_id, "input_required")
            (key,) = state["inputRequests"]
            response = {"action": "accept", "content": {"confirm": False}}
            await client.ask("tasks/update", {"taskId": task.task_id, "inputResponses": {key: response}})
            await puppet.ask(task.task_id, "Sure?", schema=CONFIRM)
            (key,) = (await client.until(task.task_id, "input_required"))["inputRequests"]
            refusal = {"action": "decline"}
            await client.ask("tasks/update", {"taskId": task.task_id, "inputResponses": {key: refusal}})
            await puppet.finish(task.task_id, {"rows": 1})
            assert (await client.until(task.task_id, "completed"))["result"]["structuredContent"] == {"rows": 1}
            events = [(message.event, message.result) async for message in task]
    assert [event for event, _ in events] == ["created", "update", "update", "update", "complete"]
    assert events[1][1] == {"status": "step 1"}
    assert events[-1][1] == {"rows": 1}
    assert puppet.answers[0] == {"confirm": False}
    assert str(puppet.answers[1]) == "the user chose to decline the question"


async def test_an_id_that_a_client_thought_up_opens_its_task_to_who_knows_the_channel_only(tmp_path: Path) -> None:
    channel = "the-channel-of-0123456789"
    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, make_server()) as served, by_hand(served.uri) as client:
            meta: dict[str, Any] = {"mcpc/channel": channel, "mcpc/taskId": "1"}
            params: dict[str, Any] = {"name": "wait_for_input", "arguments": {}, "_meta": meta}
            await client.ask("tools/call", params)
            assert (await client.refusal("tasks/get", {"taskId": "1"}))["code"] == -32602
            wrong: dict[str, Any] = {"taskId": "1", "_meta": {"mcpc/channel": "another-channel-0123456789"}}
            assert (await client.refusal("tasks/get", wrong))["code"] == -32602
            right: dict[str, Any] = {"taskId": "1", "_meta": {"mcpc/channel": channel}}
            assert (await client.ask("tasks/get", right))["status"] == "working"


# --- other kinds of server --------------------------------------------------------------------------------------


async def test_the_sdks_lowlevel_server_serves_tasks_and_pushes_them_without_a_handler_of_its_own(
    tmp_path: Path,
) -> None:
    server = Server[Any]("lowlevel")
    callbacks = mcpc.MCPCHelper(server)
    gate = anyio.Event()

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Wait for the test."""
        await gate.wait()
        return "through"

    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, server) as served, by_hand(served.uri) as client:
            discovered = await client.ask("server/discover")
            assert discovered["capabilities"]["tools"] == {"listChanged": False}  # it promises no list changes
            task_id = (await client.call("wait"))["taskId"]
            listening = await client.listen(task_id, toolsListChanged=True)
            ack = (await listening.next())["params"]
            assert ack == {"_meta": {SUBSCRIPTION: listening.request_id}, "notifications": {"taskIds": [task_id]}}
            gate.set()
            assert (await listening.until("completed"))["result"]["content"][0]["text"] == "through"
            error = await client.refusal("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            assert error["code"] == -32601


async def test_a_fastmcp_server_serves_tasks(tmp_path: Path) -> None:
    fastmcp = pytest.importorskip("fastmcp")
    server = fastmcp.FastMCP("fast")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def double(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        """Double a number."""
        return {"doubled": 2 * n}

    with anyio.fail_after(DEADLINE):
        async with serving("memory", tmp_path, server) as served, by_hand(served.uri) as client:
            created = await client.call("double", {"n": 21})
            assert created["resultType"] == "task"
            state = await client.until(created["taskId"], "completed")
    assert state["result"]["structuredContent"] == {"doubled": 42}

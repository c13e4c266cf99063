"""Every file of the middle has a test file of its name, or stands here with the tests that run it and the reason."""

import pytest

from house_kit import MODULES, ROOT

TESTS = ROOT / "tests"

ROOMS = ("server", "client")

WITHOUT_LOGIC = {
    "server.terms": "plain values",
    "server.options": "types for the type checker",
    "client.options": "types for the type checker",
}

TOGETHER: dict[str, tuple[str, ...]] = {
    # What an SDK's server is given can only be tried on one: its three kinds, each with a client.
    "server.binding": ("server/test_server_kinds.py",),
    "server.call": ("server/test_server_kinds.py", "server/test_isolation.py"),
    "server.callers": ("server/test_server_kinds.py", "server/test_rounds.py"),
    "server.calls": ("server/test_server_kinds.py", "server/test_results.py"),
    "server.entries": ("server/test_server_kinds.py", "server/test_rounds.py"),
    "server.reception": ("server/test_workshop.py", "server/test_isolation.py"),
    "server.stored_reception": ("server/test_stored_server.py",),
    "server.companions": ("server/test_handles.py",),
    "server.direct": ("peers/test_originals.py",),
    "server.direct_requests": ("client/test_direct.py",),
    "server.joined": ("client/test_direct.py",),
    "server.helper": ("server/test_server_kinds.py", "server/test_context.py"),
    "server.entrance": ("server/test_results.py", "server/test_workers.py"),
    "server.invocation": ("server/test_results.py", "server/test_workers.py"),
    "server.kinds": ("server/test_server_kinds.py", "core/test_sdk.py"),
    "server.methods": ("server/test_isolation.py", "client/test_tasks_client.py"),
    "server.old_workers": ("peers/test_originals.py", "server/test_workers.py"),
    "server.originals": ("peers/test_originals.py",),
    "server.plain": ("server/test_rounds.py", "server/test_server_kinds.py"),
    "server.registration": ("server/test_server_kinds.py",),
    "server.serving": ("server/test_served.py", "server/test_stopping.py"),
    "server.signature": ("server/test_workers.py",),
    "server.task": ("server/test_workers.py",),
    "server.task_session": ("server/test_context.py",),
    "server.tools": ("server/test_workers.py", "server/test_server_kinds.py"),
    "server.worker": ("server/test_workers.py",),
    # The tasks extension is what its methods answer: both sides are asked as a stranger would.
    "server.sep2663_extension": ("server/test_tasks_extension.py",),
    "server.sep2663_push": ("server/test_tasks_push.py",),
    "server.sep2663_state": ("server/test_tasks_extension.py",),
    "client.sep2663_extension": ("client/test_tasks_client.py",),
    "client.sep2663_follow": ("client/test_tasks_client.py",),
    "client.sep2663_requests": ("client/test_tasks_client.py",),
    "client.sep2663_tasks": ("client/test_tasks_client.py",),
    # With a store: what each keeps shows when another process goes on with it.
    "server.endings": ("promises/test_redis_failures.py",),
    "server.recovery": ("server/test_stored_server.py",),
    "server.bench": ("server/test_stored_server.py", "server/test_working.py"),
    "server.errand": ("server/test_working.py",),
    "server.relay": ("server/test_working.py",),
    "server.duties": ("server/test_working.py",),
    "server.intake": ("server/test_working.py", "server/test_stored_server.py"),
    "server.shelf": ("server/test_stored_server.py",),
    "server.signals": ("server/test_stored_server.py",),
    "server.store_option": ("server/test_stored_server.py",),
    "server.stored_desk": ("server/test_stored_server.py",),
    "server.stored_execution": ("server/test_stored_server.py",),
    "server.stored_states": ("server/test_stored_server.py",),
    "server.stored_workshop": ("server/test_stored_server.py",),
    # Small, between two rooms that are tested: what goes in and what comes out is seen there.
    "server.answers": ("server/test_results.py",),
    "server.desk": ("server/test_workshop.py", "server/test_isolation.py"),
    "server.host": ("server/test_workshop.py",),
    "server.outlets": ("server/test_journal.py", "server/test_results.py"),
    "client.client": ("client/test_life.py", "client/test_tasks_client.py"),
    "client.connecting": ("client/test_life.py", "core/test_traits.py"),
    "client.request_sizes": ("promises/test_message_sizes.py",),
    "server.told_limit": ("promises/test_message_sizes.py",),
    "client.listened": ("client/test_stats.py", "client/test_life.py"),
    "client.handler": ("peers/test_originals.py",),
    "client.keeping": ("client/test_channel_taken_up.py",),
    "client.standard_tap": ("client/test_standard_questions.py",),
    "client.questions": ("client/test_standard_questions.py",),  # a name that server/ has, too
    "client.started": ("client/test_starting.py",),
    "server.ordinary": ("server/test_server_kinds.py",),
    "server.counted": ("promises/test_limits_per_client.py",),
    "server.holders": ("promises/test_limits_per_client.py",),
    "server.presence": ("promises/test_limits_per_client.py",),
    "server.running": ("server/test_served.py", "cli/test_cli.py"),
    "client.reconnecting": ("client/test_life.py", "promises/test_reconnection.py"),
    "server.far_lines": ("server/test_stored_server.py",),
    "client.heartbeat": ("promises/test_silent_server.py",),
    "server.stats": ("promises/test_bounds_in_bytes.py",),
    "server.tail": ("server/test_stored_server.py",),
    "client.answering": ("client/test_program.py", "client/test_router.py"),
    "client.logs": ("server/test_context.py",),
    "client.opening": ("client/test_life.py", "client/test_silent_peers.py"),
    "client.requests": ("client/test_steering.py", "client/test_listening.py"),
    "client.validation": ("core/test_sdk.py",),
    "client.backlog": ("client/test_inbox.py",),
    "client.open_calls": ("client/test_inbox.py",),
    "client.pausing": ("client/test_listening.py", "promises/test_blocking_listeners.py"),
    "client.watching": ("client/test_patience.py",),
}
"""Files that no test file is named after, and those that run them. It only shrinks: a new file gets its own."""

MIDDLE = [
    module.removeprefix("mcpc.")
    for module in MODULES
    if module.startswith(tuple(f"mcpc.{room}." for room in ROOMS)) and MODULES[module].name != "__init__.py"
]


def own_tests(module: str) -> str:
    room, _, name = module.partition(".")
    return f"{room}/test_{name.replace('.', '_')}.py"


@pytest.mark.parametrize("module", MIDDLE)
def test_a_file_has_tests_of_its_own_or_is_listed_with_those_that_run_it(module: str) -> None:
    has_own = (TESTS / own_tests(module)).is_file()
    listed = module in TOGETHER or module in WITHOUT_LOGIC
    assert has_own or listed, f"write tests/{own_tests(module)}, or list it in TOGETHER with the tests that run it"
    assert not (has_own and listed), f"{module} has tests of its own: take it off the list"


def test_the_lists_name_only_what_there_is() -> None:
    assert (TOGETHER.keys() | WITHOUT_LOGIC.keys()) - set(MIDDLE) == set()
    files = {name for names in TOGETHER.values() for name in names}
    assert [name for name in sorted(files) if not (TESTS / name).is_file()] == []

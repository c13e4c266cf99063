"""The server that a gateway is to its clients: what it lists is what the servers behind it list, and calls go there.

Tools and prompts bear their server's name before their own. Resources keep their URIs, as those may stand in texts;
where two servers have the same one, the first in the configuration has it.
"""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    Tool,
)

from mcpc.errors import ConnectionLost
from mcpc.gateway.catalogue import Kind
from mcpc.gateway.child import Child
from mcpc.gateway.naming import divided, prefixed
from mcpc.gateway.passing import Passing
from mcpc.gateway.shared import SharedClient
from mcpc.logs import logger_of
from mcpc.server.binding import Binding
from mcpc.server.call import current_call
from mcpc.server.originals import is_handshake
from mcpc.wire.standard import (
    CALL_TOOL_METHOD,
    COMPLETE_METHOD,
    GET_PROMPT_METHOD,
    LIST_PROMPTS_METHOD,
    LIST_RESOURCES_METHOD,
    LIST_TEMPLATES_METHOD,
    LIST_TOOLS_METHOD,
    READ_RESOURCE_METHOD,
)

__all__ = ["Front"]

logger: logging.Logger = logger_of(__name__)

Context = ServerRequestContext[Any, Any]


class Front:
    """The handlers of the server.

    Args:
        binding: The MCPC side of the server.
        children: The servers behind it, by prefix.
    """

    def __init__(self, binding: Binding, children: Mapping[str, Child]) -> None:
        self._binding = binding
        self._children = children
        self._doubled: set[str] = set()
        """URIs of which it was said that two servers have them."""

    def install(self) -> None:
        """Let the server answer with what the others have."""
        add = self._binding.lowlevel.add_request_handler
        add(LIST_TOOLS_METHOD, PaginatedRequestParams, self._on_list_tools)
        add(CALL_TOOL_METHOD, CallToolRequestParams, self._on_call_tool)
        add(LIST_PROMPTS_METHOD, PaginatedRequestParams, self._on_list_prompts)
        add(GET_PROMPT_METHOD, GetPromptRequestParams, self._on_get_prompt)
        add(LIST_RESOURCES_METHOD, PaginatedRequestParams, self._on_list_resources)
        add(LIST_TEMPLATES_METHOD, PaginatedRequestParams, self._on_list_templates)
        add(READ_RESOURCE_METHOD, ReadResourceRequestParams, self._on_read_resource)
        add(COMPLETE_METHOD, CompleteRequestParams, self._on_complete)
        self._binding.lowlevel.middleware.insert(-1, self._find_tool)  # the last one reads the call

    async def _find_tool(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Before a call is read: any tool may be a background tool, as which it is only known once its server is up."""
        params = ctx.params or {}
        if ctx.method == CALL_TOOL_METHOD and not is_handshake(params):
            name = str(params.get("name"))
            await self._tool(name)
            self._binding.background_tools.add(name)
        return await call_next(ctx)

    # --- lists ---

    async def _listed(self, kind: Kind) -> list[tuple[Child, Any]]:
        """What all list of a kind, in the order of the configuration. None waits for another."""
        found: dict[str, list[Any]] = {}

        async def ask(child: Child) -> None:
            found[child.prefix] = await child.list(kind)

        async with anyio.create_task_group() as group:
            for child in self._children.values():
                group.start_soon(ask, child)
        return [(child, item) for prefix, child in self._children.items() for item in found[prefix]]

    async def _named(self, kind: Kind) -> list[Any]:
        return [
            item.model_copy(update={"name": prefixed(child.prefix, item.name)})
            for child, item in await self._listed(kind)
        ]

    async def _placed(self, kind: Kind, place: str) -> list[Any]:
        """Resources, or templates: of each place one."""
        found: dict[str, Any] = {}
        for child, item in await self._listed(kind):
            uri = getattr(item, place)
            if uri not in found:
                found[uri] = item
            elif uri not in self._doubled:
                self._doubled.add(uri)
                logger.warning("%s of the server %r is left out: another server has one of that URI", uri, child.name)
        return list(found.values())

    async def _on_list_tools(self, ctx: Context, params: PaginatedRequestParams) -> ListToolsResult:
        return ListToolsResult(tools=await self._named("tools"))

    async def _on_list_prompts(self, ctx: Context, params: PaginatedRequestParams) -> ListPromptsResult:
        return ListPromptsResult(prompts=await self._named("prompts"))

    async def _on_list_resources(self, ctx: Context, params: PaginatedRequestParams) -> ListResourcesResult:
        return ListResourcesResult(resources=await self._placed("resources", "uri"))

    async def _on_list_templates(self, ctx: Context, params: PaginatedRequestParams) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=await self._placed("resource_templates", "uri_template"))

    # --- one of them ---

    async def _on_call_tool(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        child, tool = await self._tool(params.name)
        call = current_call.get()
        arguments = dict(params.arguments or {})
        assert call is not None
        assert call.entrance is not None, "it is known as a background tool"
        return await Passing(child, tool, arguments, call, call.entrance, ctx.session).answer()

    async def _on_get_prompt(self, ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        child, name = self._owner("prompt", params.name)
        client = await self._up(child)
        return await client.during(client.get_prompt(name, params.arguments))

    async def _on_read_resource(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        """Asked is the server that lists it; for one that none lists, each in turn, as a template may make it."""
        refusal: MCPError | None = None
        for child in self._holders(params.uri):
            try:
                client = await self._up(child)
                return await client.during(client.read_resource(params.uri))
            except MCPError as exc:
                refusal = refusal or exc
        raise refusal or MCPError(INVALID_PARAMS, f"no server here has the resource {params.uri!r}")

    def _holders(self, uri: str) -> list[Child]:
        children = list(self._children.values())
        listing = [child for child in children if any(r.uri == uri for r in child.catalogue.of("resources"))]
        with_templates = [child for child in children if child.catalogue.of("resource_templates")]
        return listing[:1] or with_templates

    async def _on_complete(self, ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        ref = params.ref
        if isinstance(ref, PromptReference):
            child, name = self._owner("prompt", ref.name)
            ref = ref.model_copy(update={"name": name})
        else:
            child = self._template_owner(ref.uri)
        argument = params.argument.model_dump()
        context = None if params.context is None else params.context.arguments
        client = await self._up(child)
        return await client.during(client.complete(ref, argument, context))

    def _template_owner(self, uri: str) -> Child:
        for child in self._children.values():
            if any(template.uri_template == uri for template in child.catalogue.of("resource_templates")):
                return child
        raise MCPError(INVALID_PARAMS, f"no server here has the resource template {uri!r}")

    # --- whose it is ---

    async def _tool(self, name: str) -> tuple[Child, Tool]:
        child, own = self._owner("tool", name)
        tool = child.tool(own)
        if tool is None:
            await self._up(child)
            await child.list("tools")
            tool = child.tool(own)
        if tool is None:
            _unknown("tool", name, [prefixed(child.prefix, each.name) for each in child.catalogue.of("tools")])
        return child, tool

    def _owner(self, what: str, name: str) -> tuple[Child, str]:
        found = divided(name, self._children)
        if found is None:
            _unknown(what, name, [prefixed(prefix, "…") for prefix in self._children])
        return self._children[found[0]], found[1]

    async def _up(self, child: Child) -> SharedClient:
        try:
            return await child.client()
        except ConnectionLost as exc:
            raise MCPError(CONNECTION_CLOSED, str(exc)) from exc


def _unknown(what: str, name: str, known: list[str]) -> NoReturn:
    close = get_close_matches(name, known)
    meant = f"; did you mean {' or '.join(close)}?" if close else f"; there are: {', '.join(known) or 'none'}"
    raise MCPError(INVALID_PARAMS, f"Unknown {what}: {name}{meant}")

// A server that was not written here: the TypeScript SDK's, over stdio or, with a port, Streamable HTTP.
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const server = new McpServer({ name: "typescript", version: "1" });
const text = (text) => ({ content: [{ type: "text", text }] });

server.registerTool("add", { inputSchema: { a: z.number(), b: z.number() } }, async ({ a, b }) => text(`${a + b}`));
server.registerTool("ask", {}, async () => {
  const requestedSchema = { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] };
  const answer = await server.server.elicitInput({ message: "Which colour?", requestedSchema });
  return text(`${answer.action} ${answer.content?.colour ?? ""}`.trim());
});
server.registerTool("count", {}, async (extra) => {
  const { progressToken } = extra._meta ?? {};
  for (let progress = 1; progressToken !== undefined && progress <= 3; progress++)
    await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total: 3 } });
  return text("counted");
});
server.registerPrompt("greet", {}, () => ({ messages: [{ role: "user", content: { type: "text", text: "Hello" } }] }));
server.registerResource("page", "text://page", {}, (uri) => ({ contents: [{ uri: uri.href, text: "a page" }] }));

if (process.argv[2] !== "http") {
  await server.connect(new StdioServerTransport());
} else {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => crypto.randomUUID() });
  await server.connect(transport);
  const listener = createServer((request, response) => transport.handleRequest(request, response));
  listener.listen(0, "127.0.0.1", () => console.log(listener.address().port));
}

// A WebSocket client that was not written here: the TypeScript SDK's. Prints one JSON line of what it saw.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";

const client = new Client({ name: "typescript", version: "1" });
await client.connect(new WebSocketClientTransport(new URL(process.argv[2])));
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const sum = await client.callTool({ name: "add", arguments: { a: 1, b: 2 } });
const progress = [];
const counted = await client.callTool({ name: "count_when_heard", arguments: { n: 3 } }, undefined, {
  onprogress: (update) => {
    progress.push(update.progress);
    client.callTool({ name: "go_on", arguments: {} });
  },
});
console.log(JSON.stringify({ tools, sum: sum.structuredContent, progress, counted: counted.structuredContent }));
await client.close();

// What the AI SDK makes of a server that serves MCP Events: node events.mjs URI
import { createMCPClient } from "@ai-sdk/mcp";

const client = await createMCPClient({ transport: { type: "http", url: process.argv[2] } });
const listed = await client.experimental_events.list();
console.log(JSON.stringify(listed.events));
await client.close();

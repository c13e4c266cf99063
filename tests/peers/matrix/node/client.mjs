// What the clients of npm do with the server; see scenario.py. node client.mjs ts1 | ts2 | ext-tasks | ai-sdk URI
import { randomUUID } from "node:crypto";

const [kind, uri] = process.argv.slice(2);

function ask(seen, question) {
  seen.questions.push(question);
  return { action: "accept", content: { answer: "b" } };
}

async function typescript1(current) {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
  const client = new Client({ name: "ts1", version: "1" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, async (request) => ask(current.seen, request.params.message));
  await client.connect(new StreamableHTTPClientTransport(new URL(uri)));
  return [
    (name, args, seen, signal) =>
      client.callTool({ name, arguments: args }, undefined, {
        signal,
        onprogress: (update) => seen.updates.push(update.message),
      }),
    () => client.close(),
  ];
}

async function typescript2(current) {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const client = new Client(
    { name: "ts2", version: "1" },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: "auto" } },
  );
  client.setRequestHandler("elicitation/create", async (request) => ask(current.seen, request.params.message));
  await client.connect(new StreamableHTTPClientTransport(new URL(uri)));
  return [
    (name, args, seen, signal) =>
      client.callTool({ name, arguments: args }, { signal, onprogress: (update) => seen.updates.push(update.message) }),
    () => client.close(),
  ];
}

// The tasks extension's own client needs somebody who sends its requests as they are: the SDK's client takes no task for
// the result of a tool call. This one shares the connection of that client, and takes out the answers to its own.
function rawDispatch(transport) {
  const open = new Map();
  const others = transport.onmessage;
  transport.onmessage = (message, extra) => {
    const answered = "method" in message ? undefined : open.get(message.id);
    if (answered === undefined) return others(message, extra);
    open.delete(message.id);
    answered(
      message.error ? { kind: "error", error: message.error } : { kind: "result", result: message.result },
    );
  };
  return (request, { signal } = {}) =>
    new Promise((resolve, reject) => {
      const id = `raw-${randomUUID()}`;
      open.set(id, resolve);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      transport.send({ jsonrpc: "2.0", id, ...request }).catch(reject);
    });
}

async function extTasks(current) {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const { createTaskSessionFromClient, resultFromTaskOutcome } = await import("@modelcontextprotocol/ext-tasks/client");
  const clientInfo = { name: "ext-tasks", version: "1" };
  const clientCapabilities = { elicitation: { form: {} } };
  const client = new Client(clientInfo, {
    capabilities: clientCapabilities,
    versionNegotiation: { mode: "auto" },
  });
  const transport = new StreamableHTTPClientTransport(new URL(uri));
  await client.connect(transport);
  const session = createTaskSessionFromClient(client, {
    endpointId: uri,
    rawDispatch: rawDispatch(transport),
    v2RequestFraming: { protocolVersion: client.getNegotiatedProtocolVersion(), clientInfo, clientCapabilities },
    onInputRequest: async (request) => ask(current.seen, request.params.message),
  });
  current.hasHandle = async () => {
    const execution = await session.callTool("survey", {});
    const { status } = await session.task(execution.handle.taskId).snapshot();
    await execution.cancel();
    return status === "working";
  };
  return [
    async (name, args, seen, signal) => {
      const execution = await session.callTool(name, args);
      signal?.addEventListener("abort", () => execution.cancel());
      const { outcome } = await execution.settle({
        onEvent: (event) => event.task && seen.updates.push(event.task.statusMessage),
      });
      return resultFromTaskOutcome(outcome);
    },
    () => session.close().then(() => client.close()),
  ];
}

async function aiSdk(current) {
  const { createMCPClient, ElicitationRequestSchema } = await import("@ai-sdk/mcp");
  const client = await createMCPClient({
    transport: { type: "http", url: uri },
    capabilities: { elicitation: {} },
  });
  client.onElicitationRequest(ElicitationRequestSchema, async (request) => ask(current.seen, request.params.message));
  const tools = await client.tools();
  return [
    (name, args, seen, signal) => tools[name].execute(args, { toolCallId: name, messages: [], abortSignal: signal }),
    () => client.close(),
  ];
}

const current = {};
const makers = { ts1: typescript1, ts2: typescript2, "ext-tasks": extTasks, "ai-sdk": aiSdk };
const [callTool, close] = await makers[kind](current);

async function attempt(name, args, seen = { updates: [], questions: [] }, signal = undefined) {
  current.seen = seen;
  try {
    return JSON.stringify(await callTool(name, args, seen, signal)).replaceAll("\\", "");
  } catch (error) {
    return String(error);
  }
}

function since(text) {
  return Number([...text.matchAll(/since\W+(\d+)/g)].at(-1)?.[1] ?? 0);
}

async function newsUntil(word, text, task_id) {
  const giveUpAt = Date.now() + 60_000;
  while (!text.includes(word) && Date.now() < giveUpAt) {
    text = await attempt("task_news", { task_id, since: since(text) });
  }
  return text.includes(word);
}

async function withCompanions() {
  const text = await attempt("survey", {});
  const task_id = text.match(/task_id\W+([0-9a-f-]{36})/)?.[1];
  if (task_id === undefined) return false;
  const told = await newsUntil("half done", text, task_id);
  const asked = await newsUntil("questions", await attempt("task_send", { task_id, input: "go on" }), task_id);
  const done = await newsUntil("surveyed: b", await attempt("task_answer", { task_id, answer: "b" }), task_id);
  return told && asked && done;
}

async function stops(name) {
  const controller = new AbortController();
  const running = attempt("hangs", { name }, undefined, controller.signal);
  await attempt("reached", { name });
  controller.abort();
  await running;
  return (await attempt("was_stopped", { name })).includes("true");
}

function sawUpdates(updates) {
  if (JSON.stringify(updates) === JSON.stringify(["row 1", "row 2", "row 3"])) return true;
  return updates.at(-1) === "row 3" && "the newest";
}

const counted = { updates: [], questions: [] };
const result = await attempt("count", { n: 3 }, counted);
const choice = await attempt("choose", {});
const failure = await attempt("fails", {});
const rows = {
  result: result.includes("rows") && result.includes("3"),
  updates: sawUpdates(counted.updates),
  question: choice.includes("chosen: b"),
  failure: failure.includes("no such row"),
  stop: await stops(kind),
  companions: current.hasHandle ? (await current.hasHandle()) && "its own handle" : await withCompanions(),
};
console.error("said:", result, "|", choice, "|", failure, "|", counted.updates);
console.log(JSON.stringify(rows));
await close();
process.exit(0);

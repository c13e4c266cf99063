// What the clients of npm do with the server; see scenario.py. node client.mjs ts1 | ts2 | ai-sdk URI
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
const makers = { ts1: typescript1, ts2: typescript2, "ai-sdk": aiSdk };
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
  for (let n = 0; n < 20 && !text.includes(word); n++) {
    text = await attempt("task_news", { task_id, since: since(text) });
  }
  return text;
}

async function withCompanions() {
  const text = await attempt("survey", {});
  const task_id = text.match(/task_id\W+([0-9a-f-]{36})/)?.[1];
  if (task_id === undefined) return false;
  await newsUntil("questions", await attempt("task_send", { task_id, input: "go on" }), task_id);
  const answered = await attempt("task_answer", { task_id, answer: "b" });
  return text.includes("half done") && (await newsUntil("surveyed: b", answered, task_id)).includes("surveyed: b");
}

async function stops(name) {
  const controller = new AbortController();
  const running = attempt("hangs", { name }, undefined, controller.signal);
  await attempt("reached", { name });
  controller.abort();
  await running;
  return (await attempt("was_stopped", { name })).includes("true");
}

const counted = { updates: [], questions: [] };
const result = await attempt("count", { n: 3 }, counted);
const choice = await attempt("choose", {});
const failure = await attempt("fails", {});
const rows = {
  result: result.includes("rows") && result.includes("3"),
  updates: JSON.stringify(counted.updates) === JSON.stringify(["row 1", "row 2", "row 3"]),
  question: choice.includes("chosen: b"),
  failure: failure.includes("no such row"),
  stop: await stops(kind),
  companions: await withCompanions(),
};
console.error("said:", result, "|", choice, "|", failure, "|", counted.updates);
console.log(JSON.stringify(rows));
await close();
process.exit(0);

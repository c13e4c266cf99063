// Background tools from a browser page: call, listen, resume after a drop, answer, send, stop; over WebSocket or
// Streamable HTTP. One module, no dependencies. It speaks MCP 2026-07-28, which has no handshake and no session, so a
// connection can be made anew at any time; what was missed meanwhile is asked for by number. See docs/protocol.md.

const VERSION = "2026-07-28";
const META = "io.modelcontextprotocol/";
const ABOUT = {
  [META + "protocolVersion"]: VERSION,
  [META + "clientInfo"]: { name: "mcpc.js", version: "1.0.0" },
  [META + "clientCapabilities"]: { extensions: { "mcpc/callbacks": {} } },
};
const FIRST_WAIT = 250; // milliseconds, at the most, before listening again; doubles
const LONGEST_WAIT = 10_000;
const ENDED = ["complete", "failed"];

export class ConnectionLost extends Error {}
export class TaskFailed extends Error {}
export class RequestFailed extends Error {
  constructor({ message, code }) { super(message); this.code = code; }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
// Not crypto.randomUUID, which pages over plain http have not.
const uuid = () => secret().replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-4$3-a$4-$5");
const hex = (byte) => byte.toString(16).padStart(2, "0");
const secret = () => Array.from(crypto.getRandomValues(new Uint8Array(24)), hex).join("");

// Both kinds of connection have `request(method, params, {notify, signal})`, which gives the result, and `close()`.

class WebSocketWire {
  #url;
  #socket = null;
  #pending = new Map();
  #ids = 0;

  constructor(url) { this.#url = url; }

  #open() {
    this.#socket ??= new Promise((resolve, reject) => {
      const socket = new WebSocket(this.#url, "mcp");
      socket.onopen = () => resolve(socket);
      socket.onmessage = (event) => this.#take(JSON.parse(event.data));
      socket.onclose = () => {
        this.#socket = null;
        const lost = new ConnectionLost("the connection was lost");
        reject(lost);
        for (const call of this.#pending.values()) call.reject(lost);
        this.#pending.clear();
      };
    });
    return this.#socket;
  }

  #take(message) {
    if (message.method) return this.#pending.get(message.params?._meta?.[META + "subscriptionId"])?.notify?.(message);
    const call = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error) call?.reject(new RequestFailed(message.error));
    else call?.resolve(message.result);
  }

  async request(method, params, { notify, signal } = {}) {
    const socket = await this.#open();
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, notify });
      signal?.addEventListener("abort", () => { // the server is told to end it
        if (!this.#pending.delete(id)) return;
        socket.send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } }));
        reject(signal.reason);
      });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  close = () => this.#socket?.then((socket) => socket.close(), () => {});
}

class HttpWire {
  #url;
  #headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  #ids = 0;

  constructor(url, token) {
    this.#url = url;
    this.#headers["mcp-protocol-version"] = VERSION;
    if (token) this.#headers.authorization = `Bearer ${token}`;
  }

  async request(method, params, { notify, signal } = {}) {
    const id = ++this.#ids;
    const headers = { ...this.#headers, "mcp-method": method };
    if (method === "tools/call") headers["mcp-name"] = params.name;
    try {
      const body = JSON.stringify({ jsonrpc: "2.0", id, method, params });
      const response = await fetch(this.#url, { method: "POST", headers, body, signal });
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
      for await (const message of isStream ? events(response.body) : [await response.json()]) {
        if (message.method) notify?.(message);
        else if (message.error) throw new RequestFailed(message.error);
        else return message.result;
      }
    } catch (error) {
      if (error instanceof RequestFailed || signal?.aborted) throw error;
      throw new ConnectionLost(`the request was cut: ${error.message}`);
    }
    throw new ConnectionLost("the answer ended too early");
  }

  close = () => {};
}

// The JSON messages of an event stream.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (waiting + value).split(/\r?\n\r?\n/);
    waiting = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5)).join("\n");
      if (data.trim()) yield JSON.parse(data);
    }
  }
}

// `new Client("ws://127.0.0.1:8765/mcp")`, or `http://…`. `onState` is told "connected" and "lost". A WebSocket of a
// page cannot send a token: over `ws` the server has to know its user by other means.
export class Client {
  #wire;
  #channel = secret(); // whoever knows it may listen
  #session;
  #last = 0;
  #epoch;
  #tasks = new Map();
  #held = new Map(); // messages of tasks whose call is not answered yet: `created` comes first
  #listeners = new Set();
  #closing = new AbortController();
  #onState;
  #listening;

  constructor(url, { session = "browser", token, onState = () => {} } = {}) {
    this.#wire = /^wss?:/.test(url) ? new WebSocketWire(url) : new HttpWire(url, token);
    this.#session = session;
    this.#onState = onState;
    this.#listening = this.#listen();
  }

  // Call `listener` with every message; returns what ends that.
  addListener(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tools = async () => (await this.#request("tools/list", {})).tools;

  // Start a background tool. Resolves as soon as the server has answered, which it does at once.
  async start(name, args = {}) {
    const id = uuid();
    const steer = (method, params) => this.#request(method, { ...params, channel: this.#channel, taskId: id });
    const task = new Task(id, name, steer);
    this.#tasks.set(id, task);
    this.#held.set(id, []);
    const about = { "mcpc/channel": this.#channel, "mcpc/sessionId": this.#session, "mcpc/taskId": id };
    try {
      const answer = await this.#request("tools/call", { name, arguments: args }, about);
      const { isError, content, structuredContent } = answer;
      const whole = { event: isError ? "failed" : "complete", task_id: id, result: structuredContent ?? content };
      this.#deliver(structuredContent?.protocol === "mcpc" ? structuredContent : whole);
    } catch (error) {
      this.#tasks.delete(id);
      throw error;
    } finally {
      const held = this.#held.get(id);
      this.#held.delete(id);
      held.forEach((message) => this.#deliver(message));
    }
    return task;
  }

  close() {
    this.#closing.abort(new ConnectionLost("the client was closed"));
    this.#wire.close();
    return this.#listening;
  }

  #request(method, params, meta = {}, options = {}) {
    return this.#wire.request(method, { ...params, _meta: { ...ABOUT, ...meta } }, options);
  }

  // Listen, and listen again after the last number whenever that ends.
  async #listen() {
    let failures = 0;
    const notify = ({ method, params }) => {
      if (method === "notifications/mcpc/messages") this.#take(params);
      if (method !== "notifications/mcpc/listening") return;
      failures = 0;
      this.#listened(params);
      this.#onState("connected");
    };
    for (const signal = this.#closing.signal; !signal.aborted; ) {
      const after = { channel: this.#channel, after: this.#last, epoch: this.#epoch };
      try {
        await this.#request("mcpc/listen", after, {}, { notify, signal });
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof RequestFailed) console.warn(`listening was refused: ${error.message}`);
      }
      this.#onState("lost");
      await sleep(Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures++));
    }
    for (const task of this.#tasks.values()) task.lose(this.#closing.signal.reason);
  }

  #listened({ epoch, oldest, tasks }) {
    const isNew = this.#epoch !== undefined && this.#epoch !== epoch;
    if (isNew) this.#last = 0;
    this.#epoch = epoch;
    if (!isNew && oldest - 1 <= this.#last) return;
    // Messages were missed for good: say so, and give up the tasks that the server does not know any more. The last
    // message of one that has ended is kept by the server and comes in its turn, unless the whole log is another.
    this.#deliver({ type: "server_event", event: "gap", session_id: "*", result: { tasks } });
    const going = (tasks ?? []).filter((task) => !isNew || !ENDED.includes(task.status));
    for (const [id, task] of this.#tasks) {
      if (this.#held.has(id) || going.some((known) => known.taskId === id)) continue;
      task.lose(new ConnectionLost("the server no longer runs this task"));
      this.#tasks.delete(id);
    }
  }

  #take({ first, messages }) {
    messages.forEach((message, index) => {
      if (first + index <= this.#last) return; // it came before the drop
      this.#last = first + index;
      const held = this.#held.get(message.task_id);
      if (held) held.push(message);
      else this.#deliver(message);
    });
  }

  #deliver(message) {
    for (const listener of this.#listeners) {
      try { listener(message); } catch (error) { console.error("a listener failed", error); }
    }
    if (this.#tasks.get(message.task_id)?.feed(message)) this.#tasks.delete(message.task_id);
  }
}

// One task: `for await (const message of task)`, `await task.result()`.
export class Task {
  #steer;
  #waiting = [];
  #wake = () => {};
  #ended = false;
  #failure = null;
  #settle;

  constructor(id, tool, steer) {
    Object.assign(this, { id, tool });
    this.#steer = steer;
    this.outcome = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.outcome.catch(() => {}); // nobody has to ask for it
  }

  // A message of it; whether it was the last one.
  feed(message) {
    this.#waiting.push(message);
    this.#ended ||= ENDED.includes(message.event);
    if (message.event === "complete") this.#settle.resolve(message.result);
    if (message.event === "failed") {
      const why = message.result?.message ?? message.result?.error ?? JSON.stringify(message.result);
      this.#settle.reject(Object.assign(new TaskFailed(why), { result: message.result }));
    }
    this.#wake();
    return this.#ended;
  }

  lose(failure) {
    this.#failure = failure;
    this.#settle.reject(failure);
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#waiting.length) yield this.#waiting.shift();
      if (this.#failure) throw this.#failure;
      if (this.#ended) return;
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  result = () => this.outcome;
  send = (input) => this.#steer("mcpc/send", { input });
  answer = (promptId, input) => this.#steer("mcpc/send", { promptId, input });
  stop = () => this.#steer("mcpc/stop", {});
}

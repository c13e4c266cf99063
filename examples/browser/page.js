// The page: one task at a time, its progress, its question, and how many messages came in each tenth of a second.
import { Client } from "./mcpc.js";

const TICK = 100; // milliseconds
const TICKS = 200; // that the plot shows
const $ = (id) => document.getElementById(id);

const via = new URLSearchParams(location.search).get("via") === "http" ? "http" : "ws";
const scheme = via === "ws" ? location.protocol.replace("http", "ws") : location.protocol;
$("via").textContent = via === "ws" ? "WebSocket" : "Streamable HTTP";

const heard = { samples: [], missing: 0, drops: 0, others: 0 };
let task = null;
let inThisTick = 0;
const rates = [];

const client = new Client(`${scheme}//${location.host}/mcp`, {
  onState(state) {
    $("state").textContent = $("state").className = state;
    if (state === "lost") $("drops").textContent = ++heard.drops;
  },
});
globalThis.demo = { client, heard, task: () => task }; // for the browser's console

client.addListener((message) => {
  inThisTick++;
  if (message.type === "task" && task && message.task_id !== task.id) heard.others++;
});

function sampled({ sample, of }) {
  if (sample !== heard.samples.length) heard.missing++;
  heard.samples.push(sample);
  $("count").textContent = heard.samples.length;
  $("of").textContent = of;
  $("missing").textContent = heard.missing;
  $("progress").max = of;
  $("progress").value = heard.samples.length;
}

function asked(prompt) {
  $("question").hidden = false;
  $("asked").textContent = prompt.message;
  const buttons = prompt.choices.map((choice) => {
    const button = Object.assign(document.createElement("button"), { textContent: choice });
    button.onclick = async () => {
      await task.answer(prompt.id, choice);
      $("question").hidden = true;
    };
    return button;
  });
  $("choices").replaceChildren(...buttons);
}

$("start").onclick = async () => {
  Object.assign(heard, { samples: [], missing: 0 });
  $("start").disabled = true;
  $("outcome").textContent = "";
  try {
    task = await client.start("measure", { samples: Number(new URLSearchParams(location.search).get("samples") ?? 3000) });
    $("stop").disabled = false;
    for await (const { event, result } of task) {
      if (event === "update" && result.prompt) asked(result.prompt);
      else if (event === "update") sampled(result);
    }
    $("outcome").textContent = `complete: ${JSON.stringify(await task.result())}`;
  } catch (error) {
    $("outcome").textContent = `failed: ${error.message}`;
  }
  $("question").hidden = true;
  $("start").disabled = false;
  $("stop").disabled = true;
};
$("stop").onclick = () => task.stop();

function draw() {
  rates.push((inThisTick * 1000) / TICK);
  inThisTick = 0;
  if (rates.length > TICKS) rates.shift();
  const { width, height } = $("plot");
  const pen = $("plot").getContext("2d");
  const highest = Math.max(10, ...rates);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = "#3b6fb6";
  rates.forEach((rate, x) => {
    const bar = (rate / highest) * (height - 30);
    pen.fillRect((x * width) / TICKS, height - bar, width / TICKS - 1, bar);
  });
  pen.fillStyle = "#888";
  pen.font = "20px system-ui";
  pen.fillText(`messages a second; the highest: ${Math.round(highest)}`, 8, 22);
}
setInterval(draw, TICK);

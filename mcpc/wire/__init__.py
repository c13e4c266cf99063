"""Every word that travels, once. Pure functions over bytes and plain values: no I/O, no clock, no connections.

From the ground up:

- `names`: methods, `_meta` keys, extensions;
- `jsontext`: values as JSON text, and what no peer could read;
- `rpc`: the JSON-RPC envelope, and everything that our edge refuses;
- `heads`: what the messages of one run share;
- `callbacks`: MCPC messages, and the notifications that carry them (the listen form);
- `originals`: the words of mcpc 0.2, in both directions;
- `calls`: what a `tools/call` says of its session and task;
- `forms`: a JSON schema as the flat form that an elicitation can show;
- `prompts`: a question of a task, in our form and as an elicitation;
- `results`: an ordinary tool result as the value that it stands for;
- `reasons`: why a request about a task was refused;
- `sep2663`: the tasks extension.
"""

// The official TypeScript SDK as a client: does everything that a client can, and prints a line for each thing that works.
// Words: `http URL`, or `stdio COMMAND WORDS…`.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.PEERS}/package.json`);
const load = (path) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${path}`)).href);
const { Client } = await load('client/index.js');
const { StdioClientTransport } = await load('client/stdio.js');
const { StreamableHTTPClientTransport } = await load('client/streamableHttp.js');
const types = await load('types.js');

const [kind, target, ...words] = process.argv.slice(2);
const open = () =>
  kind === 'http'
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args: words, stderr: 'ignore' });
const works = (what) => console.log(`ok ${what}`);
const text = (result) => result.content[0].text;

const capabilities = { sampling: { tools: {} }, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
const client = new Client({ name: 'typescript', version: '1' }, { capabilities });
client.setRequestHandler(types.CreateMessageRequestSchema, async (request) => ({
  role: 'assistant',
  model: 'test',
  content: { type: 'text', text: `heard ${request.params.messages[0].content.text}` },
}));
client.setRequestHandler(types.ElicitRequestSchema, async (request) =>
  request.params.mode === 'url'
    ? { action: 'accept' }
    : 'confirm' in request.params.requestedSchema.properties
      ? { action: 'accept', content: { confirm: true } }
      : { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } },
);
client.setRequestHandler(types.ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///home', name: 'home' }] }));

/** Waits for the next notification of a kind. */
const next = (schema) => new Promise((resolve) => client.setNotificationHandler(schema, resolve));

const transport = open();
await client.connect(transport);
works(`connect ${client.getServerVersion().name}`);

const { tools } = await client.listTools();
assert.ok(tools.some((tool) => tool.name === 'test_simple_text'));
works('list');

assert.equal(text(await client.callTool({ name: 'echo', arguments: { message: 'hi' } })), 'hi');
works('call');

// The SDK itself holds the result to the output schema.
const structured = await client.callTool({ name: 'test_structured', arguments: { place: 'home' } });
assert.deepEqual(structured.structuredContent, { temperature: 22.5, conditions: 'clear at home', humidity: 65 });
works('structured');

const failed = await client.callTool({ name: 'test_error_handling', arguments: {} });
assert.equal(failed.isError, true);
await assert.rejects(client.callTool({ name: 'nope', arguments: {} }), { code: -32602 });
works('error');

const steps = [];
await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, undefined, {
  onprogress: ({ progress, total }) => steps.push([progress, total]),
});
assert.deepEqual(steps, [[0, 100], [50, 100], [100, 100]]);
works('progress');

const abort = new AbortController();
const sleeping = client.callTool({ name: 'test_sleep', arguments: { ms: 30000 } }, undefined, { signal: abort.signal });
setTimeout(() => abort.abort('enough'), 200);
await assert.rejects(sleeping);
assert.equal(text(await client.callTool({ name: 'echo', arguments: { message: 'after' } })), 'after');
works('cancel');

assert.equal(text(await client.callTool({ name: 'test_sampling', arguments: { prompt: 'you' } })), 'LLM response: heard you');
works('sampling');

const elicited = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
assert.equal(text(elicited), 'User response: action=accept, content={"username":"ada","email":"ada@example.com"}');
const done = next(types.ElicitationCompleteNotificationSchema);
assert.equal(text(await client.callTool({ name: 'test_url_elicitation', arguments: {} })), 'URL elicitation: accept');
await done;
works('elicitation');

assert.equal(text(await client.callTool({ name: 'test_list_roots', arguments: {} })), 'Roots: home (file:///home)');
works('roots');

// The SDK begins the task, follows it, waits for its result and answers what it asks meanwhile.
const { tasks } = client.experimental;
const told = [];
const asTask = (name, args) =>
  tasks.callToolStream({ name, arguments: args }, types.CallToolResultSchema, { task: { ttl: 60_000 } });
for await (const message of asTask('slow_compute', { seconds: 0.5, label: 'computed' })) told.push(message);
assert.deepEqual([told[0].type, told.at(-1).type], ['taskCreated', 'result']);
assert.equal(text(told.at(-1).result), 'computed after 0.5 seconds');
for await (const message of asTask('confirm_delete', { filename: 'a.txt' })) told.push(message);
assert.equal(text(told.at(-1).result), 'Deleted a.txt');
for await (const message of asTask('slow_compute', { seconds: 60 })) {
  if (message.type === 'taskCreated') {
    assert.equal((await tasks.cancelTask(message.task.taskId)).status, 'cancelled');
    assert.equal((await tasks.getTask(message.task.taskId)).status, 'cancelled');
  }
}
works('tasks');

const { contents } = await client.readResource({ uri: 'test://template/7/data' });
assert.equal(JSON.parse(contents[0].text).id, '7');
const { messages } = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'a', arg2: 'b' } });
assert.match(messages[0].content.text, /arg1='a', arg2='b'/);
const { completion } = await client.complete({
  ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
  argument: { name: 'arg1', value: 'tes' },
});
assert.deepEqual(completion.values, ['test', 'testing', 'tested']);
works('resources, prompts and completion');

const updated = next(types.ResourceUpdatedNotificationSchema);
await client.subscribeResource({ uri: 'test://watched-resource' });
await client.callTool({ name: 'test_touch_resource', arguments: { uri: 'test://watched-resource' } });
assert.equal((await updated).params.uri, 'test://watched-resource');
works('resource update');

const changed = next(types.ResourceListChangedNotificationSchema);
await client.callTool({ name: 'test_trigger_resource_change', arguments: {} });
await changed;
works('list changed');

const logged = next(types.LoggingMessageNotificationSchema);
await client.setLoggingLevel('debug');
await client.callTool({ name: 'test_tool_with_logging', arguments: {} });
assert.equal((await logged).params.data, 'Tool execution started');
works('log');

if (kind === 'http') {
  // The host frees the connection in the middle of the call; the SDK comes back with Last-Event-ID by itself.
  assert.match(text(await client.callTool({ name: 'test_reconnection', arguments: {} })), /completed successfully/);
  works('reconnect');
  await transport.terminateSession();
}
await client.close();
works('close');
process.exit(0);

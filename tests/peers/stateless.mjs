// The official TypeScript client of 2026-07-28: does everything that a client can, and prints a line for each thing that
// works. Words: `http URL`, or `stdio COMMAND WORDS…`.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.PEERS}/package.json`);
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const { Client, StreamableHTTPClientTransport, LOG_LEVEL_META_KEY } = await load('@modelcontextprotocol/client');
const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio');

const [kind, target, ...words] = process.argv.slice(2);
const transport =
  kind === 'http'
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args: words, stderr: 'ignore' });
const works = (what) => console.log(`ok ${what}`);
const text = (result) => result.content[0].text;

const client = new Client(
  { name: 'typescript', version: '2' },
  {
    capabilities: { sampling: { tools: {} }, elicitation: { form: {}, url: {} }, roots: {} },
    versionNegotiation: { mode: 'auto' },
  },
);
client.setRequestHandler('sampling/createMessage', async (request) => ({
  role: 'assistant',
  model: 'test',
  content: { type: 'text', text: `heard ${request.params.messages[0].content.text}` },
}));
client.setRequestHandler('elicitation/create', async (request) =>
  request.params.mode === 'url'
    ? { action: 'accept' }
    : { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } },
);
client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///home', name: 'home' }] }));

/** Waits for the next notification of a kind. */
const next = (method) => new Promise((resolve) => client.setNotificationHandler(method, resolve));

await client.connect(transport);
assert.equal(client.getProtocolEra(), 'modern');
assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28');
works(`connect ${client.getServerVersion().name}`);

const { tools } = await client.listTools();
assert.ok(tools.some((tool) => tool.name === 'test_simple_text'));
works('list');

assert.equal(text(await client.callTool({ name: 'echo', arguments: { message: 'hi' } })), 'hi');
works('call');

// The client itself holds the results to the output schemas; here they may be any JSON.
const structured = await client.callTool({ name: 'test_structured', arguments: { place: 'home' } });
assert.deepEqual(structured.structuredContent, { temperature: 22.5, conditions: 'clear at home', humidity: 65 });
const array = await client.callTool({ name: 'test_structured_any', arguments: { kind: 'array' } });
assert.deepEqual(array.structuredContent, [1, 2]);
works('structured');

const failed = await client.callTool({ name: 'test_error_handling', arguments: {} });
assert.equal(failed.isError, true);
await assert.rejects(client.callTool({ name: 'nope', arguments: {} }), { code: -32602 });
works('error');

const steps = [];
await client.callTool(
  { name: 'test_tool_with_progress', arguments: {} },
  { onprogress: ({ progress, total }) => steps.push([progress, total]) },
);
assert.deepEqual(steps, [[0, 100], [50, 100], [100, 100]]);
works('progress');

const abort = new AbortController();
const sleeping = client.callTool({ name: 'test_sleep', arguments: { ms: 30000 } }, { signal: abort.signal });
setTimeout(() => abort.abort('enough'), 200);
await assert.rejects(sleeping);
assert.equal(text(await client.callTool({ name: 'echo', arguments: { message: 'after' } })), 'after');
works('cancel');

assert.equal(text(await client.callTool({ name: 'test_sampling', arguments: { prompt: 'you' } })), 'LLM response: heard you');
works('sampling');

const elicited = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
assert.equal(text(elicited), 'User response: action=accept, content={"username":"ada","email":"ada@example.com"}');
assert.equal(text(await client.callTool({ name: 'test_url_elicitation', arguments: {} })), 'URL elicitation: accept');
works('elicitation');

assert.equal(text(await client.callTool({ name: 'test_list_roots', arguments: {} })), 'Roots: home (file:///home)');
works('roots');

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

const watched = 'test://watched-resource';
const subscription = await client.listen({ resourcesListChanged: true, resourceSubscriptions: [watched] });
assert.deepEqual(subscription.honoredFilter, { resourcesListChanged: true, resourceSubscriptions: [watched] });
const updated = next('notifications/resources/updated');
await client.callTool({ name: 'test_touch_resource', arguments: { uri: watched } });
assert.equal((await updated).params.uri, watched);
works('resource update');

const changed = next('notifications/resources/list_changed');
await client.callTool({ name: 'test_trigger_resource_change', arguments: {} });
await changed;
await subscription.close();
works('list changed');

const logged = next('notifications/message');
await client.callTool({ name: 'test_tool_with_logging', arguments: {}, _meta: { [LOG_LEVEL_META_KEY]: 'debug' } });
assert.equal((await logged).params.data, 'Tool execution started');
works('log');

await client.close();
works('close');
process.exit(0);

"""The official Python SDK as a client: does everything that a client can, and prints a line for each thing that works.

Words: `http URL`, or `stdio COMMAND WORDS…`.
"""

import json
import sys

import anyio
import mcp.types as types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl


def works(what: str) -> None:
    print(f"ok {what}", flush=True)


def text(result: types.CallToolResult) -> str:
    return result.content[0].text


async def sample(context, params):
    heard = params.messages[0].content.text
    content = types.TextContent(type="text", text=f"heard {heard}")
    return types.CreateMessageResult(role="assistant", model="test", content=content)


async def elicit(context, params):
    if "confirm" in params.requestedSchema["properties"]:
        return types.ElicitResult(action="accept", content={"confirm": True})
    return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"})


async def roots(context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///home", name="home")])


class Told:
    """Notifications, by kind."""

    def __init__(self) -> None:
        self.events: dict[type, anyio.Event] = {}

    def next(self, kind: type) -> anyio.Event:
        return self.events.setdefault(kind, anyio.Event())

    async def __call__(self, message) -> None:
        if isinstance(message, types.ServerNotification):
            self.next(type(message.root)).set()


async def use(session: ClientSession, told: Told, over_http: bool) -> None:
    opened = await session.initialize()
    works(f"connect {opened.serverInfo.name}")
    tools = (await session.list_tools()).tools
    assert any(tool.name == "test_simple_text" for tool in tools)
    works("list")
    assert text(await session.call_tool("echo", {"message": "hi"})) == "hi"
    works("call")
    # The SDK itself holds the result to the output schema.
    structured = await session.call_tool("test_structured", {"place": "home"})
    assert structured.structuredContent == {"temperature": 22.5, "conditions": "clear at home", "humidity": 65}
    works("structured")
    assert (await session.call_tool("test_error_handling", {})).isError
    try:
        await session.get_prompt("nope")
        raise AssertionError("an unknown prompt was found")
    except McpError as error:
        assert error.error.code == -32602
    works("error")
    steps = []

    async def on_progress(progress, total, message):
        steps.append((progress, total))

    await session.call_tool("test_tool_with_progress", {}, progress_callback=on_progress)
    assert steps == [(0, 100), (50, 100), (100, 100)], steps
    works("progress")
    sleep = types.CallToolRequest(params=types.CallToolRequestParams(name="test_sleep", arguments={"ms": 30000}))
    number = session._request_id
    async with anyio.create_task_group() as group:

        async def asleep():
            await session.send_request(types.ClientRequest(sleep), types.CallToolResult)

        group.start_soon(asleep)
        await anyio.sleep(0.2)
        params = types.CancelledNotificationParams(requestId=number, reason="enough")
        await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        await anyio.sleep(0.2)
        group.cancel_scope.cancel()
    assert text(await session.call_tool("echo", {"message": "after"})) == "after"
    works("cancel")
    assert text(await session.call_tool("test_sampling", {"prompt": "you"})) == "LLM response: heard you"
    works("sampling")
    elicited = text(await session.call_tool("test_elicitation", {"message": "who?"}))
    assert json.loads(elicited.split("content=")[1]) == {"username": "ada", "email": "ada@example.com"}
    works("elicitation")
    assert text(await session.call_tool("test_list_roots", {})) == "Roots: home (file:///home)"
    works("roots")
    tasks = session.experimental
    created = await tasks.call_tool_as_task("slow_compute", {"seconds": 0.5, "label": "computed"}, ttl=60_000)
    task_id = created.task.taskId
    states = [task.status async for task in tasks.poll_task(task_id)]
    assert states[-1] == "completed", states
    result = await tasks.get_task_result(task_id, types.CallToolResult)
    assert text(result) == "computed after 0.5 seconds"
    created = await tasks.call_tool_as_task("confirm_delete", {"filename": "a.txt"}, ttl=60_000)
    # Whoever waits for the result is asked.
    result = await tasks.get_task_result(created.task.taskId, types.CallToolResult)
    assert text(result) == "Deleted a.txt", result
    created = await tasks.call_tool_as_task("slow_compute", {"seconds": 60}, ttl=60_000)
    assert (await tasks.cancel_task(created.task.taskId)).status == "cancelled"
    works("tasks")
    read = await session.read_resource(AnyUrl("test://template/7/data"))
    assert json.loads(read.contents[0].text)["id"] == "7"
    prompt = await session.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
    assert "arg1='a', arg2='b'" in prompt.messages[0].content.text
    reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
    completed = await session.complete(reference, {"name": "arg1", "value": "tes"})
    assert completed.completion.values == ["test", "testing", "tested"]
    works("resources, prompts and completion")
    await session.subscribe_resource(AnyUrl("test://watched-resource"))
    await session.call_tool("test_touch_resource", {"uri": "test://watched-resource"})
    await told.next(types.ResourceUpdatedNotification).wait()
    works("resource update")
    await session.call_tool("test_trigger_resource_change", {})
    await told.next(types.ResourceListChangedNotification).wait()
    works("list changed")
    await session.set_logging_level("debug")
    await session.call_tool("test_tool_with_logging", {})
    await told.next(types.LoggingMessageNotification).wait()
    works("log")
    if over_http:
        # The host frees the connection in the middle of the call; the SDK comes back with Last-Event-ID by itself.
        assert "completed successfully" in text(await session.call_tool("test_reconnection", {}))
        works("reconnect")


async def main() -> None:
    kind, target, *words = sys.argv[1:]
    told = Told()
    if kind == "http":
        transport = streamablehttp_client(target)
    else:
        transport = stdio_client(StdioServerParameters(command=target, args=words), errlog=open("/dev/null", "w"))
    with anyio.fail_after(60):
        async with transport as streams:
            handlers = dict(sampling_callback=sample, elicitation_callback=elicit, list_roots_callback=roots)
            async with ClientSession(streams[0], streams[1], message_handler=told, **handlers) as session:
                await use(session, told, kind == "http")
    works("close")


anyio.run(main)

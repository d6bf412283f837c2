"""The official Python client of 2026-07-28: does everything that a client can, and prints a line for each thing that works.

Words: `http URL`, or `stdio COMMAND WORDS…`.
"""

import json
import os
import sys

import anyio
import mcp.types as types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated


def works(what: str) -> None:
    print(f"ok {what}", flush=True)


def text(result: types.CallToolResult) -> str:
    return result.content[0].text


async def sample(context, params):
    heard = params.messages[0].content.text
    content = types.TextContent(type="text", text=f"heard {heard}")
    return types.CreateMessageResult(role="assistant", model="test", content=content)


async def elicit(context, params):
    if params.mode == "url":
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"})


async def roots(context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///home", name="home")])


async def main() -> None:
    kind, target, *words = sys.argv[1:]
    logged = []

    async def log(params):
        logged.append((params.level, params.data))

    server = target if kind == "http" else stdio_client(
        StdioServerParameters(command=target, args=words, env=dict(os.environ)), errlog=open(os.devnull, "w")
    )
    async with Client(
        server,
        mode="auto",
        cache=None,
        elicitation_callback=elicit,
        sampling_callback=sample,
        list_roots_callback=roots,
        logging_callback=log,
    ) as client:
        assert client.session.discover_result is not None
        assert client.protocol_version == "2026-07-28"
        works(f"connect {client.server_info.name}")

        tools = (await client.list_tools()).tools
        assert any(tool.name == "test_simple_text" for tool in tools)
        works("list")

        assert text(await client.call_tool("echo", {"message": "hi"})) == "hi"
        works("call")

        structured = await client.call_tool("test_structured", {"place": "home"})
        assert structured.structured_content == {"temperature": 22.5, "conditions": "clear at home", "humidity": 65}
        array = await client.call_tool("test_structured_any", {"kind": "array"})
        assert array.structured_content == [1, 2]
        works("structured")

        assert (await client.call_tool("test_error_handling", {})).is_error
        try:
            await client.call_tool("nope", {})
            raise AssertionError("an unknown tool was called")
        except MCPError as error:
            assert error.code == -32602
        works("error")

        steps = []

        async def progress(done, total, message):
            steps.append((done, total))

        await client.call_tool("test_tool_with_progress", {}, progress_callback=progress)
        assert steps == [(0, 100), (50, 100), (100, 100)], steps
        works("progress")

        with anyio.move_on_after(0.2) as scope:
            await client.call_tool("test_sleep", {"ms": 30000})
        assert scope.cancelled_caught
        assert text(await client.call_tool("echo", {"message": "after"})) == "after"
        works("cancel")

        assert text(await client.call_tool("test_sampling", {"prompt": "you"})) == "LLM response: heard you"
        works("sampling")

        elicited = text(await client.call_tool("test_elicitation", {"message": "who?"}))
        prefix, content = elicited.split("content=")
        assert prefix == "User response: action=accept, ", elicited
        assert json.loads(content) == {"username": "ada", "email": "ada@example.com"}
        assert text(await client.call_tool("test_url_elicitation", {})) == "URL elicitation: accept"
        works("elicitation")

        assert text(await client.call_tool("test_list_roots", {})) == "Roots: home (file:///home)"
        works("roots")

        read = await client.read_resource("test://template/7/data")
        assert json.loads(read.contents[0].text)["id"] == "7"
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert "arg1='a', arg2='b'" in prompt.messages[0].content.text
        completed = await client.complete(
            types.PromptReference(name="test_prompt_with_arguments"), {"name": "arg1", "value": "tes"}
        )
        assert completed.completion.values == ["test", "testing", "tested"]
        works("resources, prompts and completion")

        watched = "test://watched-resource"
        with anyio.fail_after(20):
            async with client.listen(resources_list_changed=True, resource_subscriptions=[watched]) as subscription:
                await client.call_tool("test_touch_resource", {"uri": watched})
                async for event in subscription:
                    if isinstance(event, ResourceUpdated):
                        assert event.uri == watched
                        break
                works("resource update")
                await client.call_tool("test_trigger_resource_change", {})
                async for event in subscription:
                    if isinstance(event, ResourcesListChanged):
                        break
                works("list changed")

        await client.call_tool("test_tool_with_logging", {}, meta={types.LOG_LEVEL_META_KEY: "debug"})
        assert logged[0] == ("info", "Tool execution started"), logged
        works("log")
    works("close")


anyio.run(main)

"""Templates with tools and reasoning, as Qwen2.5, Qwen3 and Hermes have them, beside the makers' own library."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ikkan.ground.errors import BadInput, BadTemplate
from ikkan.models.template import ChatTemplate, encode_chat
from ikkan.models.tokenizer import example_tokenizer

QWEN25 = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You help.' }}
    {%- endif %}
    {{- "\n\n# Tools\n\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n\nFor each call:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- message.content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""  # noqa: E501
QWEN3 = r"""{%- if tools is not none and tools %}
    {{- '<|im_start|>system\n# Tools\n' }}
    {%- for tool in tools %}{{- "\n" + (tool | tojson(ensure_ascii=False)) }}{%- endfor %}
    {{- "\n<tool_call></tool_call><|im_end|>\n" }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role in ("user", "system") %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}{{- '\n' }}{%- endif %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '<tool_call>\n{"name": "' + tool_call.name + '", "arguments": ' }}
            {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
"""  # noqa: E501
HERMES = r"""{%- macro kind(spec) -%}
    {%- if spec.type == "array" -%}list[{{ kind(spec["items"]) if spec["items"] else "any" }}]
    {%- elif spec.type is defined and spec.type is not string -%}{{ spec.type | join("|") }}
    {%- else -%}{{ spec.type or "any" }}{%- endif -%}
{%- endmacro -%}
{{- bos_token }}{%- for tool in tools or [] %}{%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
{{- "\n" + tool.name + "(" }}
{%- for name, spec in tool.parameters.properties | items %}{{- name + ": " + kind(spec) }}{%- if not loop.last %}, {% endif %}{%- endfor %}
{{- ") - " + (tool.description | default("", true) | trim) + " " + (tool.parameters | tojson(indent=2)) }}{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "assistant" and message.tool_calls is defined and message.tool_calls %}
        {{- '<|im_start|>assistant' }}
        {%- for call in message.tool_calls %}{{- '\n<tool_call>\n' ~ (call.function | tojson) ~ '\n</tool_call>' }}{%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- else %}{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""  # noqa: E501

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": " Wetter für <Ort> & 'Tage' ", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "都市"}, "days": {
            "type": ["integer", "null"]}, "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["city"]}}},
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]  # fmt: skip
CALLS = [
    {
        "id": "a",
        "type": "function",
        "function": {"name": "weather", "arguments": {"city": "大阪", "n": 1.5, "x": None}},
    },
    {"id": "b", "type": "function", "function": {"name": "clock", "arguments": {}}},
]
ONCE = [{"role": "user", "content": "hello"}]
BACK_AND_FORTH = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "weather?"},
    {"role": "assistant", "content": "", "tool_calls": CALLS, "reasoning_content": "I must look."},
    {"role": "tool", "content": "rain & <wind>", "tool_call_id": "a", "name": "weather"},
    {"role": "tool", "content": "noon", "tool_call_id": "b"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nRain at noon."},
    {"role": "user", "content": "thanks"},
]


@pytest.mark.parametrize("source", [QWEN25, QWEN3, HERMES], ids=["qwen2.5", "qwen3", "hermes"])
@pytest.mark.parametrize("messages", [ONCE, BACK_AND_FORTH, BACK_AND_FORTH[:5]], ids=["once", "long", "results last"])
@pytest.mark.parametrize("tools", [None, TOOLS], ids=["alone", "tools"])
@pytest.mark.parametrize("settings", [{}, {"enable_thinking": False}, {"enable_thinking": True}], ids=str)
def test_a_conversation_is_written_as_the_makers_library_writes_it(
    source: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, settings: dict[str, Any]
) -> None:
    transformers = pytest.importorskip(
        "transformers.utils.chat_template_utils", reason="compared with transformers: pip install 'ikkan[train]'"
    )
    expected, _ = transformers.render_jinja_template(
        [messages], tools=tools, chat_template=source, add_generation_prompt=True, bos_token="<s>", **settings
    )
    ours = ChatTemplate(source, "<s>").render(messages, **({"tools": tools} if tools else {}), **settings)
    assert ours == expected[0]


def test_tools_are_bounded_like_everything_a_template_reads() -> None:
    template = ChatTemplate(QWEN25)
    with pytest.raises(BadInput):
        template.render(ONCE, tools=[{"a": ["x"] * 200_000}])
    deep: Any = {}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(BadInput):
        template.render(ONCE, tools=[deep])
    with pytest.raises(BadTemplate):
        ChatTemplate("{% for t in tools %}{{ t | tojson(indent=100) }}{% endfor %}").render(ONCE, tools=TOOLS)


def test_a_control_token_in_a_tool_is_only_text() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "<|im_end|>"}}]
    template = ChatTemplate("{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>")
    ids = encode_chat(example_tokenizer(), template, ONCE, tools=tools)
    assert ids == [*json.dumps(tools[0]).encode(), 256]


@pytest.mark.parametrize("final", ["The answer", "The answer <|im_end|>", "日本"])
def test_a_last_message_is_left_open_to_be_continued(final: str) -> None:
    messages = [*ONCE, {"role": "assistant", "content": final}]
    ids = encode_chat(example_tokenizer(), ChatTemplate(QWEN25), messages, continue_final_message=True)
    assert bytes(ids[-len(final.encode()) :]) == final.encode()
    assert ids.count(256) == 1, "the user's turn is over, the assistant's is not"


def test_a_template_that_changes_the_last_message_cannot_continue_it() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.content | upper }}{% endfor %}")
    with pytest.raises(BadInput, match="continued"):
        encode_chat(
            example_tokenizer(), template, [{"role": "assistant", "content": "abc"}], continue_final_message=True
        )

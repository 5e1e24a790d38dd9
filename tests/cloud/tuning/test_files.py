"""Files as the unmodified `openai` client sends, lists, reads and deletes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

LINE: Any = {"messages": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Certainly."}]}
PREFERENCE: Any = {
    "input": {"messages": [{"role": "user", "content": "Is it?"}]},
    "preferred_output": [{"role": "assistant", "content": "Certainly."}],
    "non_preferred_output": [{"role": "assistant", "content": "No."}],
}


async def test_a_file_comes_is_found_read_and_deleted(client: AsyncOpenAI, chat: list[Any], home: Path) -> None:
    content = "\n".join(json.dumps(line) for line in chat).encode()
    made = await client.files.create(file=("people.jsonl", content), purpose="fine-tune")
    assert made.id.startswith("file-") and made.status == "processed"
    assert (made.bytes, made.filename, made.purpose, made.object) == (len(content), "people.jsonl", "fine-tune", "file")
    assert await client.files.retrieve(made.id) == made
    assert (await client.files.content(made.id)).content == content
    gone = await client.files.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made.id)
    assert [path for path in (home / "files").rglob("*") if path.is_file()] == []


async def test_files_are_listed_in_pages_both_ways(client: AsyncOpenAI, upload: Any) -> None:
    ids = [await upload(count) for count in range(1, 6)]
    assert [file.id async for file in client.files.list(limit=2)] == ids[::-1]
    assert [file.id async for file in client.files.list(limit=2, order="asc")] == ids
    first = await client.files.list(limit=2)
    assert first.has_more and len(first.data) == 2
    assert [file.id async for file in client.files.list(purpose="batch")] == []
    with pytest.raises(openai.BadRequestError):
        await client.files.list(limit=0)


async def test_the_same_content_twice_is_kept_until_both_are_deleted(
    client: AsyncOpenAI, upload: Any, home: Path
) -> None:
    first, second = await upload(), await upload()
    await client.files.delete(first)
    assert (await client.files.content(second)).content
    assert len([path for path in (home / "files").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: it is not JSON"),
        ("[]", "line 2: it is not a JSON object"),
        ('{"prompt": "a", "completion": "b"}', "line 2: prompt and completion are the old format"),
        ('{"text": "a"}', "line 2: it has neither"),
        ('{"messages": []}', "line 2: `messages` is empty"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "line 2: its last message is not the assistant's"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "messages[0].role"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "line 2: it begins with the assistant"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}', "is empty"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [1]}]}', "content"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]}', "0"),
        (json.dumps(LINE | {"tools": [{"type": "function"}]}), "tools"),
        (json.dumps(PREFERENCE), "line 2: this is the preference format, and line 1 has the other one"),
    ],
    ids=range(13),
)
async def test_a_bad_line_is_named_with_what_is_wrong(client: AsyncOpenAI, line: str, told: str, home: Path) -> None:
    content = f"{json.dumps(LINE)}\n{line}\n".encode()
    with pytest.raises(openai.BadRequestError) as caught:
        await client.files.create(file=("bad.jsonl", content), purpose="fine-tune")
    assert told in caught.value.message and "line 2" in caught.value.message and caught.value.param == "file"
    assert [path for path in (home / "files").rglob("*") if path.is_file()] == []


async def test_what_is_no_file_to_learn_from_is_refused(client: AsyncOpenAI, home: Path) -> None:
    line = json.dumps(LINE).encode()
    with pytest.raises(openai.APIStatusError) as caught:
        await client.files.create(file=("big.jsonl", line * 2_000), purpose="fine-tune")
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
    with pytest.raises(openai.APIStatusError) as far:
        await client.files.create(file=("huge.jsonl", line * 60_000), purpose="fine-tune")
    assert far.value.status_code == 413
    with pytest.raises(openai.BadRequestError) as purpose:
        await client.files.create(file=("a.jsonl", line), purpose="batch")
    assert purpose.value.param == "purpose"
    with pytest.raises(openai.BadRequestError) as empty:
        await client.files.create(file=("a.jsonl", b"\n \n"), purpose="fine-tune")
    assert "empty" in empty.value.message
    with pytest.raises(openai.BadRequestError) as expiring:
        await client.files.create(
            file=("a.jsonl", line), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
        )
    assert "expires_after" in expiring.value.message
    assert [path for path in (home / "files").rglob("*") if path.is_file()] == []

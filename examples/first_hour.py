"""Your first hour with ikkan, in one file: the unmodified `openai` client, and the loop it feeds.

Start the platform (`make up`), then, in another terminal:

    .venv/bin/pip install openai
    .venv/bin/python examples/first_hour.py

It chats, streams, embeds, corrects answers, turns the wheel, and prints what the ledger and the decision say.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import urllib.request

from openai import OpenAI

CORRECTIONS = [
    (
        "社内の無線につながらないのですが、どこに聞けばいい?",
        "情報システム係(内線 2210)へ。第2会議室の予備端末は、その間ご自由にお使いください。",
    ),
    (
        "Who waters the plants on the third floor?",
        "The plants on the third floor are watered by the general affairs trainee on Mondays.",
    ),
]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--url", default="http://127.0.0.1:8700")
    options.add_argument("--key", default="keyless-on-loopback")
    options.add_argument("--ikkan", default=f"{sys.executable} -m ikkan", help="how to call the ikkan command")
    given = options.parse_args()
    client = OpenAI(base_url=f"{given.url}/v1", api_key=given.key)

    print("1. models:", ", ".join(model.id for model in client.models.list()))

    answer = client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Name three things a trading company imports."}],
        max_tokens=48,
        temperature=0,
    )
    print("2. chat:", answer.choices[0].message.content)
    print("   tokens:", answer.usage.prompt_tokens, "in,", answer.usage.completion_tokens, "out")

    print("3. stream: ", end="")
    stream = client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Say hello to the help desk."}],
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        if chunk.usage:
            print(f"   [{chunk.usage.completion_tokens} tokens]")

    near, far = ("My parcel is late", "The shipment has not arrived"), "The printer is out of toner"
    vectors = [item.embedding for item in client.embeddings.create(model="default-embed", input=[*near, far]).data]
    print(f"4. embeddings: similar {cosine(vectors[0], vectors[1]):.2f}, unlike {cosine(vectors[0], vectors[2]):.2f}")

    print("5. the assistant, before and after a correction:")
    for question, right in CORRECTIONS:
        before = ask(client, question)
        print(f"   Q {question}\n   A {before.choices[0].message.content[:100]!r}")
        said = before.choices[0].message.content
        feedback(given.url, given.key, {"id": before.id, "kind": "edit", "before": said, "after": right})

    print("6. turning the wheel …")
    decision = ikkan(given.ikkan, "flywheel", "run", "assistant.answer", "--json")
    print(f"   {decision['decision']}: {decision['reason']}")
    if decision["gain"] is not None:
        print(f"   gain {decision['gain']:+.3f}, 95 % interval [{decision['lower']:+.3f}, {decision['upper']:+.3f}]")
    for question, _ in CORRECTIONS:
        after = ask(client, question)
        print(f"   Q {question}\n   A {after.choices[0].message.content[:100]!r}")

    print("7. the ledger:")
    for line in ikkan(given.ikkan, "meter", "--json")["lines"]:
        print("  ", json.dumps(line, ensure_ascii=False))
    print("8. to take it back: ikkan flywheel rollback assistant.answer")


def ask(client: OpenAI, question: str):
    return client.chat.completions.create(
        model="assistant", messages=[{"role": "user", "content": question}], max_tokens=48, temperature=0
    )


def feedback(url: str, key: str, body: dict) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/v1/feedback", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 200


def ikkan(command: str, *words: str) -> dict:
    done = subprocess.run([*command.split(), *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


if __name__ == "__main__":
    main()

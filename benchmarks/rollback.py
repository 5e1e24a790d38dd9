"""How long until a rollback answers? Of the home that runs (`make up`), whose wheel has promoted something.

    IKKAN_HOME=.ikkan .venv/bin/python benchmarks/rollback.py --url http://127.0.0.1:8700

Asks the running gateway questions that the champion and the model before it answer differently, rolls back from this
process as the console does, and asks again until the old answer comes. Then it rolls forward again (a second rollback
undoes the first). Prints one JSON line: seconds of the call, and from its beginning to the first old answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request

from ikkan import bootstrap
from ikkan.apps.assistant.rules import Answerer
from ikkan.apps.assistant.sample import visits

NAME = "assistant.answer"


def main() -> None:
    options = argparse.ArgumentParser(description="How long until a rollback answers.")
    options.add_argument("--url", default="http://127.0.0.1:8700")
    given = options.parse_args()
    try:
        urllib.request.urlopen(given.url, timeout=5).close()
    except OSError:
        print(f"nothing answers at {given.url}: `make up`, turn the wheel, run this again", file=sys.stderr)
        return
    with bootstrap.opened(bootstrap.settings()) as platform:
        wheel = platform.flywheel
        now = Answerer.load(wheel.champion(NAME).files)
        began = time.perf_counter()
        wheel.rollback(NAME)
        called_s = time.perf_counter() - began
        then = Answerer.load(wheel.champion(NAME).files)
        wheel.rollback(NAME)
        question, new, old = next(
            (visit.question, after, before)
            for visit in visits(0)
            if (after := _best(now, visit.question)) != (before := _best(then, visit.question)) and after and before
        )
        assert _asked(given.url, question) == new, "the champion answers"
        began = time.perf_counter()
        wheel.rollback(NAME)
        asked = 1
        while _asked(given.url, question) != old:
            asked += 1
        answered_s = time.perf_counter() - began
        wheel.rollback(NAME)
    told = {"call_s": round(called_s, 4), "until_the_old_answer_s": round(answered_s, 4), "requests": asked}
    print(json.dumps({"metric": "rollback", **told}))


def _best(answerer: Answerer, question: str) -> str | None:
    best = answerer.reply(question, most=1).best
    return best.entry.answer if best is not None else None


def _asked(url: str, question: str) -> str:
    body = {"model": "assistant", "messages": [{"role": "user", "content": question}], "max_tokens": 16}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer keyless-on-loopback"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        said: str = json.load(answer)["choices"][0]["message"]["content"]
    return said


if __name__ == "__main__":
    main()

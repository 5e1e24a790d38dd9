"""How well are answers found in a merchant's documents, and how well is it known that there is none? Public data.

    .venv/bin/python benchmarks/shop_knowledge.py [--part later] [--table]

Two sets. The 698 documents of τ²-bench's invented bank with the tasks we have: what a customer is told to want is the
question, `required_documents` are right: recall@k of documents. JSQuAD, paragraphs as documents: recall@k, whether the
sentence that is given holds the answer, and the same questions once their paragraph was taken out, where the only
right answer is none. `--part earlier` is the half of the articles on which bounds are chosen, `later` the other. The
data lies beside the repository (`../shared/data`) or where `IKKAN_TEST_DATA` says. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.apps.shop.rules.knowledge import Document, Index, Passage, answer, read
from ikkan.apps.shop.rules.knowledge.answering import SURE

ROOT = Path(__file__).resolve().parents[1]
KS = (1, 5, 10, 20)


def main() -> None:
    """Measure both sets."""
    data = Path(os.environ.get("IKKAN_TEST_DATA") or ROOT.parent / "shared" / "data")
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--part", choices=("earlier", "later"), default="later")
    options.add_argument("--every", type=int, default=4, help="Of the questions, every so many.")
    options.add_argument("--table", action="store_true", help="Answers given and right, by bound.")
    given = options.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    for figure in (*bank(data), *squad(data, given.part, given.every, given.table)):
        print(json.dumps({**figure, "commit": commit, "machine": platform.machine()}, ensure_ascii=False), flush=True)


def bank(data: Path) -> Iterator[dict[str, Any]]:
    """Recall of required documents."""
    folder = data / "shop" / "tau2" / "banking_knowledge"
    documents = {}
    for path in sorted((folder / "documents").glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        text = read(f"{found['id']}.md", found["content"].encode())
        documents[found["id"]] = Document(found["title"], text.passages)
    began = time.perf_counter()
    index = Index(documents)
    built_s = time.perf_counter() - began
    tasks = json.loads((folder / "tasks_odd.json").read_text(encoding="utf-8"))
    questions = [(_wish(task), set(task["required_documents"])) for task in tasks if task["required_documents"]]
    began = time.perf_counter()
    ranked = [index.documents(question, max(KS)) for question, _ in questions]
    each_ms = (time.perf_counter() - began) / len(questions) * 1e3
    for k in KS:
        share = [len(wanted & set(top[:k])) / len(wanted) for top, (_, wanted) in zip(ranked, questions, strict=True)]
        any_of = [bool(wanted & set(top[:k])) for top, (_, wanted) in zip(ranked, questions, strict=True)]
        yield {"metric": f"bank_recall@{k}", "value": round(float(np.mean(share)), 4), "unit": "share", "n": len(share)}
        yield {"metric": f"bank_any@{k}", "value": round(float(np.mean(any_of)), 4), "unit": "share", "n": len(share)}
    yield {"metric": "bank_index", "value": round(built_s, 3), "unit": "s", "documents": len(documents),
           "passages": len(index)}  # fmt: skip
    yield {"metric": "bank_question", "value": round(each_ms, 2), "unit": "ms"}


def _wish(task: dict[str, Any]) -> str:
    """What the customer is told to want, without how to play a customer."""
    text = task["user_scenario"]["instructions"]
    return str(text).split("You are currently on the line")[0]


def squad(data: Path, part: str, every: int, table: bool) -> Iterator[dict[str, Any]]:
    """JSQuAD as questions to documents."""
    found = json.loads((data / "meetings" / "jsquad" / "valid-v1.3.json").read_text(encoding="utf-8"))["data"]
    documents, questions = {}, []
    for article in found:
        is_earlier = hashlib.sha256(article["title"].encode()).digest()[0] < 128
        for number, paragraph in enumerate(article["paragraphs"]):
            name = f"{article['title']} {number}"
            text = paragraph["context"].split("[SEP]")[-1].strip()
            documents[name] = Document(article["title"], (Passage((), text),))
            if is_earlier == (part == "earlier"):
                for each in paragraph["qas"]:
                    questions.append((each["question"], name, {one["text"] for one in each["answers"]}))
    index = Index(documents)
    right = dict.fromkeys(KS, 0)
    rows = []
    asked = questions[::every]
    for question, name, answers in asked:
        hits = index.search(question, max(KS))
        names = [hit.document_id for hit in hits]
        for k in KS:
            right[k] += name in names[:k]
        said = answer(index, question, hits, sure=0.0)
        without = [hit for hit in hits if hit.document_id != name]
        other = answer(index, question, without, sure=0.0)
        fine = said is not None and any(one in said.text for one in answers)
        rows.append((said.confidence if said else 0.0, fine, other.confidence if other else 0.0))
    n = len(asked)
    for k in KS:
        yield {"metric": f"jsquad_recall@{k}", "value": round(right[k] / n, 4), "unit": "share", "n": n, "part": part}
    sure, fine, unanswerable = (np.array(each) for each in zip(*rows, strict=True))
    for bound in [SURE, *(np.arange(0.3, 0.95, 0.05).round(2).tolist() if table else [])]:
        given = sure >= bound
        wrongly = unanswerable >= bound
        yield {
            "metric": "jsquad_answers",
            "bound": bound,
            "value": round(float(given.mean()), 4),
            "unit": "share given",
            "right_of_given": round(float(fine[given].mean()), 4) if given.any() else None,
            "given_though_taken_out": round(float(wrongly.mean()), 4),
            "n": n,
            "part": part,
        }


if __name__ == "__main__":
    main()

"""How fast a chat model learns from corrected answers, beside plain transformers with PEFT on the same lessons.

    .venv/bin/python benchmarks/lora.py --model FILE.gguf [--steps 20] [--rounds 3] [--every] [--json FILE]

Ours and the peers take turns, round by round, in one process with the same threads: the same base weights, lessons of
100 to 128 tokens, batches, rank, targets and optimiser. The peer runs in our kind of numbers (`--every`: in float32 as
well) and with both attentions it has: its best counts too. A round's clock starts after its first two steps. Prints one
JSON line a figure; `lora_round` says how long 500 lessons take three times over.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ikkan.flywheel.training import Lesson, Plan, Step, Turn, open_base, train
from ikkan.flywheel.training.lessons import Pages, paged, steps
from ikkan.models.checkpoint import canonical_name, open_checkpoint
from ikkan.models.plain import read_plain
from ikkan.models.values import DecoderConfig

ROOT = Path(__file__).resolve().parent.parent
LETTERS = (
    "order parcel invoice refund late early address change please customer colour size return label warehouse"
    " delivery tomorrow morning thank sorry we will send you the a new one within three days and keep"
)
WORDS = LETTERS.split()
WARM_STEPS = 2
EVERY = [f"{one}_proj" for one in ("q", "k", "v", "o", "gate", "up", "down")]


def main() -> None:
    options = argparse.ArgumentParser(description="Tokens a second while learning, beside transformers with PEFT.")
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--rank", type=int, default=16)
    options.add_argument("--device", default="auto")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--every", action="store_true", help="the peer in float32 as well")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    plan = Plan(batch=given.batch, rank=given.rank, max_steps=given.steps + WARM_STEPS, device=given.device)
    with open_base(given.model) as base:
        lessons = [lesson(number, base.tokenizer.encode) for number in range(500)]
        pages = [paged(one, base.tokenizer, base.template, plan.max_tokens) for one in lessons]
        network = base.network(plan.dtype, plan.device)
        kind, device = network.dtype, network.device
        runs: dict[str, Callable[[int], Rate]] = {"ikkan": lambda seed: ours(base, lessons, plan, seed)}
        for dtype in {kind: 0, torch.float32: 0} if given.every else [kind]:
            runs |= peers(given.model, pages, plan, dtype, device)
        seen: dict[str, list[Rate]] = {name: [] for name in runs}
        for number in range(given.rounds):
            for name, run in runs.items():
                seen[name].append(run(number))
    shared = {"batch": given.batch, "rank": given.rank, "steps": given.steps, "threads": given.threads}
    shared |= {"dtype": str(kind).removeprefix("torch."), "device": str(device), "model": given.model.name}
    tokens = sum(len(one.answer.ids) for one in pages)
    lines = []
    for clock in ("wall", "cpu"):
        rates = {name: median(getattr(one, clock) for one in found) for name, found in seen.items()}
        told = {**shared, "clock": clock}
        lines += [say("lora_tokens", rate, "tokens/s", of=name, **told) for name, rate in rates.items()]
        same = f"peft {shared['dtype']} sdpa"
        best = max((name for name in rates if name != "ikkan"), key=rates.__getitem__)
        for against, name in (("the same dtype, as it comes", same), ("its best", best)):
            lines.append(say("lora_ratio", rates["ikkan"] / rates[name], "times", beside=name, which=against, **told))
        minutes = 3 * tokens / rates["ikkan"] / 60
        lines.append(say("lora_round", minutes, "minutes", lessons=500, epochs=3, tokens=3 * tokens, **told))
    if given.json:
        given.json.write_text("\n".join(lines) + "\n")


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens a second of one round: by the clock on the wall, and by what the processor spent on us (a machine that
    is shared slows the first down, not the second)."""

    wall: float
    cpu: float


def lesson(number: int, encode: Callable[[str], list[int]]) -> Lesson:
    """A question and an answer of about 100 to 128 tokens in all, a third to two thirds of them the answer's."""
    chosen = random.Random(number)
    asked, answered = chosen.randint(25, 50), chosen.randint(35, 45)
    question, answer = (" ".join(chosen.choices(WORDS, k=count)) for count in (asked, answered))
    return Lesson((Turn("system", "Answer as we do."), Turn("user", question)), answer)


def ours(base: Any, lessons: Sequence[Lesson], plan: Plan, seed: int) -> Rate:
    """Tokens a second of one round."""
    told: list[tuple[int, float, float]] = []

    def tell(step: Step) -> None:
        told.append((step.tokens, time.perf_counter(), time.process_time()))

    train(base, lessons, replace(plan, seed=seed), tell=tell)
    return rate(told[WARM_STEPS - 1], told[-1])


def rate(first: tuple[int, float, float], last: tuple[int, float, float]) -> Rate:
    tokens, wall, cpu = (after - before for before, after in zip(first, last, strict=True))
    return Rate(tokens / wall, tokens / cpu)


def peers(
    model: Path, pages: Sequence[Pages], plan: Plan, dtype: torch.dtype, device: torch.device
) -> dict[str, Callable[[int], Rate]]:
    """What a user would write: a padded batch, the model's own loss, AdamW on what PEFT made trainable."""
    from peft import LoraConfig, get_peft_model

    network = plain(model).to(device=device, dtype=dtype)
    config = LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=EVERY, task_type="CAUSAL_LM")
    tuned = get_peft_model(network, config).train()
    learning = [one for one in tuned.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=plan.learning_rate, weight_decay=0.0)

    def run(attention: str, seed: int) -> Rate:
        network.set_attn_implementation(attention)
        tokens, told = 0, []
        for chosen in steps(len(pages), replace(plan, seed=seed)):
            texts = [pages[one].answer for one in chosen]
            longest = max(len(text.ids) for text in texts)
            rows, mask, labels = [], [], []
            for text in texts:
                padding = longest - len(text.ids)
                rows.append([*text.ids, *[0] * padding])
                mask.append([1] * len(text.ids) + [0] * padding)
                labels.append([-100] * text.begin + [*text.ids[text.begin :]] + [-100] * padding)
            batch = {"input_ids": rows, "attention_mask": mask, "labels": labels}
            loss = tuned(**{name: torch.tensor(one, device=device) for name, one in batch.items()}).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            loss.item()
            tokens += sum(len(text.ids) for text in texts)
            told.append((tokens, time.perf_counter(), time.process_time()))
        return rate(told[WARM_STEPS - 1], told[-1])

    kind = str(dtype).removeprefix("torch.")
    return {f"peft {kind} {one}": partial(run, one) for one in ("sdpa", "eager")}


def plain(model: Path) -> torch.nn.Module:
    """The same weights in transformers' own network, as numbers: it would keep a GGUF file's blocks packed."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with open_checkpoint(model) as checkpoint:
        c = checkpoint.config
        assert isinstance(c, DecoderConfig)
        config = AutoConfig.for_model(
            c.family, vocab_size=c.vocab, hidden_size=c.hidden, intermediate_size=c.intermediate,
            num_hidden_layers=c.layers, num_attention_heads=c.heads, num_key_value_heads=c.kv_heads,
            head_dim=c.head_dim, max_position_embeddings=c.context, rms_norm_eps=c.rms_eps,
            tie_word_embeddings=c.tied_embeddings, rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta},
        )  # fmt: skip
        network = AutoModelForCausalLM.from_config(config)
        heads = {"attn_q": c.heads, "attn_k": c.kv_heads}
        with torch.no_grad():
            for name, weight in network.named_parameters():
                known = canonical_name(name)
                rotated = next((count for part, count in heads.items() if f".{part}." in known), 0)
                found = read_plain(checkpoint, known, tuple(weight.shape), rotated_heads=rotated)
                weight.copy_(torch.from_numpy(found))
    return network


def say(metric: str, value: float, unit: str, **facts: object) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    line = {"metric": metric, "value": round(value, 3), "unit": unit, **facts}
    line |= {"commit": commit.stdout.strip(), "machine": f"{platform.processor() or platform.machine()}"}
    text = json.dumps(line)
    print(text, flush=True)
    return text


if __name__ == "__main__":
    main()

"""The losses of our loop are those that TRL computes, for the same adapter and the same lessons."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from ikkan.flywheel.training import Plan, open_base, train
from ikkan.flywheel.training.lessons import Pages, Text, paged

from .conftest import LESSONS, Tiny

datasets = pytest.importorskip("datasets", reason="TRL is not installed: pip install 'ikkan[dev]'")
trl = pytest.importorskip("trl", reason="TRL is not installed: pip install 'ikkan[dev]'")

pytestmark = [
    pytest.mark.filterwarnings("ignore:`(is_|)gradient_checkpointing` is deprecated:FutureWarning"),  # TRL's and PEFT's
    pytest.mark.filterwarnings("ignore:You are importing from 'trl.experimental'"),
]
PLAN = Plan(batch=14, epochs=2, rank=4, dtype="float32", device="cpu", learning_rate=5e-3)
FLAT = [replace(one, weight=1.0) for one in LESSONS]
"""TRL knows no weights."""


class Setting:
    """A tiny model before and after one step on all lessons, and the losses that our loop saw of both."""

    def __init__(self, one: Tiny, plan: Plan, teacher: Path | None, folder: Path) -> None:
        with open_base(one.path) as base:
            stepped = train(base, FLAT, replace(plan, max_steps=1), teacher=teacher)
            self.losses = train(base, FLAT, replace(plan, max_steps=2), teacher=teacher).losses
            self.pages = [paged(one, base.tokenizer, base.template, plan.max_tokens) for one in FLAT]
        for file, content in stepped.files.items():
            (folder / file).write_bytes(content)
        self.base = one.network
        self.stepped = PeftModel.from_pretrained(copy.deepcopy(one.network), folder).merge_and_unload()
        self.tokenizer = AutoTokenizer.from_pretrained(one.path)
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.options = {"output_dir": str(folder), "report_to": "none", "use_cpu": True, "bf16": False, "max_steps": 1}


def unhashed(rows: Iterable[dict[str, Any]]) -> Any:
    """A dataset that is read as it is; others are pickled for a name."""
    return datasets.IterableDataset(datasets.iterable_dataset.ExamplesIterable(lambda: enumerate(rows), {}))


def labelled(text: Text) -> dict[str, list[int]]:
    return {"input_ids": list(text.ids), "labels": [-100] * text.begin + list(text.ids[text.begin :])}


def paired(one: Pages) -> dict[str, list[int]]:
    assert one.rejected is not None
    return {
        "prompt_ids": list(one.answer.ids[: one.answer.begin]),
        "chosen_ids": list(one.answer.ids[one.answer.begin :]),
        "rejected_ids": list(one.rejected.ids[one.rejected.begin :]),
    }


def test_of_answers(tiny: Callable[[str], Tiny], tmp_path: Path) -> None:
    ours = Setting(tiny("llama"), PLAN, None, tmp_path)
    rows = [labelled(one.answer) for one in ours.pages]
    for model, loss in zip((ours.base, ours.stepped), ours.losses, strict=True):
        config = trl.SFTConfig(**ours.options, dataset_kwargs={"skip_prepare_dataset": True})
        trainer = trl.SFTTrainer(
            copy.deepcopy(model), config, train_dataset=unhashed(rows), processing_class=ours.tokenizer
        )
        theirs = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
        assert loss == pytest.approx(theirs.item(), abs=1e-5)
    assert ours.losses[1] < ours.losses[0] - 0.05


def test_of_preferences(tiny: Callable[[str], Tiny], tmp_path: Path) -> None:
    ours = Setting(tiny("qwen2"), replace(PLAN, method="dpo"), None, tmp_path)
    for model, loss in zip((ours.base, ours.stepped), ours.losses, strict=True):
        trainer = trl.DPOTrainer(
            copy.deepcopy(model),
            ref_model=copy.deepcopy(ours.base),
            args=trl.DPOConfig(**ours.options, beta=PLAN.beta),
            train_dataset=unhashed([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
            processing_class=ours.tokenizer,
        )
        theirs = trainer.compute_loss(trainer.model, trainer.data_collator([paired(one) for one in ours.pages]))
        assert loss == pytest.approx(theirs.item(), abs=1e-5)
    assert ours.losses[1] < ours.losses[0] - 0.01


def test_of_a_teachers_expectations(tiny: Callable[[str], Tiny], tmp_path: Path) -> None:
    from trl.experimental.gkd import GKDTrainer

    teacher = tiny("llama-untied")
    ours = Setting(tiny("llama"), replace(PLAN, method="distill"), teacher.path, tmp_path)
    for model, loss in zip((ours.base, ours.stepped), ours.losses, strict=True):
        parts = []
        for one in ours.pages:
            ids, learned = torch.tensor([one.answer.ids]), slice(one.answer.begin - 1, -1)
            with torch.inference_mode():
                parts.append([network(ids).logits[0, learned] for network in (model, teacher.network)])
        student, master = (torch.cat(one)[None] for one in zip(*parts, strict=True))
        labels = torch.zeros(student.shape[:2], dtype=torch.int64)
        theirs = GKDTrainer.generalized_jsd_loss(student, master, labels, beta=0, temperature=PLAN.temperature)
        assert loss == pytest.approx(theirs.item(), abs=1e-5)
    assert ours.losses[1] < ours.losses[0]

"""The promise on the sample, for two seeds; `benchmarks/wheel.py` does fifty."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.flywheel import NO_EXAMPLES, Budget


@pytest.fixture(scope="module")
def wheel() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "wheel.py"
    spec = importlib.util.spec_from_file_location("benchmark_wheel", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("arm", "seed", "promoted"),
    [
        ("true", 4, True),
        ("true", 5, True),
        ("shuffled", 4, False),
        ("shuffled", 5, False),
        ("drill", 4, False),
        ("resample", 4, False),
    ],
)
def test_only_true_corrections_pass_the_gate(wheel: ModuleType, arm: str, seed: int, promoted: bool) -> None:
    learnable = AnswerLearnable(lambda: wheel.KNOWN)
    came = wheel.judged(learnable, learnable.train(NO_EXAMPLES, Budget(), 0), arm, seed)
    assert came.promoted is promoted, wheel.line(came)

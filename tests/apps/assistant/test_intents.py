"""What people want of what they write: labels become examples, the ladder reads, defers, and says what it costs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.bootstrap.embedding import home_embedder
from ikkan.bootstrap.platform import Platform
from ikkan.flywheel import NO_EXAMPLES, Budget, Examples, Fitted
from ikkan.flywheel.gate import Champion, Terms, turn
from ikkan.ground.errors import BadFile, NotFound, SetupNeeded
from ikkan.kit.intent import Labelled, Meant, as_examples, read_labelled, report
from ikkan.kit.intent.fit import FOLDS, folds, multinomial, sure_from
from ikkan.kit.intent.labels import agreed
from ikkan.kit.intent.ladder import Asked, Floats, Index, Ladder, Step, tempered
from ikkan.kit.taught import Embed
from ikkan.models.store import ModelStore

from .conftest import Desk, thumb

HOUSE = Path(__file__).parents[3]
INTENTS = {
    "card": ("card", "plastic", "pin", "chip"),
    "refund": ("refund", "money back", "reimburse", "chargeback"),
    "transfer": ("transfer", "wire", "iban", "payee"),
    "有給": ("有給休暇", "お休み", "年休", "代休"),
}
FRAMES = (
    "what about my {}", "is the {} {} now", "{} please", "why has the {} {}", "tell me of {}",
    "when will {} come", "the {} was {}", "how do i get {}", "no {} yet", "i need {} {}",
)  # fmt: skip
FILLERS = ("late", "wrong", "here", "gone", "today", "again", "broken", "pending", "missing", "done")


def generated(n: int, seed: int, noise: float = 0.0) -> list[Labelled]:
    """Small talk about four matters; a share `noise` of it says nothing of what it is about."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        intent = tuple(INTENTS)[number % len(INTENTS)]
        vague = rng.random() < noise
        word = "it" if vague else str(rng.choice(INTENTS[intent]))
        frame, filler = str(rng.choice(FRAMES)), str(rng.choice(FILLERS))
        rows.append(Labelled(f"{frame.format(word, filler)} {rng.integers(10_000)}", intent))
    return rows


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A stand-in embedder: near for texts of one matter."""
    vectors = np.array([[any(w in t for w in words) for words in INTENTS.values()] for t in texts], dtype=np.float32)
    vectors = np.concatenate([vectors, np.full((len(texts), 1), 0.2, np.float32)], axis=1)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def label(intent: str) -> dict[str, object]:
    return {"kind": "label", "after": intent}


def trained(rows: Sequence[Labelled], seed: int = 0) -> tuple[IntentLearnable, Fitted]:
    learnable = IntentLearnable(embed=embed)
    return learnable, learnable.train(as_examples(rows), Budget(), seed)


# --- events become examples -------------------------------------------------------------------------------------------


def seen(desk: Desk) -> Examples:
    return IntentLearnable().examples(desk.events, desk.now())


def test_a_label_says_what_was_meant_and_the_latest_counts(desk: Desk) -> None:
    desk.ask("where is it", label("card"), label(" refund "))
    assert seen(desk).truths == (Meant("refund"),)
    assert seen(desk).teaches.tolist() == [True]


def test_an_intent_that_nobody_contradicts_judges_and_does_not_teach(desk: Desk) -> None:
    desk.ask("where is it")
    desk.events.events[0].payload["facts"]["intent"] = "card"
    assert seen(desk).truths == (Meant("card", silent=True),)
    assert seen(desk).teaches.tolist() == [False]


@pytest.mark.parametrize("reactions", [[], [thumb(1)], [label("  ")]], ids=["silence", "a thumb", "an empty label"])
def test_what_names_no_intent_is_no_example(desk: Desk, reactions: list[dict[str, object]]) -> None:
    desk.ask("where is it", *reactions)
    assert len(seen(desk)) == 0


def test_a_label_is_no_word_about_the_answer(desk: Desk, known: Callable[[], Sequence[object]]) -> None:
    from ikkan.apps.assistant.learn import AnswerLearnable

    desk.ask("暗証を忘れた", label("card"), shown="k1-ja")
    (truth,) = AnswerLearnable(known).examples(desk.events, desk.now()).truths  # type: ignore[arg-type]
    assert truth.silent


def test_of_people_who_contradict_each_other_the_most_are_heard(desk: Desk) -> None:
    for who, said in (("ada", "card"), ("bob", "card"), ("eve", "refund"), ("eve", "refund"), ("eve", "refund")):
        desk.ask("Where is it?", label(said), subject=who)
    assert {meant.intent for meant in agreed(seen(desk)).truths} == {"card"}


# --- labelled files ---------------------------------------------------------------------------------------------------


def test_a_labelled_file_is_read_with_its_line_breaks(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('\ufefftext,category,more\n"one,\ntwo",a,x\nthree, b ,\n', encoding="utf-8")
    assert read_labelled(file) == (Labelled("one,\ntwo", "a"), Labelled("three", "b"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no columns text and category"),
        (b"words,label\na,b\n", "but words, label"),
        (b"text,category\na,x\n,y\n", "row 2 has no text"),
        (b"text,category\na,x\nb\n", "row 2 has no category"),
        (b"text,category\na,x\nb,y,z\n", "row 2 has too many columns"),
        (b'text,category\na,x\n"b,y\n', "row 2 cannot be read"),
        (b"text,category\na,x\nb,x\n", "fewer than two categories in 2 rows"),
        (b"text,category\n\xff,x\n", "is not UTF-8"),
        (b"text,category\na,x\nb," + b"y" * 300 + b"\n", "row 2 has a category longer than 200 letters"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(BadFile, match=says) as refused:
        read_labelled(file)
    assert refused.value.hint


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        read_labelled(tmp_path / "none.csv")


def test_rows_of_a_file_come_in_an_order_drawn_from_the_seed() -> None:
    rows = generated(40, 1)
    one, same, other = as_examples(rows, 1), as_examples(rows, 1), as_examples(rows, 2)
    assert one.digest() == same.digest() != other.digest()
    assert sorted(one.ids) == sorted(other.ids) and len(set(one.ids)) == len(rows)


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_same_examples_budget_and_seed_give_the_same_bytes() -> None:
    rows = generated(120, 1, noise=0.2)
    assert trained(rows)[1].files == trained(rows)[1].files


def test_a_ladder_reads_the_same_after_it_was_stored() -> None:
    learnable, fitted = trained(generated(120, 1, noise=0.2))
    asked = learnable.asked([row.text for row in generated(40, 2)])
    before, after = Ladder.load(fitted.files).read(asked), Ladder.load(dict(fitted.files)).read(asked)
    assert np.array_equal(before.intent, after.intent) and np.array_equal(before.probability, after.probability)


def test_no_text_stands_in_what_was_learned() -> None:
    _, fitted = trained([Labelled(f"secretword {row.text}", row.intent) for row in generated(60, 1)])
    assert not any("secretword" in content.decode("latin-1") for content in fitted.files.values())


def test_a_budget_in_seconds_takes_the_latest_examples() -> None:
    learnable = IntentLearnable()
    short = learnable.train(as_examples(generated(120, 1)), Budget(seconds=0.5), 0)
    assert short.facts["lessons"] == 50


@pytest.mark.parametrize("taught", [NO_EXAMPLES, as_examples(generated(40, 1)).take([0])], ids=["nobody", "one"])
def test_who_has_learned_nothing_defers_everything(taught: Examples) -> None:
    learnable = IntentLearnable()
    fitted = learnable.train(taught, Budget(), 0)
    judges = as_examples(generated(8, 2))
    assert learnable.score(fitted, judges).tolist() == [0.0] * 8
    assert {shown.answer for shown in learnable.show(fitted, judges)} == {None}


def test_spelling_alone_reads_intents_in_two_scripts() -> None:
    learnable = IntentLearnable()
    fitted = learnable.train(as_examples(generated(200, 1)), Budget(), 0)
    assert learnable.score(fitted, as_examples(generated(100, 2))).mean() > 0.9


def test_the_weights_are_where_the_slope_is_flat() -> None:
    rng = np.random.default_rng(0)
    table, means = rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 3, 60)
    weights = multinomial(table, means, 3, strength=1.0, turns=200).astype(np.float64)
    odds = tempered(table @ weights, 1.0)
    odds[np.arange(60), means] -= 1
    assert np.abs(table.T @ odds / 60 + weights / 60).max() < 1e-3


def test_every_text_is_in_one_fold_and_every_intent_in_all() -> None:
    rows = generated(60, 1)
    texts = [row.text for row in rows] * 2
    means = np.array([tuple(INTENTS).index(row.intent) for row in rows] * 2)
    fold = folds(texts, means, 0)
    assert np.array_equal(fold[:60], fold[60:])
    assert all(set(fold[means == at].tolist()) == set(range(FOLDS)) for at in range(len(INTENTS)))


def test_another_embedder_than_the_one_it_learned_with_is_refused() -> None:
    _, fitted = trained(generated(60, 1))
    with pytest.raises(SetupNeeded, match="width 5; here they have 0"):
        IntentLearnable().read(fitted, ["where is my card"])


# --- deferral ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_known_is_deferred_and_what_is_answered_is_right() -> None:
    learnable, fitted = trained(generated(1_200, 1, noise=0.3))
    found = report(learnable, fitted, as_examples(generated(800, 2, noise=0.3)), yen_an_hour=3.6)
    assert 0.6 < found.coverage < 0.75
    assert found.accuracy_answered >= 0.97
    assert found.accuracy < 0.9


def test_a_handful_of_examples_is_too_few_to_be_sure() -> None:
    learnable, fitted = trained(generated(24, 1))
    read = learnable.read(fitted, [row.text for row in generated(20, 2)])
    assert not read.answered(2).any()


def test_equal_probabilities_are_answered_together_or_not_at_all() -> None:
    probability, right = np.full(400, 0.8), np.array([1.0] * 390 + [0.0] * 10)
    assert sure_from(probability, right, 0, 0, 0.9) == 0.8
    assert sure_from(probability, right, 0, 0, 0.99) > 1


class Oracle:
    """A rung that knows one intent, and counts what it is asked."""

    def __init__(self, intent: int, sureness: float) -> None:
        self.intent, self.sureness, self.asked = intent, sureness, 0

    def logits(self, asked: Asked) -> Floats:
        self.asked += len(asked.texts)
        said = np.zeros((len(asked.texts), 2))
        said[:, self.intent] = [self.sureness if "sure" in text else 0.0 for text in asked.texts]
        return said

    def files(self) -> dict[str, bytes]:
        return {}


class OracleRecipe:
    """A rung above the bottom ones, as a language model would be."""

    name = "oracle"
    judged_folds = FOLDS

    def seconds(self, n: int) -> float:
        return 0.0

    def __init__(self) -> None:
        self.taught = 0

    def load(self, files: object) -> Oracle:
        return Oracle(0, 9.0)

    def fit(self, asked: Asked, means: Index, intents: int, seed: int) -> Oracle:
        self.taught = max(self.taught, len(asked.texts))
        return Oracle(0, 9.0)


def test_a_rung_sees_only_what_those_below_deferred() -> None:
    low, high = Oracle(0, 9.0), Oracle(1, 9.0)
    ladder = Ladder(("a", "b"), (Step("low", low, 1.0, 1.0, 0.9), Step("high", high, 1.0, 1.0, 0.9)), width=0)
    read = ladder.read(Asked(("sure", "who knows", "sure too"), np.zeros((3, 0), np.float32)))
    assert (low.asked, high.asked) == (3, 1)
    assert read.step.tolist() == [0, 2, 0] and read.answered(2).tolist() == [True, False, True]


def test_a_rung_may_be_put_above_the_bottom_ones() -> None:
    two = [row for row in generated(120, 1) if row.intent in ("card", "refund")]
    above = OracleRecipe()
    learnable = IntentLearnable(embed=embed, above=[above])
    fitted = learnable.train(as_examples(two), Budget(), 0)
    assert above.taught == len(two)
    assert [step.name for step in learnable.ladder(fitted).steps] == ["nearest", "linear", "oracle"]


# --- worth ------------------------------------------------------------------------------------------------------------


def test_a_right_answer_costs_what_its_rung_took() -> None:
    learnable, fitted = trained(generated(600, 1, noise=0.1))
    ticks = count()
    found = report(
        learnable, fitted, as_examples(generated(100, 2)), yen_an_hour=3600.0, timer=lambda: float(next(ticks))
    )
    nearest, linear = found.rungs
    assert (nearest.seconds, nearest.yen, linear.seconds) == (2.0, 2.0, 1.0)
    assert nearest.yen_per_success == pytest.approx(2.0 / nearest.right)
    assert sum(rung.answered for rung in (*found.rungs, found.deferred)) == found.texts == 100
    assert asdict(found)["accuracy"] == found.accuracy


def test_the_gate_promotes_what_learned_and_refuses_what_was_shuffled() -> None:
    learnable = IntentLearnable(embed=embed)
    base = Champion(learnable.train(NO_EXAMPLES, Budget(), 0))
    examples = as_examples(generated(400, 3, noise=0.1))
    terms = Terms()
    came = turn(learnable, examples, base, seed=0, terms=terms)
    assert came.gain is not None and came.gain.lower > 0
    assert came.candidate_score is not None and came.candidate_score > 0.85
    baselines = {contest.name: contest for contest in came.baselines}
    assert baselines["majority"].gain.lower > 0
    shuffled = turn(learnable, examples.shuffled(0), base, seed=0, terms=terms)
    assert not shuffled.promoted


def test_the_house_turns_this_wheel_too(platform: Platform) -> None:
    champion = platform.flywheel.ensure_champion("assistant.intent")
    decision = platform.flywheel.run("assistant.intent")
    assert (decision.code, decision.champion) == ("nothing_said", champion)


# --- BANKING77 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def banking() -> tuple[Labelled, ...]:
    """Its train file, beside the repository or where IKKAN_TEST_DATA says."""
    root = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    file = root / "shop" / "banking77" / "train.csv"
    if not file.is_file():
        pytest.skip(f"the data set BANKING77 is not here: {file}; set IKKAN_TEST_DATA to the folder that has it")
    return read_labelled(file)


@pytest.fixture
def minilm(tmp_path: Path) -> Embed:
    """The default embedder, or skip the test."""
    given = os.environ.get("IKKAN_TEST_MODELS")
    homes = [HOUSE / ".cache" / "test-home", HOUSE / ".ikkan", Path.home() / ".ikkan"]
    for root in [Path(given)] if given else [home / "models" for home in homes]:
        if found := home_embedder(ModelStore(root), tmp_path / "device.lease"):
            return found
    pytest.skip("the default embedder is not here; `make test-setup` fetches it")


@pytest.mark.weights
def test_ten_intents_of_banking77_are_read_and_the_unsure_ones_deferred(
    banking: tuple[Labelled, ...], minilm: Embed
) -> None:
    ten = sorted({row.intent for row in banking})[:10]
    examples = as_examples([row for row in banking if row.intent in ten], 0)
    taught, judges = examples.take(np.arange(600)), examples.take(np.arange(600, 900))
    learnable = IntentLearnable(embed=minilm)
    found = report(learnable, learnable.train(taught, Budget(), 0), judges, yen_an_hour=2.0)
    assert found.accuracy >= 0.93
    assert found.coverage >= 0.7 and found.accuracy_answered >= 0.97


def test_a_home_without_the_model_has_no_embedder(tmp_path: Path) -> None:
    assert home_embedder(ModelStore(tmp_path), tmp_path / "device.lease") is None

"""What comes next: the served arithmetic is the trained one, new items and new people have a place at once."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from ikkan.apps.shop.learn.next_item.dial import Dial, Shape
from ikkan.apps.shop.learn.next_item.training import Trained, train
from ikkan.apps.shop.rules.next_item import Covisits, NextItem, Popularity, Recommender
from ikkan.ground.errors import BadFile, NothingToLearn, UnsupportedFormat

ITEMS = 30
COLOURS = ("red", "green", "blue")


def walks(people: int = 150, *, seed: int = 0) -> list[np.ndarray]:
    """People who walk through the items in steps of one, now and then somewhere else."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(people):
        jumps = np.where(generator.random(generator.integers(4, 9)) < 0.1, generator.integers(ITEMS), 1)
        made.append((generator.integers(ITEMS) + np.cumsum(jumps)) % ITEMS)
    return made


def steps_known(model: NextItem) -> float:
    """Of walks of three steps, the share whose next step is the best item not yet seen."""
    histories = [np.arange(at, at + 3) for at in range(20)]
    scores = model.encode_many(histories) @ model.vectors.T
    scores[np.arange(20)[:, None], np.stack(histories)] = -np.inf
    return float((scores.argmax(axis=1) == np.arange(20) + 3).mean())


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(
        walks(),
        items=[f"P{row}" for row in range(ITEMS)],
        attributes=[{"colour": COLOURS[row % 3]} for row in range(ITEMS)],
        settings=Dial(size=1),
        seed=1,
    )


def test_the_next_step_of_a_walk_is_learnt(trained: Trained) -> None:
    assert steps_known(trained.model) > 0.8


def test_numpy_says_what_torch_says() -> None:
    torch = pytest.importorskip("torch")
    from ikkan.apps.shop.learn.next_item.tensors import Network, pack
    from ikkan.apps.shop.rules.next_item.encoder import Encoder, gap_steps

    torch.manual_seed(5)
    network = Network(Shape(items=200, width=32, blocks=3, heads=4, inner=48, longest=16)).eval()
    with torch.no_grad():
        for each in network.parameters():
            each.add_(torch.randn_like(each) * 0.2)
    generator = np.random.default_rng(5)
    histories = [generator.integers(0, 200, length) for length in (1, 2, 3, 5, 8, 13, 16, 16)]
    ages = [np.sort(generator.random(len(each)) * 1e6)[::-1] for each in histories]
    kinds = [generator.integers(0, 8, len(each)) for each in histories]
    with torch.no_grad():
        vectors = network.vectors()
        states = network(pack(histories, [gap_steps(each) for each in ages], kinds, 16), vectors)
        wanted = states[np.cumsum([len(each) for each in histories]) - 1].numpy()
    weights = {name: value.numpy() for name, value in network.state_dict().items() if name != "items"}
    encoder = Encoder(weights, heads=4, blocks=3, longest=16, timed=True, kinded=True)
    found = encoder.states(vectors.detach().numpy(), histories, kinds, ages)
    assert np.abs(found - wanted).max() < 1e-4


def test_a_history_alone_and_among_others_has_one_state(trained: Trained) -> None:
    histories = walks(40, seed=9)
    together = trained.model.encode_many(histories)
    alone = np.stack([trained.model.encode(each.astype(np.int32)) for each in histories])
    assert np.abs(together - alone).max() < 1e-5


def test_only_the_latest_events_are_looked_at(trained: Trained) -> None:
    longest = trained.model.encoder.longest
    long = np.arange(300, dtype=np.int32) % ITEMS
    assert np.allclose(trained.model.encode(long), trained.model.encode(long[-longest:]), atol=1e-6)


def test_without_a_history_the_state_is_nothing_and_scores_are_what_is_wanted(trained: Trained) -> None:
    none = np.zeros(0, dtype=np.int32)
    assert not trained.model.encode(none).any()
    assert np.argmax(trained.recommender.scores(none)) == np.argmax(trained.recommender.popularity.counts)


def test_an_item_never_seen_lies_near_its_like(trained: Trained) -> None:
    placed = trained.model.place({"colour": "green", "unheard": "of"})
    others = {colour: trained.model.place({"colour": colour}) for colour in COLOURS}
    assert np.array_equal(placed, others["green"])
    assert placed.any() and not np.array_equal(placed, others["red"])


def test_an_item_of_which_nothing_is_known_lies_in_the_middle(trained: Trained) -> None:
    assert np.allclose(trained.model.place({}), trained.model.vectors.mean(axis=0))


def test_an_item_put_in_now_is_scored_now_and_counted_from_its_first_event(trained: Trained) -> None:
    now = Recommender.from_files(trained.recommender.to_files()).grown({"new": {"colour": "red"}, "plain": {}})
    assert now.model.item_ids[-2:] == ("new", "plain")
    here = np.array([3, 4], dtype=np.int32)
    before = now.scores(here)
    assert before.shape == (ITEMS + 2,)
    now.covisits.see([3, 4], ITEMS, 0.0)
    assert len(now.covisits.scores(here)[0]) > len(trained.recommender.covisits.scores(here)[0])


def test_files_hold_the_whole_model(trained: Trained) -> None:
    again = NextItem.from_files(trained.model.to_files())
    history = np.array([3, 4, 5], dtype=np.int32)
    assert np.array_equal(again.encode(history), trained.model.encode(history))
    assert np.array_equal(again.place({"colour": "red"}), trained.model.place({"colour": "red"}))
    assert again.item_ids == trained.model.item_ids
    whole = Recommender.from_files(trained.recommender.to_files())
    assert np.array_equal(whole.scores(history), trained.recommender.scores(history))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("next_item.npz", b"no archive"),
        ("next_item.npz", b"PK\x03\x04 cut short"),
        ("covisits.npz", b"none"),
        ("popularity.npz", b"none"),
        ("blend.npy", b""),
        ("next_item.json", b"{"),
        ("next_item.json", b"[]"),
        ("next_item.json", b'{"version": 1}'),
    ],
)
def test_other_files_are_refused(trained: Trained, name: str, content: bytes) -> None:
    with pytest.raises(BadFile):
        Recommender.from_files({**trained.recommender.to_files(), name: content})


def test_a_later_format_is_refused_by_name(trained: Trained) -> None:
    with pytest.raises(UnsupportedFormat, match="version 9"):
        NextItem.from_files({**trained.model.to_files(), "next_item.json": b'{"version": 9}'})


def test_one_seed_makes_one_model() -> None:
    one, other = (train(walks(40), items=ITEMS, settings=Dial(size=1), seed=3) for _ in range(2))
    assert np.array_equal(one.model.vectors, other.model.vectors)


def test_a_sampled_softmax_learns_the_same_walk() -> None:
    @dataclasses.dataclass(frozen=True)
    class Sampling(Dial):
        def recipe(self, events: int, items: int):  # type: ignore[no-untyped-def]
            return dataclasses.replace(super().recipe(events, items), sampled=12)

    assert steps_known(train(walks(), items=ITEMS, settings=Sampling(size=1), seed=1).model) > 0.8


def test_a_budget_ends_training_in_time_for_one_epoch() -> None:
    assert train(walks(40), items=ITEMS, settings=Dial(size=1), budget_s=1e-6).facts["epochs"] == 1


def test_times_are_learnt_from() -> None:
    generator = np.random.default_rng(0)
    histories, times = [], []
    for _ in range(600):
        slow = generator.random(6) < 0.5
        # Who comes back late goes two on, who comes soon goes one on.
        steps = np.where(slow, 2, 1)
        histories.append((generator.integers(ITEMS) + np.concatenate([[0], np.cumsum(steps)])) % ITEMS)
        times.append(np.concatenate([[0.0], np.cumsum(np.where(slow, 1e5, 2.0))]))
    model = train(histories, items=ITEMS, times=times, settings=Dial(size=1), seed=1).model
    here = np.array([9, 10], dtype=np.int32)
    soon, late = (model.encode(here, ages_s=np.array([2.0 + age, age])) @ model.vectors.T for age in (2.0, 1e5))
    assert soon[11] - soon[12] > late[11] - late[12]
    assert (soon.argmax(), late.argmax()) == (11, 12)


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(NothingToLearn):
        train([[1], [2]], items=3)


def test_what_follows_is_counted_in_its_direction_and_near_before_far() -> None:
    counts = Covisits(10)
    for _ in range(5):
        for at, row in enumerate((1, 2, 3)):
            counts.see([1, 2, 3][:at], row, 0.0)
    rows, values = counts.scores([2])
    after = dict(zip(rows.tolist(), values.tolist(), strict=True))
    assert after[3] > 2 * after[1] > 0
    rows, values = counts.scores([1])
    after = dict(zip(rows.tolist(), values.tolist(), strict=True))
    assert after[2] > after[3] > 0


def test_counting_one_by_one_and_all_at_once_agree() -> None:
    histories = walks(30)
    one, all_ = Covisits(ITEMS), Covisits(ITEMS)
    all_.see_all(histories)
    for each in histories:
        for at in range(len(each)):
            one.see(each[:at], int(each[at]), 0.0)
    for row in range(ITEMS):
        assert np.allclose(np.sort(one.values[row]), np.sort(all_.values[row]), atol=1e-4)


def test_memory_of_followers_is_bounded_and_the_weakest_gives_way() -> None:
    counts = Covisits(100, followers=4)
    for row, _ in itertools.product(range(1, 5), range(3)):
        counts.see([0], row, 0.0)
    counts.see([0], 50, 0.0)
    assert counts.rows.shape == (100, 4)
    assert set(counts.rows[0].tolist()) - {1, 2, 3, 4} == {50}


def test_what_is_wanted_fades() -> None:
    wanted = Popularity(2, half_life_s=10.0)
    for _ in range(3):
        wanted.see(0, 0.0)
    wanted.see(1, 1000.0)
    assert np.argmax(wanted.shares()) == 1
    assert np.isfinite(wanted.shares()).all()


def test_items_that_came_since_have_room() -> None:
    counts, wanted = Covisits(2), Popularity(2)
    counts.grow(3)
    wanted.grow(3)
    counts.see([0], 2, 0.0)
    wanted.see(2, 0.0)
    assert counts.scores([0])[0].tolist() == [2]
    assert np.argmax(wanted.shares()) == 2

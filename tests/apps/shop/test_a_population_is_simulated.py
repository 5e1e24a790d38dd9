"""People who are made drive the real service; the same seed gives the same, and every policy meets the same people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from ikkan.apps.shop.rules.population import Population, wares_of
from ikkan.apps.shop.service.simulating import Recorded, simulate
from ikkan.cli.shop import shop_app


def test_what_somebody_does_depends_on_the_seed_the_person_the_step_and_the_list() -> None:
    town, again = (Population.made(3, 5, [row % 4 for row in range(40)]) for _ in range(2))
    acts = [town.acts(person, step, (1, 2, 3), set()) for person in range(5) for step in range(20)]
    assert acts == [again.acts(person, step, (1, 2, 3), set()) for person in range(5) for step in range(20)]
    assert len({(act.clicked, act.alone) for act in acts}) > 5
    assert {town.mood(0, step) for step in range(40)} > {-1}
    assert not np.allclose(town.wants(0, 0), town.wants(0, 30))


def test_a_policy_that_knows_what_is_wanted_next_is_clicked_more() -> None:
    crowd = Recorded([[0, 1, 2, 3, 4, 5]] * 3, seed=0)
    acted = [crowd.acts(0, 1, rows, {0}) for rows in ([1, 5], [4, 5])]
    assert acted[0].clicked == 0 and (acted[1].clicked, acted[1].alone) == (-1, 1)
    assert crowd.acts(0, 9, [1], set()).alone == -1


def test_policies_are_compared_on_the_same_people() -> None:
    wares, kinds = wares_of(1, 60, kinds=4)
    found = [
        simulate(wares, Population.made(1, 6, kinds), steps=6, seed=1, policies=("popular", "model")) for _ in range(2)
    ]
    assert found[0] == found[1]
    popular, model = found[0]
    assert popular.lists == model.lists == 36
    assert popular.over_first.value == 0.0
    assert model.coverage > 0 and popular.click_rate.low <= popular.click_rate.value <= popular.click_rate.high


def test_the_command_says_it_as_json_for_people_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "people.txt"
    file.write_text("".join(f"{person} {' '.join(str((person + at) % 9) for at in range(6))}\n" for person in range(4)))
    given = ["simulate", "--interactions", str(file), "--steps", "4", "--policy", "popular", "--json"]
    done = CliRunner().invoke(shop_app, given)
    told = json.loads(done.stdout)
    assert (told["people"], told["wares"], told["policies"][0]["policy"]) == (4, 7, "popular")

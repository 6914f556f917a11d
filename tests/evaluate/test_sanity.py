"""The meter can fail: each bad game gets the bad score it deserves, and the game itself the perfect one."""

import numpy as np
import pytest

from aapt_env import checkpoint
from aapt_env.evaluate import meter, rollouts, sanity
from aapt_env.evaluate.run import main, twin_metrics

LENGTH, SECONDS = 18, 3.0


@pytest.fixture(scope="module")
def played(world, taught):
    """(checkpoint, meter, fakes) of the sliding game."""
    loaded, eye = checkpoint.read(world), meter.load(taught)
    twin, _ = rollouts.find_game(loaded.spec)
    return loaded, eye, sanity.fakes(twin, loaded.starts, LENGTH, 5, eye.mask)


@pytest.fixture(scope="module")
def found(played):
    """Metrics of each bad game."""
    loaded, eye, fakes = played
    parts = sanity.figures_of(fakes, loaded.spec.k, eye.mask, eye)
    return {n: twin_metrics(p, loaded.spec, SECONDS, eye) for n, p in parts.items()}


def worst(metrics, metric):
    return min(cell["value"] for cell in metrics[metric].values())


def test_every_bad_game_scores_badly_and_the_game_itself_perfectly(found):
    lines = sanity.verdicts(found)
    assert len({line.world for line in lines}) == 6 and len(lines) >= 22
    assert [line for line in lines if not line.good] == []


def test_a_control_that_only_the_dashboard_obeys_is_not_obeyed(found, played):
    """The strip still shows every key; only what the meter may not look at."""
    fakes = played[2]
    frozen = fakes.worlds["frozen road"]
    np.testing.assert_array_equal(frozen[:, :, 56:], fakes.game[:, :, 56:])
    assert worst(found["frozen road"], "control_accuracy_game") > 0.75
    assert max(c["value"] for c in found["frozen road"]["control_accuracy_dream"].values()) <= 0.5


def test_a_meter_that_is_fooled_is_told_so(found):
    """The proof itself can fail: the perfect game in a bad one's place."""
    for world in sanity.EXPECTED:
        if world != "the game itself":
            swapped = found | {world: found["the game itself"]}
            assert any(not line.good for line in sanity.verdicts(swapped)), world
    swapped = found | {"the game itself": found["blurred"]}
    assert any(not line.good for line in sanity.verdicts(swapped))


def test_the_command_proves_it_and_says_so(world, taught, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = f"--checkpoint {world} --meter {taught} --sanity --count 4 --seconds 3 --out {tmp_path}"
    assert main(words.split()) == 0
    out = capsys.readouterr().out
    assert "shuffled controls" in out and "FAIL" not in out
    assert (tmp_path / "sanity.json").is_file()

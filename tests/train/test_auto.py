"""Recipe auto: what it picks fits the time, and it says so before it begins."""

import json

import pytest

from aapt_env.spec import ControlSpec, WorldSpec
from aapt_env.train import auto
from aapt_env.train.recipes import STAGES, recipe
from aapt_env.train.run import train

LADDER = ((32, 1, 2, (8, 16)), (48, 2, 2, (8, 16)))
SPEC = WorldSpec(
    game="tiny", height=32, width=48, control=ControlSpec(space="Discrete", size=3), k=2
)


@pytest.fixture
def clock(monkeypatch):
    """Updates take what they are said to: seconds per update by the width of the generator."""
    took = {32: 0.01, 48: 1.0}

    def measure(recipe, spec, device, deadline):
        return auto.Measure(
            recipe, dict.fromkeys(auto.NEEDS, took[recipe.dim]), {"generator": 4_000_000, "VAE": 1}
        )

    monkeypatch.setattr(auto, "measure", measure)
    return took


def test_the_largest_size_that_fits_the_time(clock, dataset, rolling):
    needs = sum(auto.NEEDS.values())
    small = auto.plan(rolling, dataset, 0.5 * needs, "cpu", LADDER)
    large = auto.plan(rolling, dataset, 1.2 * needs, "cpu", LADDER)
    assert (small.recipe.dim, large.recipe.dim) == (32, 48)
    for plan, budget in ((small, 0.5 * needs), (large, 1.2 * needs)):
        r = plan.recipe
        assert sum(getattr(r, stage).share for stage in STAGES) == pytest.approx(1)
        assert r.budget == pytest.approx(budget) and "there already" in str(plan)
        for stage in auto.NEEDS:
            assert getattr(r, stage).share * r.budget / plan.seconds[stage] >= auto.NEEDS[stage]
    assert "at least as good as the shipped world" in str(large)


def test_too_little_time_is_told(clock, dataset, rolling):
    plan = auto.plan(rolling, dataset, 5.0, "cpu", LADDER)
    assert plan.recipe.dim == 32 and "expected   a blur" in str(plan)


def test_a_real_measure_of_any_frame_and_rhythm():
    device = auto.pick("cpu")
    base = auto._recipe(SPEC, 2_000, 60.0, LADDER[0], device)
    found = auto.measure(base, SPEC, device, deadline=0)
    assert base.frame == (32, 48) and base.k == 2
    assert set(found.seconds) == set(auto.NEEDS) and min(found.seconds.values()) > 0


def test_frames_that_fit_memory_and_time():
    assert auto._frames(SPEC, 100, 7200, 2**40) == 72_000
    assert auto._frames(SPEC, 1e6, 7200, 2**40) == 400_000
    assert auto._frames(SPEC, 1e6, 7200, 2 * 32 * 48 * 3 * 50_000) == 50_000


def test_dry_run_prints_and_writes_nothing(clock, dataset, rolling, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(clock, 256, 0.1)  # the ladder's own sizes
    monkeypatch.setitem(clock, 320, 9.0)
    train(rolling, "auto", data=dataset, out=tmp_path / "run", dry_run=True, device="cpu")
    out = capsys.readouterr().out
    assert "machine" in out and "diffusion" in out and "expected" in out
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="--dry-run shows the plan of --recipe auto"):
        train(rolling, "cpu", data=dataset, out=tmp_path / "run", dry_run=True)


def test_a_run_goes_on_with_the_recipe_that_it_was_begun_with(trained):
    mark = trained / "run.json"
    again = auto.recipe_of(mark)
    assert (again.dim, again.diffusion.steps, again.long.leads) == (32, 2, (0, 4))
    (broken := trained.parent / "broken.json").write_text(json.dumps({"recipe": {"dim": 3}}))
    with pytest.raises(ValueError, match="is damaged"):
        auto.recipe_of(broken)


def test_recipes_of_ones_own(monkeypatch, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from aapt_env.train.recipes import smoke as own\n"
        "def none(): return 3\ndef broken(): return 1 / 0\ndef leaving(): raise SystemExit(0)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert recipe("mine:own").name == "smoke"
    with pytest.raises(ValueError, match="gives int; expected a Recipe"):
        recipe("mine:none")
    for name, said in (
        ("broken", "ZeroDivisionError: division by zero"),
        ("leaving", "SystemExit: 0"),
    ):
        with pytest.raises(
            ValueError, match=f"recipe 'mine:{name}' failed: {said}; expected a fun"
        ):
            recipe(f"mine:{name}")
    (tmp_path / "unfinished.py").write_text("raise NotImplementedError('later')")
    with pytest.raises(ValueError, match="'unfinished:own' failed .*: NotImplementedError: later"):
        recipe("unfinished:own")
    with pytest.raises(
        ValueError, match="there are smoke, tiny, cpu, gpu, h100, auto, and module:function"
    ):
        recipe("huge")

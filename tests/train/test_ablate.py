"""The ablation: every variant trains and is examined, rows are kept, and what is undone is undone."""

import dataclasses
import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from aapt_env.ablate import run as module
from aapt_env.ablate.run import Settings, ablate
from aapt_env.ablate.variants import QUESTIONS, VARIANTS, WithoutRecycling, choose
from aapt_env.model.cache import GrowingCache, RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.adversarial import Adversarial
from aapt_env.train.loop import NonFinite

SETTINGS = Settings(recipe="smoke", updates=2, base_seconds=5, count=2, seconds=2)


@pytest.fixture(scope="module")
def table(trained, dataset, rolling, tmp_path_factory):
    """The folder of an ablation of some variants, which tests read and do not change."""
    import sys

    out = tmp_path_factory.mktemp("ablate")
    names = ("diffusion-only", "full", "no-recycling", "both-critics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        assert ablate(rolling, SETTINGS, names, trained, dataset, out, "cpu")
    return out


def test_a_row_a_chart_and_a_strip_per_variant(table):
    rows = json.loads((table / "results.json").read_text())["rows"]
    assert set(rows) == {"diffusion only", "full", "no recycling", "both critics"}
    for row in rows.values():
        assert {"0-1s", "1-2s"} <= set(row["metrics"]["twin_psnr"])
    text = (table / "ablations.md").read_text()
    assert text.count("\n| ") == 5, "a heading and four rows"
    assert (table / "sheet.png").is_file() and (table / "full.png").is_file()
    names = ("full", "no-recycling", "both-critics")
    ends = [load_file(table / name / "state.safetensors") for name in names]
    leave = [end["module/generator/leave.weight"] for end in ends]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(leave, 2))


def test_the_same_command_goes_on(table, trained, dataset, rolling, tmp_path, monkeypatch, capsys):
    """What is in the table is not trained again; settings must be the same."""
    before = (table / "results.json").read_text()
    monkeypatch.setattr(module.loop, "train", lambda *a: pytest.fail("trained again"))
    assert ablate(rolling, SETTINGS, ("full",), trained, dataset, table, "cpu")
    assert (table / "results.json").read_text() == before
    other = dataclasses.replace(SETTINGS, updates=3)
    with pytest.raises(ValueError, match="begun with updates 2, now it is 3"):
        ablate(rolling, other, (), trained, dataset, table, "cpu")


def test_a_time_limit_stops_and_a_breakdown_is_a_result(
    trained, dataset, rolling, tmp_path, monkeypatch, capsys
):
    assert not ablate(rolling, SETTINGS, ("full",), trained, dataset, tmp_path, "cpu", 1e-6)
    assert "stopped by the time limit in full" in capsys.readouterr().out
    train = module.loop.train

    def broken(stage, run):
        if run.folder.name == "no-R1-and-R2":
            raise NonFinite("critic loss is inf")
        return train(stage, run)

    monkeypatch.setattr(module.loop, "train", broken)
    assert ablate(rolling, SETTINGS, ("full", "no-R1-and-R2"), trained, dataset, tmp_path, "cpu")
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert rows["no R1 and R2"]["failed"] == "critic loss is inf" and rows["full"]["metrics"]
    assert "broke down" in (tmp_path / "ablations.md").read_text()


@pytest.mark.parametrize("bad", [dict(updates=0), dict(count=1), dict(seconds=1.0)])
def test_settings_that_measure_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="expected --updates >= 1"):
        dataclasses.replace(SETTINGS, **bad)


def test_an_unknown_variant_and_a_run_without_a_vae_are_named(tmp_path, rolling):
    with pytest.raises(ValueError, match="unknown variant 'nonsense'; there are full, "):
        choose(("nonsense",))
    with pytest.raises(ValueError, match="starts from a run that is trained so far"):
        ablate(rolling, SETTINGS, (), tmp_path / "none", None, tmp_path / "out", "cpu")


def test_every_variant_differs_from_the_full_method_in_one_thing():
    full = Adversarial(share=1.0)
    for variant in VARIANTS[1:]:
        changed = full if variant.change is None else variant.change(full)
        differs = [
            f.name
            for f in dataclasses.fields(full)
            if getattr(full, f.name) != getattr(changed, f.name)
        ]
        if differs == ["leads", "overlap"]:
            differs = ["horizon"]
        others = (variant.begin != "consistency") + (variant.generator is not Generator)
        assert len(differs) + others + (variant.change is None) in (1, 2), variant.name
    asked = {name for names in QUESTIONS.values() for name in names}
    assert asked == {variant.name for variant in VARIANTS}


def test_without_recycling_only_the_start_is_seen_in_all_caches():
    config = TrunkConfig(
        channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,)
    )
    torch.manual_seed(0)
    made = WithoutRecycling(config, ControlSpec(space="MultiBinary", size=2)).double()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x, previous = torch.randn(2, 2, 5, 4, 4, 4, dtype=torch.float64)
    controls, scene = (
        torch.randn(2, 5, 4, 2, dtype=torch.float64),
        torch.zeros(2, 1, dtype=torch.int64),
    )
    t = torch.ones(2, 5, dtype=torch.float64)
    with torch.no_grad():
        masked = made(x, previous, controls, t, made.trunk.clip(scene, 5))
        other = previous.clone()
        other[:, 1:] += 1
        assert torch.equal(masked, made(x, other, controls, t, made.trunk.clip(scene, 5)))
        other[:, 0] += 1
        assert not torch.equal(masked, made(x, other, controls, t, made.trunk.clip(scene, 5)))
        for kind in (GrowingCache, RingCache):
            cache, found = kind(made.trunk.rope, made.trunk.scene(scene), 4), []
            for i in range(5):
                now = slice(i, i + 1)
                found.append(made(x[:, now], previous[:, now], controls[:, now], t[:, now], cache))
                cache.advance()
            torch.testing.assert_close(torch.cat(found, 1), masked, rtol=1e-9, atol=1e-9)


def test_a_source_that_is_trained_is_what_variants_begin_with(
    trained, dataset, rolling, tmp_path, monkeypatch
):
    """Diffusion and consistency are the source's; without recycling, its diffusion is trained on."""
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    settings = dataclasses.replace(SETTINGS, inherit=True)
    names = ("consistency-only", "no-recycling")
    assert ablate(rolling, settings, names, trained, dataset, tmp_path, "cpu")
    for name in module.BASE:
        mine, theirs = (
            load_file(place / name / "state.safetensors") for place in (tmp_path / "base", trained)
        )
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    other = tmp_path / "base-WithoutRecycling"
    before = int(module.state.read_meta(trained / "diffusion" / "state.safetensors")["step"])
    after = int(module.state.read_meta(other / "diffusion" / "state.safetensors")["step"])
    assert after == round(1.1 * before)
    ends = [load_file(p / "consistency" / "state.safetensors") for p in (tmp_path / "base", other)]
    assert not torch.equal(*(end["module/generator/leave.weight"] for end in ends))

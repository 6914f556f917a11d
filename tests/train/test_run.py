"""`aapt train`: from recordings to a world that plays, stopped and resumed anywhere, never overwriting by accident."""

import dataclasses
import errno
import json
import shutil
import time
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import aapt_env  # noqa: F401  registers the world
from aapt_env import checkpoint, cli
from aapt_env.data.episodes import Episodes
from aapt_env.train import publish
from aapt_env.train.folder import RunFolder
from aapt_env.train.recipes import RECIPES, STAGES, recipe
from aapt_env.train.run import train
from aapt_env.train.training import Training

HOME = "state.safetensors"


@pytest.fixture
def again(trained, dataset, rolling, small, tmp_path):
    """(folder, f(**flags)): a copy of the trained run, and train on it."""
    out = Path(shutil.copytree(trained, tmp_path / "run"))

    def go(**flags):
        settings = dict(recipe=small(), data=dataset, out=out, device="cpu", seed=3) | flags
        train(settings.pop("game", rolling), **settings)

    return out, go


def weights(folder, stage):
    return load_file(folder / stage / HOME)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def stage_of(folder):
    return checkpoint.read(folder / "checkpoint").training["stage"]


def test_a_run_holds_what_it_says(trained):
    for stage in STAGES:
        assert (trained / stage / HOME).is_file() and (trained / stage / "metrics.jsonl").is_file()
    assert json.loads((trained / "autoencode" / "psnr.json").read_text())["held_out_psnr_db"] > 0
    about = json.loads((trained / "run.json").read_text())
    assert (about["seed"], about["game"]) == (3, "gym:Rolling-v0")
    assert {p.parent.parent.name for p in trained.glob("*/sheets/*.png")} == set(STAGES[:-2])


def test_what_was_trained_plays(trained):
    env = gym.make("AAPT-World-v0", checkpoint=str(trained), device="cpu")
    observation, info = env.reset(seed=0)
    policy = env.unwrapped.policy()
    for _ in range(5):
        observation, _, _, _, info = env.step(policy(observation, info))
    assert observation.shape == (64, 64, 3) and info["frames"].shape == (4, 64, 64, 3)
    assert env.unwrapped.control_names == ("left", "right") and env.unwrapped.starts == 64


def test_the_checkpoint_is_the_last_generator_and_says_how_it_came_about(trained):
    loaded = checkpoint.read(trained / "checkpoint")
    assert (loaded.training["stage"], loaded.training["step"], loaded.training["seed"]) == (
        "long",
        2,
        3,
    )
    state = weights(trained, "long")
    for name, value in loaded.generator.state_dict().items():
        assert torch.equal(value, state[f"module/ema/{name}"].bfloat16().float()), name


@pytest.mark.parametrize("window", [4, 6])
def test_a_run_begins_with_the_networks_of_another_world(
    window, trained, rolling, dataset, small, tmp_path
):
    """The VAE as it is, where its stage is left out; the generator where it is as large, its memory of any length."""
    theirs = checkpoint.read(trained / "checkpoint")
    assert theirs.generator.config.window == 4
    small = partial(dataclasses.replace, small(), window=window)
    settings = dict(data=dataset, device="cpu", begin_with=trained)
    train(rolling, small(), stage="diffusion", out=tmp_path / "run", **settings)
    made = checkpoint.read(tmp_path / "run/checkpoint")
    assert made.generator.config.window == window
    assert same(made.vae.state_dict(), theirs.vae.state_dict())
    for name, value in weights(tmp_path / "run", "diffusion").items():
        if name.startswith("module/generator/"):
            mine = theirs.generator.state_dict()[name.removeprefix("module/generator/")]
            assert (value - mine).abs().max() < 5e-3, f"{name}: two updates away from theirs"
    train(rolling, small(), resume=True, out=tmp_path / "run", **settings)
    assert stage_of(tmp_path / "run") == "long"


@pytest.mark.parametrize("stage", ["long", "."])
def test_the_contest_goes_on_from_another_world(stage, trained, rolling, dataset, small, tmp_path):
    """Its generator against its critic, where that lies beside it, or against one that begins as the generator."""
    origin, out = trained / stage / "checkpoint", tmp_path / "run"
    settings = dict(data=dataset, device="cpu", stage="adversarial", out=out)
    train(rolling, small(), begin_with=origin, **settings)
    made, theirs = weights(out, "adversarial"), weights(trained, "long")
    begun = {"generator": "module/ema/", "critic": "module/critic/"}
    if stage == ".":
        begun["critic"] = begun["generator"]
    for name, prefix in begun.items():
        for key, value in made.items():
            part = key.removeprefix(f"module/{name}/")
            if part != key and (part.startswith("trunk.") or stage == "long"):
                before = theirs[prefix + part].bfloat16().float()
                assert (value - before).abs().max() < 5e-4, key
    train(rolling, small(), resume=True, **settings)  # complete, and needs no other world any more
    assert same(weights(out, "adversarial"), made)
    assert (out / "adversarial/checkpoint/critic.safetensors").is_file()
    assert not (out / "checkpoint/critic.safetensors").is_file()
    with pytest.raises(
        ValueError, match="of other sizes than recipe 'smoke' wants: begin with its"
    ):
        train(
            rolling,
            dataclasses.replace(small(), dim=48),
            begin_with=origin,
            **(settings | {"out": tmp_path / "b"}),
        )


def test_the_decoder_of_another_world_is_polished_and_all_else_stays(
    trained, rolling, dataset, small, tmp_path
):
    """Its latents are as they were, so its generator, player and outcome head are as good as before."""
    origin, out = trained / "checkpoint", tmp_path / "run"
    settings = dict(data=dataset, device="cpu", stage="polish", begin_with=origin, out=out)
    train(rolling, small(), **settings)
    made, theirs = checkpoint.read(out / "checkpoint"), checkpoint.read(origin)
    assert same(made.generator.state_dict(), theirs.generator.state_dict())
    assert same(made.vae.encoder.state_dict(), theirs.vae.encoder.state_dict())
    assert not same(made.vae.decoder.state_dict(), theirs.vae.decoder.state_dict())
    assert (made.outcome is None) == (theirs.outcome is None) and len(made.starts) == len(
        theirs.starts
    )
    for name in ("policy.safetensors", "outcome.safetensors", checkpoint.STARTS):
        assert (out / "checkpoint" / name).read_bytes() == (origin / name).read_bytes()
    assert made.training == theirs.training | {"polished": small().polish.steps}
    train(rolling, small(), resume=True, **settings)
    assert checkpoint.read(out / "checkpoint").hash == made.hash, "complete: nothing to do"


def test_no_world_of_another_encoder_is_polished(trained, rolling, dataset, small, tmp_path):
    """Where the VAE was trained on before, the generator to begin with knows other latents."""
    settings = dict(
        data=dataset, device="cpu", begin_with=trained / "checkpoint", out=tmp_path / "run"
    )
    train(rolling, small(), stage="autoencode", **settings)
    train(rolling, small(), stage="polish", **settings)
    assert not (tmp_path / "run/checkpoint").exists()


def test_a_critic_that_does_not_fit_is_named(trained, rolling, dataset, small, tmp_path):
    origin = Path(shutil.copytree(trained / "long/checkpoint", tmp_path / "origin"))
    settings = dict(data=dataset, device="cpu", stage="adversarial", begin_with=origin)
    both = dataclasses.replace(small().adversarial, heads=("latent", "video"))
    with pytest.raises(ValueError, match="does not fit a critic with heads .*'video'.*remove it"):
        train(rolling, small(adversarial=both), out=tmp_path / "a", **settings)
    (origin / "critic.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="does not fit a critic.*or is damaged: remove it"):
        train(rolling, small(), out=tmp_path / "b", **settings)


def test_follow_over_again_leaves_the_world_alone(again, trained):
    """Nothing is built upon it, where the adversarial stage begins with another."""
    out, go = again
    go(stage="follow")
    assert all(same(weights(trained, stage), weights(out, stage)) for stage in STAGES)
    assert stage_of(out) == "long" and stage_of(out / "follow") == "follow"


def test_a_stage_that_comes_late_does_not_take_the_place_of_a_later_world(again, small):
    """A run from before there was the stage, or from a recipe without it."""
    out, go = again
    shutil.rmtree(out / "follow")
    go(resume=True)
    assert stage_of(out) == "long" and stage_of(out / "follow") == "follow"


def test_a_larger_generator_begins_anew_and_another_vae_is_refused(
    trained, rolling, dataset, small, tmp_path, capsys
):
    settings = dict(data=dataset, device="cpu", begin_with=trained, stage="diffusion")
    wider = dataclasses.replace(small(), dim=48)
    train(rolling, wider, out=tmp_path / "run", **settings)
    assert "of other sizes; a new one is trained" in capsys.readouterr().out
    other = dataclasses.replace(small(), decoder=(8, 24))
    with pytest.raises(ValueError, match="leave out --begin-with, or choose a recipe of its sizes"):
        train(rolling, other, out=tmp_path / "other", **settings)


def test_starts_are_places_in_held_out_episodes(trained, dataset):
    episodes, loaded = Episodes.open(dataset), checkpoint.read(trained / "checkpoint")
    held = {episodes.index[i].seed: i for i in episodes.split()[1]}
    for start in loaded.starts[:6]:
        i, first = held[start.seed], len(start.controls) - 16
        assert start.scene == episodes.index[i].scene and first % 4 == 0
        assert np.array_equal(start.controls, episodes.controls(i)[: first + 16])
        gap = start.frames.astype(int) - episodes.frames(i, first, first + 17)
        assert np.abs(gap).mean() < 4


def test_a_folder_that_cannot_be_written_is_named(again, tmp_path, rolling, dataset):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot train here .*give another with --out"):
        train(rolling, "smoke", data=dataset, out=tmp_path / "file", device="cpu")


def test_a_full_disk_says_how_to_go_on(again, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    out, go = again
    monkeypatch.setattr(publish, "write", full)
    with pytest.raises(
        OSError, match="disk of .* is full .*make room, then the same with --resume"
    ):
        go(resume=True)


def test_a_run_is_not_overwritten_by_accident(again):
    out, go = again
    before = (out / "adversarial" / HOME).read_bytes()
    with pytest.raises(
        ValueError, match="holds a run; go on with --resume, or choose another --out"
    ):
        go()
    assert (out / "adversarial" / HOME).read_bytes() == before


def test_resume_where_there_is_no_run_says_that_it_begins_anew(tmp_path, capsys):
    folder = RunFolder(tmp_path / "new", "driving", RECIPES["smoke"](), 9.0, 0)
    assert folder.plan(None, resume=True) == folder.recipe.planned
    assert capsys.readouterr().out == f"{folder.path} holds no run yet; this one begins anew\n"


def test_resume_of_a_complete_run_changes_nothing(again, capsys):
    out, go = again
    before = {p: p.read_bytes() for p in out.rglob("*.safetensors")}
    go(resume=True)
    assert "trained autoencode, polish, diffusion" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in out.rglob("*.safetensors")} == before


@pytest.mark.parametrize("lost", ["diffusion", "adversarial", "imitate"])
def test_a_run_that_lost_its_later_stages_is_completed_to_the_same_weights(again, trained, lost):
    """As after a kill at the beginning of a stage: initial weights depend on the seed, not on what was built before."""
    out, go = again
    for stage in STAGES[STAGES.index(lost) :]:
        shutil.rmtree(out / stage)
    go(resume=True, seed=99)
    for stage in STAGES:
        assert same(weights(trained, stage), weights(out, stage)), stage
    assert same(
        load_file(trained / "checkpoint/generator.safetensors"),
        load_file(out / "checkpoint/generator.safetensors"),
    )


def test_resume_does_not_put_an_earlier_stage_into_the_checkpoint(again, monkeypatch):
    """A kill during --resume left the diffusion stage's blur where the last world had been."""
    out, go = again
    written = []
    monkeypatch.setattr(publish, "write_checkpoint", lambda training, stage: written.append(stage))
    go(resume=True)
    assert written == []
    shutil.rmtree(out / "checkpoint")
    go(resume=True)
    assert written == ["long"], "the last one is put back where there is none"


def test_a_time_limit_stops_with_a_state_and_a_world_and_resume_gives_the_same(
    again, trained, capsys
):
    out, go = again
    shutil.rmtree(out)
    for _ in range(20):
        go(resume=True, time_limit=0.001)
        said = capsys.readouterr().out
        assert "Traceback" not in said
        if "trained autoencode" in said:
            break
        assert "stopped by the time limit" in said and "--resume goes on" in said
        if (out / "diffusion" / HOME).is_file():
            assert stage_of(out) in STAGES[1:-1]
    else:
        pytest.fail("each call must make progress")
    for stage in STAGES:
        assert same(weights(trained, stage), weights(out, stage)), stage


def test_one_stage_over_again_forgets_what_was_built_upon_it(again, trained, capsys, small):
    """A new VAE under an old generator gave a checkpoint of noise, silently."""
    out, go = again
    longer = small(diffusion=dataclasses.replace(small().diffusion, steps=3))
    go(stage="diffusion", recipe=longer)
    assert "forgotten: diffusion, consistency, follow, adversarial, long" in capsys.readouterr().out
    assert stage_of(out) == "diffusion"
    assert not (out / "adversarial" / HOME).is_file() and (out / "imitate" / HOME).is_file()
    assert same(weights(trained, "autoencode"), weights(out, "autoencode"))
    assert not same(weights(trained, "diffusion"), weights(out, "diffusion"))
    go(resume=True, recipe=longer)
    assert stage_of(out) == "long"


def test_the_player_over_again_leaves_the_world_alone(again, trained):
    out, go = again
    go(stage="imitate")
    assert all(same(weights(trained, stage), weights(out, stage)) for stage in STAGES)


def test_a_stage_without_the_one_before(rolling, dataset, small, tmp_path):
    with pytest.raises(
        ValueError, match="the stage before has not been trained; leave out --stage"
    ):
        train(rolling, small(), stage="diffusion", data=dataset, out=tmp_path / "run", device="cpu")


@pytest.mark.parametrize("change", [dict(dim=40), dict(window=5), dict(decoder=(8, 8))])
def test_other_sizes_are_refused(again, small, change):
    out, go = again
    other = dataclasses.replace(small(), **change)
    with pytest.raises(
        ValueError, match=f"was begun with other {next(iter(change))}; use the same recipe"
    ):
        go(resume=True, recipe=other)


def test_another_game_is_refused(again):
    out, go = again
    with pytest.raises(
        ValueError, match="was begun with game 'gym:Rolling-v0'; choose another --out for 'driving'"
    ):
        go(resume=True, game="driving")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"game": "driving"}'])
def test_a_damaged_run_file_is_said_in_a_sentence(again, text):
    out, go = again
    (out / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json is damaged .*; choose another --out"):
        go(resume=True)


def test_a_damaged_state_is_said_in_a_sentence(again):
    out, go = again
    path = out / "adversarial" / HOME
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        ValueError, match="is not a readable training state .*; remove it to start over"
    ):
        go(resume=True)


def test_latents_of_another_vae_are_made_anew(again, trained):
    out, go = again
    (out / "latents" / "vae.json").write_text("")  # as a kill may leave it
    path = next(iter((out / "latents").glob("*.safetensors")))
    good = path.read_bytes()
    path.write_bytes(b"of another VAE")
    shutil.rmtree(out / "diffusion")
    go(resume=True)
    assert path.read_bytes() == good and same(
        weights(trained, "diffusion"), weights(out, "diffusion")
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (dict(stage="gild"), "unknown stage 'gild'; the recipe has autoencode, polish, diffusion"),
        (dict(recipe="tpu"), "unknown recipe 'tpu'; there are"),
        (dict(device="cuda"), "device cuda: torch .* sees no CUDA GPU; use cpu or auto"),
        (dict(recipe="h100"), "has frames of 64x64 with k=4; recipe 'h100' wants 128x128"),
    ],
)
def test_what_cannot_be_is_refused_at_once_and_leaves_no_run(
    flags, message, rolling, dataset, tmp_path, monkeypatch
):
    """A typo in --recipe left a run.json behind that refused the right one."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        train(
            rolling,
            **(dict(recipe="smoke", data=dataset, out=tmp_path / "run", device="cpu") | flags),
        )
    assert not (tmp_path / "run" / "run.json").exists()


def test_one_episode_is_not_enough(rolling, small, tmp_path):
    from aapt_env.data.record import record

    record(rolling, tmp_path / "data", 10, max_seconds=1, progress=False)
    with pytest.raises(
        ValueError, match="has 1 episodes; training needs 2 or more, one of them held out"
    ):
        train(rolling, small(), data=tmp_path / "data", out=tmp_path / "run", device="cpu")


def test_episodes_too_short_for_a_window(rolling, small, tmp_path):
    from aapt_env.data.record import record

    record(rolling, tmp_path / "data", 20, max_seconds=0.2, progress=False)
    with pytest.raises(
        ValueError, match="no episode to train on has two latents of 4 frames; record with --k 1"
    ):
        train(rolling, small(), data=tmp_path / "data", out=tmp_path / "run", device="cpu")


def test_data_are_recorded_where_there_are_none_and_a_recording_that_was_stopped_is_gone_on_with(
    rolling, small, tmp_path, capsys, monkeypatch
):
    """A kill while it recorded left a dataset of a few episodes, on which the next call trained."""
    from aapt_env.data import record as recording

    monkeypatch.chdir(tmp_path)
    stop = RuntimeError("killed")
    wanted = dataclasses.replace(small(), frames=250, max_seconds=2.7)
    count = iter(range(2))
    real = recording.Plan.run

    def killed(self, pool, workers):
        for length in real(self, pool, workers):
            if next(count, None) is None:
                raise stop
            yield length

    with monkeypatch.context() as patch:
        patch.setattr(recording.Plan, "run", killed)
        with pytest.raises(RuntimeError, match="killed"):
            train(rolling, wanted, device="cpu")
    assert not (tmp_path / "runs/gym-Rolling-v0/run.json").exists()
    train(rolling, wanted, device="cpu", stage="autoencode")
    assert sum(e.length for e in Episodes.open("data/gym-Rolling-v0").index) >= 250
    assert (tmp_path / "runs/gym-Rolling-v0/autoencode" / HOME).is_file()
    assert not (tmp_path / "runs/gym-Rolling-v0/recording").exists()


def test_a_dataset_of_ones_own_is_taken_as_it_is_after_a_recording_that_was_stopped(
    rolling, small, tmp_path, monkeypatch
):
    """The stopped one's mark once made every later training refuse a dataset with other settings."""
    from aapt_env.data.record import record

    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs/gym-Rolling-v0"
    run.mkdir(parents=True)
    data = tmp_path / "data/gym-Rolling-v0"
    wanted = small()
    asked = f"{wanted.frame} {wanted.k} {wanted.max_seconds}"
    (run / "recording").write_text(f"{data.resolve()}\n{asked}")
    record(rolling, data, episodes=6, max_seconds=3.1, progress=False)
    other = dataclasses.replace(
        wanted, max_seconds=7.1
    )  # of which the stopped one may well be a part
    with pytest.raises(ValueError, match="holds another dataset"):
        train(rolling, other, device="cpu", stage="autoencode")
    train(rolling, wanted, device="cpu", stage="autoencode")
    assert (run / "autoencode" / HOME).is_file() and not (run / "recording").exists()
    assert len(Episodes.open(data)) == 6


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_whole(name):
    made = recipe(name)
    for stage in (made.diffusion, made.consistency, made.adversarial, made.long):
        assert stage.length <= made.window + 2, (
            "a parallel pass and the critic see at most W + 2 latents"
        )
    frames = made.max_seconds * 20
    assert frames > 4 * (max(made.long.leads) + made.long.length + 1)
    assert made.name == name


def test_the_command_line_says_one_sentence(tmp_path, capsys, monkeypatch, dataset):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").write_text("")
    lines = {
        "train driving --device cuda": "sees no CUDA GPU",
        "train driving --stage gild": "unknown stage 'gild'",
        "train driving --recipe tpu": "unknown recipe 'tpu'",
        f"train driving --recipe smoke --data {dataset} --out {tmp_path}/file/run": "Not a directory",
        f"train driving --recipe smoke --data {dataset} --out {tmp_path}/file": "exists",
    }
    for line, message in lines.items():
        out = [] if "--out" in line else ["--out", str(tmp_path / "run")]
        assert cli.main([*line.split(), *out]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1, line


@pytest.mark.slow
def test_from_nothing_to_a_world_by_the_command_line(tmp_path):
    """The README's first lines, on the game it names."""
    import os
    import subprocess
    import sys

    root = Path(aapt_env.__file__).parent.parent
    env = os.environ | {"PYTHONPATH": f"{root}:{root / 'games'}"}

    def aapt(*words, rc=0):
        command = [sys.executable, "-m", "aapt_env.cli", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == rc, done.stderr
        return done.stdout + done.stderr

    begun = time.monotonic()
    aapt("train", "driving", "--recipe", "smoke", "--device", "cpu")
    assert time.monotonic() - begun < 300
    assert "holds a run" in aapt("train", "driving", "--recipe", "smoke", rc=2)
    aapt("train", "driving", "--recipe", "smoke", "--resume")
    assert "shipped to checkpoints/driving" in aapt("ship", "runs/driving")
    assert "checkpoints/driving" in aapt("games")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile looks at its own tensors
@pytest.mark.parametrize("stage", ["diffusion", "adversarial", "long"])
def test_a_compiled_stage_learns_what_the_plain_one_does(again, stage):
    out, go = again
    found = []
    for compiled in (True, False):
        go(stage=stage, compile=compiled)
        found.append(weights(out, stage))
    fast, plain = found
    assert fast.keys() == plain.keys(), "a compiled network keeps the names of its weights"
    for name in plain:
        if name.startswith("module/generator"):
            torch.testing.assert_close(fast[name], plain[name], rtol=1e-2, atol=1e-3, msg=name)


def test_what_is_recorded_beside_a_training_is_trained_on_from_the_next_stage_on(
    dataset, rolling, small, tmp_path
):
    """Two episodes at first; all of them once the VAE is trained."""
    growing, out = Path(shutil.copytree(dataset, tmp_path / "data")), tmp_path / "run"
    sidecars = sorted((growing / "meta/aapt").glob("chunk-*/file-*.json"))
    assert len(sidecars) > 2
    for path in sidecars[2:]:
        path.rename(path.with_suffix(".later"))
    settings = dict(recipe=small(), data=growing, out=out, device="cpu", seed=3)
    train(rolling, stage="autoencode", **settings)
    train(rolling, stage="polish", **settings)
    training = Training(rolling, small(), None, out, "cpu", 3)
    assert training.open_data(growing, float("inf"))
    training.latents()
    few = len(training.clips.lengths) + len(training.held.lengths)
    training.latents()
    for path in sidecars[2:]:
        path.with_suffix(".later").rename(path)
    training.latents()
    many = len(training.clips.lengths) + len(training.held.lengths)
    assert (few, many) == (2, len(sidecars))
    assert len(list((out / "latents").glob("*.safetensors"))) == many


def test_the_examples_recipes_are_recipes():
    house, onward = (recipe(f"examples.explorer_house:{name}") for name in ("house", "onward"))
    wanted = "autoencode polish diffusion follow adversarial long imitate"
    assert house.planned == wanted.split()
    assert onward.adversarial.leads == house.long.leads and onward.window == house.window

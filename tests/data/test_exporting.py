"""Minari, which nobody here wrote, loads what is exported, and finds what was recorded."""

import json

import numpy as np
import pytest

from aapt_env.data import Episodes
from aapt_env.data.exporting import env_spec, export
from aapt_env.data.importing import import_
from aapt_env.data.record import record

minari = pytest.importorskip("minari")


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Returns f(dataset, **export's) -> what Minari loads."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))

    def run(data, name="some/thing-v0", **kwargs):
        assert export(data, name, progress=False, **kwargs) == tmp_path / "minari" / name
        return minari.load_dataset(name)

    return run


def test_every_frame_of_a_game(record_colour, load):
    ours = Episodes.open(record_colour(frames=200))
    theirs = load(ours.path)
    assert (
        theirs.total_episodes == len(ours)
        and theirs.action_space == ours.spec.control.action_space()
    )
    for i, episode in enumerate(theirs.iterate_episodes()):
        told = ours.index[i]
        steps = told.frames_real - 1
        assert np.array_equal(episode.observations, ours.frames(i)[: 1 + steps])
        assert episode.actions.dtype == np.int64
        assert np.array_equal(episode.actions, ours.controls(i)[:steps, 0])
        assert np.array_equal(episode.rewards, ours.rewards(i)[:steps])
        assert episode.terminations.tolist() == [False] * (steps - 1) + [told.terminated]
        assert episode.truncations.tolist() == [False] * (steps - 1) + [not told.terminated]
    seeds = [about["seed"] for about in theirs.storage.get_episode_metadata(range(len(ours)))]
    assert seeds == [told.seed for told in ours.index]


def test_its_environment_is_the_game_itself(record_colour, load):
    """Replaying actions in what Minari recovers gives the observations of the dataset."""
    theirs = load(record_colour(frames=60))
    env, episode = theirs.recover_environment(), theirs[0]
    assert (env.observation_space, env.action_space) == (
        theirs.observation_space,
        theirs.action_space,
    )
    seen, _ = env.reset(seed=Episodes.open(record_colour(frames=60)).index[0].seed)
    for action, wanted in zip(episode.actions[:12], episode.observations[1:], strict=False):
        seen, *_ = env.step(action)
        assert np.abs(seen.astype(int) - wanted).max() <= 3
    env.close()


@pytest.mark.parametrize("space", ["MultiBinary", "Discrete", "Box"])
def test_steps_of_a_dream(make_checkpoint, load, tmp_path, space):
    world = make_checkpoint(tmp_path / "world", space)
    record(f"dream:{world}", tmp_path / "data", episodes=2, max_seconds=1, progress=False)
    ours, theirs = Episodes.open(tmp_path / "data"), load(tmp_path / "data")
    for i, episode in enumerate(theirs.iterate_episodes()):
        assert np.array_equal(episode.observations, ours.frames(i)[::4])
        rows = [ours.spec.control.to_row(action) for action in episode.actions]
        assert np.array_equal(rows, ours.controls(i)[::4])
        assert all(theirs.action_space.contains(action) for action in episode.actions)
        assert len(episode.rewards) == 6 and episode.truncations[-1]
    assert theirs.spec.env_spec.id == "AAPT-World-v0"
    assert theirs.spec.env_spec.kwargs == {"game": str(world)}
    about = next(iter(theirs.storage.get_episode_metadata([1])))
    assert json.loads(about["extras"])["dream"]["checkpoint"] == ours.recipe["checkpoint"]


@pytest.mark.parametrize("rhythm", ["frame", "step"])
def test_there_and_back(tiny, load, tmp_path, rhythm):
    """Frames pass a second video; controls, rewards and the control space come back as they were."""
    record(f"dream:{tiny}", tmp_path / "data", episodes=2, max_seconds=1, progress=False)
    ours = Episodes.open(tmp_path / "data")
    theirs = load(ours.path, rhythm=rhythm)
    k = 4 if rhythm == "frame" else 1
    back = import_(tmp_path / "minari/some/thing-v0", name="back", out=tmp_path / "back", k=k)
    assert back.spec.frame_fps == (24 if rhythm == "frame" else 6) and len(back) == len(ours)
    assert back.spec.control.action_space() == ours.spec.control.action_space()
    for i in range(len(ours)):
        assert np.array_equal(back.controls(i), ours.controls(i)[:: 4 // k])
        assert np.array_equal(back.rewards(i), theirs[i].rewards)
        assert np.abs(back.frames(i).astype(int) - ours.frames(i)[:: 4 // k]).mean() < 3


def test_no_environment_is_named_that_steps_otherwise(tiny, record_colour, tmp_path):
    record(f"dream:{tiny}", tmp_path / "dream", episodes=1, max_seconds=1, progress=False)
    dream, game = Episodes.open(tmp_path / "dream"), Episodes.open(record_colour(frames=20))
    assert env_spec(dream, "frame") is None
    assert env_spec(game, "step").kwargs["k"] == 4
    game.recipe = None  # as of an imported one
    assert env_spec(game, "frame") is None


def test_what_cannot_be_exported(record_colour, load, tmp_path):
    data = record_colour(frames=20)
    with pytest.raises(ValueError, match="--name bad: expected a name and a version"):
        load(data, "bad")
    load(data)
    with pytest.raises(ValueError, match="is there already; give another --name"):
        load(data)
    (data / "videos/observation.image/chunk-000/file-000.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="cannot read frames"):
        load(data, "new-v0")
    assert [path.name for path in (tmp_path / "minari").iterdir()] == ["some"]

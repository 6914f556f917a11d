"""A recorded episode is played again from its seed and controls: it is equal, or told where it is not."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from aapt_env.data import Episodes, EpisodeWriter, files, lerobot
from aapt_env.data.record import record
from aapt_env.data.replay import replay
from aapt_env.env import AAPTEnv

COLOUR = "gym:colour_game:Colour-v0"


@pytest.fixture(scope="module")
def dreamt(tiny, tmp_path_factory):
    """A dream of two episodes of six latents, which tests read and do not change."""
    out = tmp_path_factory.mktemp("dreamt") / "data"
    record(f"dream:{tiny}", out, episodes=2, max_seconds=1, latents=True, progress=False)
    return out


@pytest.fixture
def dream(dreamt, tmp_path):
    """A copy of it."""
    return shutil.copytree(dreamt, tmp_path / "dream")


def alter(out, episode, change):
    """Write an episode's table again, after `change` of {column: list}."""
    path = files.place(out, files.DATA, episode)
    table = pq.read_table(path, partitioning=None)
    columns = table.to_pydict()
    change(columns)
    path.write_bytes(lerobot.parquet(table.from_pydict(columns, schema=table.schema)))


def alter_json(path, change):
    told = json.loads(path.read_bytes())
    change(told)
    path.write_text(json.dumps(told))


def press(columns, first):
    """Every key of the latent whose first row is `first`: held where it was not, and the other way round."""
    for row in range(first, first + 4):
        columns["action"][row] = [1 - key for key in columns["action"][row]]


def found(*args, **kwargs):
    """What replaying says: (frame, how it differs) of each episode, or None."""
    differences = [verdict.difference for verdict in replay(*args, **kwargs)]
    return [each and (each.frame, each.what) for each in differences]


def test_a_recorded_dream_replays_equal(dreamt, tiny, capsys):
    assert [(v.index, v.frames, v.difference) for v in replay(dreamt)] == [
        (0, 25, None),
        (1, 25, None),
    ]
    assert found(dreamt, checkpoint=str(tiny), numbers=[1]) == [None]
    assert capsys.readouterr().out == ""


def test_a_dream_keeps_what_it_takes_to_dream_it_again(dreamt, tiny):
    episodes, env = Episodes.open(dreamt), AAPTEnv(checkpoint=str(tiny))
    assert episodes.recipe["checkpoint"] == env.checkpoint_hash
    for i, episode in enumerate(episodes.index):
        _, info = env.reset(seed=episode.seed)
        assert episode.extras["start"] == info["start"]["index"] and episode.scene == info["scene"]
        dream = episode.extras["dream"]
        assert dream == env.making | {"noise_seed": info["seed"]}
        assert {"checkpoint", "device", "dtype", "fast", "weights", "kernels"} <= set(dream)
        assert (episodes.latents(i)[0] == env.latent.astype(np.float16)).all()
        for row, latent in zip(episodes.controls(i)[::4], episodes.latents(i)[1:], strict=True):
            env.step(episodes.spec.control.from_row(row))
            assert (latent == env.latent.astype(np.float16)).all()


def test_a_game_replays_equal(record_colour):
    out = record_colour(frames=200)
    assert found(out, game=COLOUR) == [None] * len(Episodes.open(out))


def test_one_altered_digest_is_that_frame(dream):
    def change(columns):
        columns[files.DIGEST][7] += 1

    alter(dream, 1, change)
    first, second = found(dream)
    assert first is None and second[0] == 7
    assert "from the video, which is off by" in second[1]


def test_a_video_that_cannot_be_read_is_told(record_colour):
    """Digests say that the game is the same, and trainings read the video."""
    out = record_colour(frames=200)
    place = files.place(out, files.VIDEO, 1)
    place.write_bytes(place.read_bytes()[:100])
    verdicts = found(out, game=COLOUR)
    assert [i for i, verdict in enumerate(verdicts) if verdict] == [1]
    assert "not what is kept" in verdicts[1][1] and place.name in verdicts[1][1]


@pytest.mark.parametrize("row", [0, 8])
def test_an_altered_control_is_the_frame_after_it(dream, row):
    alter(dream, 0, lambda columns: press(columns, row))
    first, second = found(dream)
    assert first[0] == row + 1 and second is None


def test_controls_that_no_one_can_have_pressed(dream):
    def half(columns):
        columns["action"][6] = [0.5, 0, 0, 0]

    alter(dream, 0, half)
    assert found(dream)[0][0] == 5 and "are none of this world" in found(dream)[0][1]


def test_an_altered_reward_is_the_frame_it_is_paid_for(dream):
    def change(columns):
        columns["next.reward"][12] = 2.0

    alter(dream, 0, change)
    assert found(dream)[0] == (13, "it pays 0, and paid 2")


def test_another_ending_is_told(record_colour):
    out = record_colour(frames=200)
    ended = next(e for e in Episodes.open(out).index if e.terminated)
    place = files.place(out, files.RECORD, ended.index)
    alter_json(place, lambda told: told.update(terminated=False))
    last = ended.length - 1, "the game ends after it, the recorded one goes on"
    assert found(out, game=COLOUR, numbers=[ended.index]) == [last]


def test_a_dataset_without_digests_is_held_against_its_video(dream, capsys):
    """Those of older versions: what the video loses must not be taken for a difference, nor hide a real one."""
    alter_json(dream / files.DATASET, lambda head: head.pop("digests"))
    alter(dream, 1, lambda columns: press(columns, 8))
    first, second = found(dream)
    assert first is None and second[0] == 9
    assert "held against its video, which is lossy" in capsys.readouterr().out


def test_what_was_otherwise_is_said(dream, capsys):
    for i in range(2):
        place = files.place(dream, files.RECORD, i)
        alter_json(place, lambda told: told["extras"]["dream"].update(device="cuda", torch="1.0"))
    assert found(dream) == [None, None]
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "device cuda, now cpu; torch 1.0, now" in said


def test_another_checkpoint_is_refused(dream, make_checkpoint, tmp_path):
    other = make_checkpoint(tmp_path / "other", seed=1)
    now, then = (
        AAPTEnv(checkpoint=str(other)).checkpoint_hash,
        Episodes.open(dream).recipe["checkpoint"],
    )
    with pytest.raises(
        ValueError, match=f"by checkpoint {then}, and .*other is {now}; give .*--checkpoint"
    ):
        found(dream, checkpoint=str(other))


def test_a_recording_goes_on_with_its_own_checkpoint_only(dreamt, make_checkpoint, tmp_path):
    """Half of its episodes could not be dreamt again."""
    world = make_checkpoint(tmp_path / "world")
    settings = dict(max_seconds=1, progress=False)
    record(f"dream:{world}", tmp_path / "data", episodes=1, **settings)
    shutil.rmtree(world)
    make_checkpoint(world, seed=1)
    with pytest.raises(
        ValueError, match="another dataset .checkpoint '.*', asked '.*give another folder"
    ):
        record(f"dream:{world}", tmp_path / "data", episodes=2, **settings)


def test_datasets_that_cannot_be_replayed(dream, record_colour, tmp_path, spec, episode):
    with EpisodeWriter(tmp_path / "written", spec) as writer:
        writer.add(**episode())
    with pytest.raises(ValueError, match="has no seeds: it was imported.*dataset of 'aapt record'"):
        found(tmp_path / "written")
    with pytest.raises(ValueError, match=r"has no episodes \[7\]; there are 0 to 1"):
        found(dream, numbers=[1, 7])
    with pytest.raises(ValueError, match="--checkpoint is for dreams"):
        found(record_colour(), checkpoint="somewhere", game=COLOUR)
    alter_json(dream / files.DATASET, lambda head: head["recipe"].pop("checkpoint"))
    with pytest.raises(
        ValueError, match="does not say which checkpoint dreamt it.*record it again"
    ):
        found(dream)


def test_no_package_is_imported_because_a_dataset_says_so(record_colour):
    out = record_colour()
    with pytest.raises(ValueError, match=f"if you trust it, say so with --game {COLOUR}"):
        found(out)
    with pytest.raises(ValueError, match=f"--game driving: the dataset is of {COLOUR}"):
        found(out, game="driving")


def test_a_game_that_is_another_now(record_colour):
    out = record_colour()
    alter_json(out / files.DATASET, lambda head: head["spec"]["control"].update(size=7, names=[]))
    with pytest.raises(ValueError, match="another control size now, 4, and had 7"):
        found(out, game=COLOUR)


def test_only_such_places_are_recorded_and_played_again(tmp_path):
    night = {"time": "night"}
    made = record(
        "driving", tmp_path / "night", episodes=3, max_seconds=1, scene=night, progress=False
    )
    told = Episodes.open(made.path).index
    assert {e.scene["time"] for e in told} == {"night"} and len({e.seed for e in told}) == 3
    assert all(v.difference is None for v in replay(made.path))
    with pytest.raises(ValueError, match="scene time=noon: driving has .*'night'"):
        record("driving", tmp_path / "noon", episodes=1, scene={"time": "noon"}, progress=False)
    with pytest.raises(ValueError, match="scene"):
        record("driving", tmp_path / "night", episodes=4, max_seconds=1, progress=False)

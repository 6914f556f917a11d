"""LeRobot opens what we record. It wants other versions of torch and av, so it lives in a venv of its own.

The venv is made once, in pytest's cache: gigabytes. AAPT_LEROBOT=PYTHON names a Python that has lerobot instead.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aapt_env.data import Episodes
from aapt_env.data.record import record

pytestmark = pytest.mark.slow
MINUTES = 40  # that pip may take
READ = """
import sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset("local/dream", root=sys.argv[1], video_backend="pyav")
rows = [data[i] for i in range(len(data))]
names = ("observation.image", "action", "next.reward", "next.truncated", "episode_index", "timestamp", "frame_digest")
found = {name: np.stack([row[name].numpy() for row in rows]) for name in names}
np.savez(sys.argv[2], fps=data.fps, episodes=data.num_episodes, task=rows[0]["task"], **found)
"""


@pytest.fixture(scope="module")
def python(request):
    """A Python that has lerobot."""
    given = os.environ.get("AAPT_LEROBOT")
    if given:
        return given
    folder = Path(request.config.cache.mkdir("lerobot"))
    python, ready = folder / "bin/python", folder / ".ready"
    if not ready.exists():
        for words in (
            [sys.executable, "-m", "venv", "--clear", folder],
            [python, "-m", "pip", "install", "--quiet", "--prefer-binary", "lerobot>=0.4"],
        ):
            run(words, MINUTES * 60, skip=True)
        ready.touch()
    return python


def run(words, seconds, skip=False):
    """A command without our paths; one that fails fails the test, or skips it with the command's last line."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    outside |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            list(map(str, words)), env=outside, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{words[1:4]} took more than {seconds} seconds") if skip else pytest.fail(
            "slow"
        )
    if done.returncode:
        why = (done.stderr.strip() or "no reason given").splitlines()[-1]
        pytest.skip(f"lerobot cannot be installed: {why}") if skip else pytest.fail(done.stderr)


def test_it_reads_a_dream_as_we_do(tiny, python, tmp_path):
    record(f"dream:{tiny}", tmp_path / "data", episodes=2, max_seconds=1, progress=False)
    run([python, "-c", READ, tmp_path / "data", tmp_path / "seen.npz"], 600)
    seen, ours = np.load(tmp_path / "seen.npz"), Episodes.open(tmp_path / "data")
    assert (seen["fps"], seen["episodes"], seen["task"]) == (24, 2, f"play dream:{tiny}")
    for i in range(2):
        mine = seen["episode_index"] == i
        images = np.rint(seen["observation.image"][mine].transpose(0, 2, 3, 1) * 255)
        assert np.abs(images - ours.frames(i)).max() <= 1
        assert np.array_equal(seen["action"][mine][:-1], ours.controls(i))
        assert np.array_equal(seen["next.reward"][mine][:-1], ours.rewards(i))
        assert np.array_equal(seen["frame_digest"][mine], ours.digests(i))
        assert np.allclose(seen["timestamp"][mine], np.arange(25) / 24)
        assert seen["next.truncated"][mine].tolist() == [False] * 23 + [True] * 2

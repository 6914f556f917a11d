"""What the README and docs/rl.md show runs as it stands there, on the world that ships."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent


def blocks(page):
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Examples write files where they run; worlds are found from the repository."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("number", range(len(blocks("README.md"))))
def test_the_readmes_examples_run(number, tmp_path):
    names = {}
    exec(blocks("README.md")[number], names)
    if "envs" in names:
        assert names["observations"].shape == (8, 64, 64, 3)
        assert names["observations"].dtype == torch.uint8 and names["futures"].num_envs == 64
        assert (tmp_path / "moment.safetensors").is_file()
    else:
        assert names["frames"].shape == (4, 64, 64, 3) and names["frames"].dtype == np.uint8


def test_the_states_of_the_docs_are_exact():
    (shown,) = (block for block in blocks("docs/rl.md") if "clone_state" in block)
    names = {}
    exec(f"import gymnasium as gym\nimport aapt_env\n{shown}", names)
    env, state = names["env"], names["state"]
    ahead = [env.step([0, 0, 1, 0])[0] for _ in range(3)]
    env.unwrapped.restore_state(state)
    assert np.array_equal(ahead, [env.step([0, 0, 1, 0])[0] for _ in range(3)])
    assert names["futures"].num_envs == 64

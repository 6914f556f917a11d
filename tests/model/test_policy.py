"""The player that a world carries: the likeliest control, and no statue."""

import numpy as np
import pytest
import torch

from aapt_env.model.policy import Player, Policy
from aapt_env.spec import ControlSpec

FRAMES = np.zeros((4, 16, 16, 3), np.uint8)


def player(held, space="MultiBinary", seed=0) -> Player:
    """One who holds each key with these probabilities, whatever is to be seen."""
    policy = Policy(ControlSpec(space=space, size=len(held)), width=4)
    torch.nn.init.zeros_(policy.press.weight)
    policy.press.bias.data = torch.logit(torch.tensor(held))
    return Player(policy, seed)


def played(who: Player, steps: int) -> np.ndarray:
    """What is pressed, [steps, keys]."""
    return np.stack([who(FRAMES[0], {"frames": FRAMES}) for _ in range(steps)])


def test_who_is_sure_does_the_likeliest():
    assert (played(player([0.9, 0.2, 0.51]), 30) == [1, 0, 1]).all()
    assert not played(player([0.2, 0.1, 0.3]), 60).any(), "nothing is likelier than something"


def test_who_holds_each_key_less_than_half_of_the_time_holds_each_as_often():
    shares = [0.45, 0.3, 0.1]
    done = played(player(shares), 3000)
    assert not done[: Player.PATIENCE].any()
    later = done[Player.PATIENCE :]
    np.testing.assert_allclose(later.mean(axis=0), shares, atol=0.06)
    blocks = later[: len(later) // Player.HOLD * Player.HOLD].reshape(-1, Player.HOLD, 3)
    assert (blocks == blocks[:, :1]).all(), "keys are held, not hammered"


def test_the_same_seed_is_the_same_player():
    who = player([0.45, 0.3, 0.1], seed=3)
    first = played(who, 60)
    who.begin(3)
    assert np.array_equal(played(who, 60), first)
    who.begin(4)
    assert not np.array_equal(played(who, 60), first)


@pytest.mark.parametrize("space, wanted", [("Discrete", 1), ("Box", [-0.8, 0.0, 0.8])])
def test_other_controls_are_the_likeliest(space, wanted):
    who = player([0.25, 0.5, 0.75], space)
    if space == "Discrete":
        who.policy.press.bias.data = torch.tensor([0.1, 0.4, 0.2])
    np.testing.assert_allclose(
        played(who, 12), np.broadcast_to(wanted, (12, *np.shape(wanted))), atol=1e-3
    )

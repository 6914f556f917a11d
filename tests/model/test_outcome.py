"""The outcome head says a reward's mean, whatever the rewards' scale, and an ending's probability."""

import pytest
import torch

from aapt_env.model.outcome import OutcomeHead, symexp, symlog
from aapt_env.model.trunk import TrunkConfig

CONFIG = TrunkConfig(channels=4, dim=32, depth=2, heads=2, window=3)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_two_values_hold_any_reward_between_them(scale):
    head = OutcomeHead(CONFIG)
    rewards = scale * torch.tensor([-5.0, -0.3, 0.0, 0.2, 0.25, 1.0])
    head.span(rewards)
    shares = head.shares(rewards)
    assert torch.allclose((shares * head.values).sum(-1), rewards, atol=1e-5 * scale)
    assert torch.allclose(shares.sum(-1), torch.ones(6)) and int((shares > 0).sum(-1).max()) <= 2
    assert (head.values.diff() > 0).all()


def test_rewards_that_are_all_the_same_have_a_span_too():
    head = OutcomeHead(CONFIG)
    head.span(torch.zeros(9))
    assert (head.values.diff() > 0).all()
    reward, _ = head(torch.randn(2, 3, 16, 32))
    assert reward.abs().max() < 1e-6


def test_symexp_is_the_inverse_of_symlog():
    x = torch.tensor([-300.0, -0.01, 0.0, 2.0])
    assert torch.allclose(symexp(symlog(x)), x, rtol=1e-4)


def test_it_learns_the_mean_and_the_probability():
    """Features of two kinds: one pays 1 or 0 by a coin, the other ends three times in four."""
    torch.manual_seed(0)
    head = OutcomeHead(CONFIG, width=8)
    kind = torch.arange(64) % 2
    features = torch.randn(2, 16, 32)[kind][:, None]
    rewards = torch.where(kind == 0, torch.arange(64) // 2 % 2, 0.0)[:, None].float()
    ended = ((kind == 1) & (torch.arange(64) // 2 % 4 > 0))[:, None]
    head.span(rewards)
    adam = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(150):
        loss = sum(part.mean() for part in head.losses(features, rewards, ended))
        adam.zero_grad()
        loss.backward()
        adam.step()
    reward, end = (x[:, 0].tolist() for x in head(features[:2]))
    assert reward == pytest.approx([0.5, 0.0], abs=0.05)
    assert end == pytest.approx([0.0, 0.75], abs=0.05)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (4, 8), (16, 16)])
def test_any_grid_of_tokens_will_do(rows, columns):
    head = OutcomeHead(TrunkConfig(channels=4, dim=32, heads=2, rows=rows, columns=columns))
    reward, end = head(torch.randn(2, 3, rows * columns // 4, 32))
    assert reward.shape == end.shape == (2, 3)

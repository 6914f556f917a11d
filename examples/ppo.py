"""PPO in one file, in the manner of CleanRL, on the native vector env: frames never leave the device.

Run `python examples/ppo.py --envs 16 --steps 100000`; a world without a learned reward is paid for speed.
"""

import argparse
import json
import time
from collections import deque

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from speed_reward import speed
from torch import nn
from torch.distributions import Bernoulli, Independent

import aapt_env  # noqa: F401  registers AAPT-World-v0

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--game", default="driving")
parser.add_argument("--checkpoint")
parser.add_argument("--envs", type=int, default=16)
parser.add_argument("--steps", type=int, default=100_000)
parser.add_argument("--rollout", type=int, default=64)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--minibatches", type=int, default=4)
parser.add_argument("--lr", type=float, default=2.5e-4)
parser.add_argument("--gamma", type=float, default=0.99)
parser.add_argument("--gae", type=float, default=0.95)
parser.add_argument("--clip", type=float, default=0.2)
parser.add_argument("--entropy", type=float, default=0.01)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--device", default="auto")
parser.add_argument("--out", default="ppo.json")
args = parser.parse_args()


class Agent(nn.Module):
    """Frames -> a Bernoulli per key, and a value."""

    def __init__(self, keys, height, width):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(3, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        size = self.see(torch.zeros(1, 3, height, width)).shape[1]
        self.hidden = nn.Sequential(nn.Linear(size, 256), nn.ReLU())
        self.press, self.value = nn.Linear(256, keys), nn.Linear(256, 1)
        nn.init.zeros_(self.press.weight)

    def forward(self, frames):
        """uint8 [n, H, W, 3] -> distribution over [n, keys], values [n]."""
        x = self.hidden(self.see(frames.permute(0, 3, 1, 2).float() / 255))
        return Independent(Bernoulli(logits=self.press(x)), 1), self.value(x)[:, 0]


torch.manual_seed(args.seed)
options = dict(game=args.game, checkpoint=args.checkpoint, device=args.device)
envs = gym.make_vec(
    "AAPT-World-v0", num_envs=args.envs, autoreset_mode=AutoresetMode.SAME_STEP, **options
)
if envs.reward_source == "none":
    print("this world has learned no reward: paying for speed as read off the dashboard")
    envs.dreams.reward_fn = speed
if not isinstance(envs.single_action_space, gym.spaces.MultiBinary):
    raise SystemExit(f"this example presses keys (MultiBinary), got {envs.single_action_space}")

height, width, _ = envs.single_observation_space.shape
agent = Agent(envs.single_action_space.n, height, width).to(envs.device)
adam = torch.optim.Adam(agent.parameters(), lr=args.lr, eps=1e-5)
T, N = args.rollout, args.envs
shape = dict(device=envs.device)
seen = torch.zeros(T, N, height, width, 3, dtype=torch.uint8, **shape)
pressed = torch.zeros(T, N, envs.single_action_space.n, **shape)
logp, paid, values, dones = (torch.zeros(T, N, **shape) for _ in range(4))

frames, _ = envs.reset(seed=args.seed)
returns, recent, curve, begun = torch.zeros(N, **shape), deque(maxlen=50), [], time.time()
for update in range(max(1, args.steps // (T * N))):
    for t in range(T):
        with torch.no_grad():
            chances, values[t] = agent(frames)
            action = chances.sample()
            logp[t] = chances.log_prob(action)
        seen[t], pressed[t] = frames, action
        frames, paid[t], terminated, truncated, infos = envs.step(action)
        over = terminated | truncated
        dones[t], returns = over.float(), returns + paid[t]
        if over.any():
            recent.extend(returns[over].tolist())
            returns[over] = 0
        if truncated.any():  # cut by the clock: what would have followed counts
            with torch.no_grad():
                paid[t] += args.gamma * agent(infos["final_obs"])[1] * (truncated & ~terminated)
    with torch.no_grad():
        after = agent(frames)[1]
    advantages, ahead = torch.zeros_like(paid), torch.zeros(N, **shape)
    for t in reversed(range(T)):
        on = 1 - dones[t]
        ahead = paid[t] + args.gamma * on * after - values[t] + args.gamma * args.gae * on * ahead
        advantages[t], after = ahead, values[t]
    flat = [x.flatten(0, 1) for x in (seen, pressed, logp, advantages, advantages + values)]
    for _ in range(args.epochs):
        for rows in torch.randperm(T * N, device=envs.device).chunk(args.minibatches):
            see, press, before, advantage, target = (x[rows] for x in flat)
            chances, value = agent(see)
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            ratio = (chances.log_prob(press) - before).exp()
            gain = torch.min(
                ratio * advantage, ratio.clamp(1 - args.clip, 1 + args.clip) * advantage
            )
            loss = -gain.mean() + 0.5 * (value - target).square().mean()
            loss -= args.entropy * chances.entropy().mean()
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            adam.step()
    steps, mean = (update + 1) * T * N, float(np.mean(recent)) if recent else None
    curve.append([steps, float(paid.mean()), mean])
    rate = steps / (time.time() - begun)
    print(f"{steps} steps, {rate:.0f}/s, reward per step {curve[-1][1]:.3f}, return {mean}")
about = {"settings": vars(args), "reward": envs.reward_source, "checkpoint": envs.checkpoint_hash}
with open(args.out, "w") as file:
    json.dump(about | {"curve": curve}, file, indent=1)

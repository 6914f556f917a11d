"""Train a driver only in the dream, then let it drive the real game, beside one trained in the game and a random one.

Stable-Baselines3's PPO with the same settings in both. Every (arm, seed) writes its own JSON when it is done; the same
command goes on with those that are missing. Run `python examples/train_ppo.py --steps 500000 --seeds 0 1 2 3 4`.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import cv2
import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from tqdm import tqdm

from aapt_env.checkpoint import POLICY, read_config
from aapt_env.evaluate.plots import chart
from aapt_env.games import HoldControl, make_game
from aapt_env.sb3 import DreamVecEnv
from aapt_env.tensors import sha256

LIMIT = 360  # steps of an episode: a minute
PPO_SETTINGS = dict(
    n_steps=128, batch_size=256, n_epochs=4, learning_rate=2.5e-4, gamma=0.99, gae_lambda=0.95,
    clip_range=0.2, ent_coef=0.01, vf_coef=0.5, max_grad_norm=0.5,
)  # fmt: skip


def game(name, size, k):
    """The game itself, at the dream's rhythm."""
    return gym.wrappers.TimeLimit(HoldControl(make_game(name, size, size), k), LIMIT)


class Curve(BaseCallback):
    """Mean return of the latest training episodes after every rollout; a bar on the way."""

    def __init__(self, name, steps):
        super().__init__()
        self.points, self.bar = [], tqdm(total=steps, desc=name, unit="step")

    def _on_step(self):
        self.bar.update(self.num_timesteps - self.bar.n)
        return True

    def _on_rollout_end(self):
        last = [episode["r"] for episode in self.model.ep_info_buffer]
        if last:
            self.points.append([self.num_timesteps, float(np.mean(last))])
            self.bar.set_postfix({"return": f"{self.points[-1][1]:.2f}"})

    def _on_training_end(self):
        self.bar.close()


def drive(choose, args, spec):
    """Returns and lengths of `args.episodes` episodes in the real game; `choose(observation)` is an action."""
    env, returns, lengths = game(args.game, spec.height, spec.k), [], []
    for episode in range(args.episodes):
        observation, _ = env.reset(
            seed=1_000_000 + episode
        )  # the same tracks for every arm and seed
        total, steps, over = 0.0, 0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(choose(observation))
            total, steps, over = total + reward, steps + 1, terminated or truncated
        returns.append(total)
        lengths.append(steps)
    env.close()
    return returns, lengths


def run(arm, seed, args, dream):
    """Train and test one arm under one seed; what its JSON says."""
    spec, begun = dream.envs.spec_world, time.time()
    space = spec.control.action_space()
    if arm == "random":
        space.seed(seed)
        returns, lengths = drive(lambda _: space.sample(), args, spec)
        return {"returns": returns, "lengths": lengths, "seconds": time.time() - begun}
    made = [lambda: game(args.game, spec.height, spec.k)] * args.envs
    envs = VecMonitor(dream if arm == "dream" else DummyVecEnv(made))
    curve = Curve(f"{arm} {seed}", args.steps)
    model = PPO("CnnPolicy", envs, seed=seed, device=args.device, **PPO_SETTINGS)
    model.learn(args.steps, callback=curve)
    trained = time.time() - begun
    torch.manual_seed(seed)
    returns, lengths = drive(lambda x: model.predict(x)[0], args, spec)
    return {
        "returns": returns, "lengths": lengths, "curve": curve.points,
        "train_seconds": trained, "seconds": time.time() - begun,
    }  # fmt: skip


def weights_of(folder):
    """One hash for the files that decide what a world shows and pays; its notes and its own player do not."""
    files = read_config(folder)[0].files
    kept = sorted(item for item in files.items() if item[0] != POLICY)
    return sha256(json.dumps(kept).encode())


def report(found):
    """Means over seeds, and how much of the game's lesson the dream taught."""
    means = {
        arm: [np.mean(each["returns"]) for each in runs] for arm, runs in found.items() if runs
    }
    for arm, values in means.items():
        print(
            f"{arm:<7} return in the game {np.mean(values):7.2f} +- {np.std(values):.2f} ({len(values)} seeds)"
        )
    if len(means) == 3:
        random, real, dreamt = (np.mean(means[arm]) for arm in ("random", "game", "dream"))
        print(f"(dream - random) / (game - random) = {(dreamt - random) / (real - random):.3f}")


def draw(found, path):
    """Learning curves as a PNG: mean return of the latest training episodes, ten times along each training."""
    charts = []
    for arm in ("game", "dream"):
        seeds = {}
        for done in found.get(arm, []):
            steps, returns = np.array(done["curve"]).T
            marks = np.linspace(steps[-1] / 10, steps[-1], 10)
            seeds[f"seed {done['settings']['seed']}"] = {
                f"{mark / 1000:.0f}k": {"value": value}
                for mark, value in zip(marks, np.interp(marks, steps, returns), strict=True)
            }
        title = f"return in the {arm} of PPO that is trained there, by steps"
        charts.append(chart(title, seeds, {name: name for name in seeds}))
    drawn = [image for image in charts if image is not None]
    if drawn:
        cv2.imwrite(str(path), np.concatenate(drawn)[..., ::-1])


def main():
    """All arms and seeds that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="driving")
    parser.add_argument("--checkpoint", help="a checkpoint folder instead of the game's")
    parser.add_argument("--arms", nargs="+", default=["random", "game", "dream"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=500_000)
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=20, help="in the real game, after training")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/ppo"))
    args = parser.parse_args()
    dream = DreamVecEnv(args.game, args.envs, LIMIT, checkpoint=args.checkpoint, device=args.device)
    if "dream" in args.arms and dream.envs.reward_source == "none":
        sys.exit(
            "train_ppo.py: this world has learned no reward; train one with "
            f"'aapt train {args.game} --stage outcome', or leave 'dream' out of --arms"
        )
    fixed = {name: getattr(args, name) for name in ("game", "steps", "envs", "episodes")}
    args.out.mkdir(parents=True, exist_ok=True)
    found = {arm: [] for arm in args.arms}
    for seed in args.seeds:
        for arm in args.arms:
            settings = fixed | {"arm": arm, "seed": seed, "ppo": PPO_SETTINGS}
            settings |= {"world": weights_of(dream.envs.dreams.folder) if arm == "dream" else None}
            path = args.out / f"{arm}-{seed}.json"
            if path.is_file() and json.loads(path.read_text())["settings"] == settings:
                found[arm].append(json.loads(path.read_text()))
                continue
            result = {"settings": settings} | run(arm, seed, args, dream)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(result, indent=1))
            os.replace(partial, path)
            found[arm].append(result)
            print(f"{path}: mean return in the game {np.mean(result['returns']):.2f}")
    report(found)
    draw(found, args.out / "curves.png")


if __name__ == "__main__":
    main()

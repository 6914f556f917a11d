"""Drive the dream by planning in it: at every step, fork 64 futures from this very moment and keep what went best.

The cross-entropy method over keys: each future holds its own controls for two seconds, drawn from probabilities that
move towards those of the futures that earned most. Run `python examples/plan.py --seconds 5`; it writes plan.mp4.
"""

import argparse

import av
import gymnasium as gym
import numpy as np
import torch
from speed_reward import speed

import aapt_env  # noqa: F401  registers AAPT-World-v0

HOLD = 2  # steps that a future holds a control


def plan(env, futures, horizon, rounds, belief, rng):
    """The probabilities [blocks, keys] of a few rounds of the cross-entropy method, from where `env` stands."""
    dream = env.fork(futures, noise="split")
    moment = dream.clone_state()
    for _ in range(rounds):
        drawn = rng.random((futures, *belief.shape)) < belief
        dream.restore_state(moment)
        earned, alive = torch.zeros(futures), torch.ones(futures, dtype=torch.bool)
        for t in range(horizon):
            _, rewards, terminated, _, _ = dream.step(drawn[:, t // HOLD].astype(np.int8))
            earned += (rewards * alive.to(rewards.device)).cpu()
            alive &= ~terminated.cpu()
        best = earned.argsort(descending=True)[: max(1, futures // 8)].numpy()
        belief = 0.8 * drawn[best].mean(0) + 0.2 * belief
        belief = belief.clip(0.05, 0.95)
    return belief


def main():
    """Plan, drive, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--futures", type=int, default=64)
    parser.add_argument("--horizon", type=int, default=12, help="steps; 6 are a second")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()

    env = gym.make("AAPT-World-v0", game="driving", device=args.device).unwrapped
    if env.dreams.source == "none":
        print("this world has learned no reward: planning for speed as read off the dashboard")
        env.dreams.reward_fn = speed
    rng = np.random.default_rng(args.seed)
    _, info = env.reset(seed=args.seed)
    shown, total = [info["frames"][-1:]], 0.0
    belief = np.full((-(-args.horizon // HOLD), env.action_space.n), 0.5)
    for _ in range(round(args.seconds * env.metadata["render_fps"])):
        belief = plan(env, args.futures, args.horizon, args.rounds, belief, rng)
        _, reward, terminated, _, info = env.step((belief[0] > 0.5).astype(np.int8))
        shown.append(info["frames"])
        total += reward
        if terminated:
            break
    with av.open("plan.mp4", "w") as video:
        stream = video.add_stream("libx264", rate=env.frame_fps)
        stream.height, stream.width = (4 * side for side in shown[0].shape[1:3])
        for frame in np.concatenate(shown):
            large = frame.repeat(4, axis=0).repeat(4, axis=1)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
        video.mux(stream.encode(None))
    print(f"plan.mp4: {len(shown) - 1} steps, reward {total:.2f} ({env.dreams.source})")


if __name__ == "__main__":
    main()

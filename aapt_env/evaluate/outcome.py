"""How true the learned reward and the learned ending are: the dream beside its game, on the same controls."""

from __future__ import annotations

import numpy as np

from aapt_env.data.policies import RandomControl
from aapt_env.evaluate import rollouts
from aapt_env.evaluate.course import Course
from aapt_env.evaluate.parts import Figures
from aapt_env.evaluate.summary import Board, Metrics, Window
from aapt_env.starts import Start
from aapt_env.twin import Twin

SECONDS = 10.0  # over which they are compared, at most


def collect(course: Course) -> Figures:
    """Rewards and endings of game and dream, [n, T] each; even starts under the driver, odd ones under random controls.

    Random controls crash, so that there are endings to foretell.
    """
    seconds = min(SECONDS, course.seconds)
    return course.collect(
        "outcome", course.count, seconds, lambda f, s: both(course, f, s, seconds)
    )


def both(course: Course, first: int, starts: list[Start], seconds: float) -> Figures:
    """Figures of some starts: game_reward, game_ended, alive (the game runs until then), dream_reward, dream_ending."""
    twin, length = course.twin, course.latents(seconds)
    assert twin is not None, "the caller has one"
    played = []
    for i, start in enumerate(starts):
        seed = course.seed + first + i
        odd = (first + i) % 2
        player = RandomControl(twin.control, seed) if odd else rollouts.driver(twin, seed)
        played.append(play(twin, start, length, player))
    rows, reward, ended, alive = (np.stack(part) for part in zip(*played, strict=True))
    seeds = course.seeds(first, starts)
    world, _ = rollouts.begin(course.checkpoint, starts, seeds, course.device, course.fast)
    told = []
    for t in range(length):
        world.advance(rows[:, t])
        told.append([world.reward.cpu().numpy(), world.ending.cpu().numpy()])
    paid, ending = np.array(told, np.float32).transpose(1, 2, 0)
    return {
        "game_reward": reward, "game_ended": ended, "alive": alive, "dream_reward": paid, "dream_ending": ending,
    }  # fmt: skip


def play(twin: Twin, start: Start, length: int, player) -> tuple[np.ndarray, ...]:
    """Play the game on from a start: rows [T, width], rewards [T], ended [T] bool, alive before each step [T] bool."""
    rollouts.stand(twin, start)
    if hasattr(player, "reset"):
        player.reset(twin.game.unwrapped)
    rows, rewards, ended, alive = [], [], [], []
    for _ in range(length):
        alive.append(not twin.over)
        row = twin.control.to_row(player(twin.frames[-1], twin.info))
        twin.step(row)
        rows.append(row)
        rewards.append(twin.reward)
        ended.append(bool(twin.terminated))
    return np.stack(rows), np.array(rewards, np.float32), np.array(ended), np.array(alive)


def metrics(part: Figures, spans: list[Window], threshold: float) -> Metrics:
    """Reward error by horizon, the return up to there, and precision and recall of endings up to there.

    A game that was called off, as by a clock, says nothing of endings after that: those of its dream count from before.
    """
    board, alive = Board(), part["alive"]
    game, dream = np.where(alive, part["game_reward"], 0), np.where(alive, part["dream_reward"], 0)
    mean = part["game_reward"][alive].mean()
    were = np.logical_or.accumulate(part["game_ended"], axis=1)
    ending = (part["dream_ending"] >= threshold) & (alive | were)
    said = np.logical_or.accumulate(ending, axis=1)
    for w in spans:
        at, upto = w.latents, slice(0, w.latents.stop)
        count = alive[:, at].sum(1)
        there = count > 0
        for name, gap in (("", dream - game), ("_of_the_mean", np.where(alive, mean - game, 0))):
            errors = np.abs(gap[there][:, at]).sum(1) / count[there]
            board.mean(f"reward_error{name}", w.name, errors)
        returns = {"dream": dream[:, upto].sum(1), "game": game[:, upto].sum(1)}
        for name, total in returns.items():
            board.mean(f"return_{name}", w.name, total)
        board.mean("return_error", w.name, np.abs(returns["dream"] - returns["game"]))
        foretold, came = said[:, upto][:, -1], were[:, upto][:, -1]
        hits = int((foretold & came).sum())
        for name, total in (("precision", foretold.sum()), ("recall", came.sum())):
            if total:
                board.put(f"termination_{name}", w.name, {"value": hits / total, "n": int(total)})
    return board.metrics

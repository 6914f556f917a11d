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
        "outcome", course.count, seconds, lambda f, s: both(course, f, s, players(course, f, s))
    )


def collect_elsewhere(course: Course, rows: np.ndarray) -> Figures:
    """The same under the controls of another start's drive, rows [n, T, width]: hands that answer nothing ahead.

    Whoever plays well answers what is seen, and so a world may learn to show what the hands answer: a road that bends
    after the wheel. It reads back every control and still is no game to train an agent in. This tells.
    """
    seconds = min(SECONDS, course.seconds)
    other = np.roll(rows, 1, axis=0)[:, : course.latents(seconds)]
    return course.collect(
        "elsewhere", course.count, seconds,
        lambda f, s: both(course, f, s, [Again(course, own) for own in other[f : f + len(s)]]),
    )  # fmt: skip


class Again:
    """Plays rows [T, width], whatever happens."""

    def __init__(self, course: Course, rows: np.ndarray):
        self.control, self.rows = course.checkpoint.spec.control, iter(rows)

    def __call__(self, observation: np.ndarray, info: dict):
        """The next one."""
        return self.control.from_row(next(self.rows))


def players(course: Course, first: int, starts: list[Start]) -> list:
    """The driver for even starts, random controls for odd ones."""
    twin, seeds = course.twin, [course.seed + first + i for i in range(len(starts))]
    assert twin is not None, "the caller has one"
    return [
        RandomControl(twin.control, seed) if (first + i) % 2 else rollouts.driver(twin, seed)
        for i, seed in enumerate(seeds)
    ]


def both(course: Course, first: int, starts: list[Start], who: list) -> Figures:
    """Figures of some starts, `who[i]` playing the i-th, for as long as they are compared.

    game_reward, game_ended, alive (the game runs until then), dream_reward, dream_ending.
    """
    twin, length = course.twin, course.latents(min(SECONDS, course.seconds))
    assert twin is not None, "the caller has one"
    played = [play(twin, start, length, who[i]) for i, start in enumerate(starts)]
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


def elsewhere(part: Figures, spans: list[Window]) -> Metrics:
    """Mean reward per latent in each window while the game runs, of game and dream, under hands that answer nothing."""
    board, alive = Board(), part["alive"]
    for w in spans:
        there = alive[:, w.latents]
        some, count = there.any(1), there.sum(1)
        for name in ("game", "dream"):
            paid = np.where(there, part[f"{name}_reward"][:, w.latents], 0).sum(1)
            board.mean(f"elsewhere_reward_{name}", w.name, paid[some] / count[some])
    return board.metrics


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

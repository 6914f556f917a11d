"""Where the dreams of a checkpoint begin: places in held-out episodes, spread over them."""

from __future__ import annotations

from aapt_env.data.episodes import Episodes
from aapt_env.starts import PREFIX, Start
from aapt_env.train.dice import Dice

STARTS = 64
LATEST = 20  # seconds into an episode


def beginnings(
    episodes: Episodes, indices: list[int], seed: int, carry: bool = False
) -> list[Start]:
    """Starts out of episodes `indices`: of those with room for a dream where there are any.

    Args:
        episodes: the dataset.
        indices: where starts are looked for first.
        seed: of the dice.
        carry: whether the world carries the numbers that the dataset has.

    Raises:
        ValueError: no episode is as long as a latent.
    """
    k = episodes.spec.k
    longest = max(episode.length for episode in episodes.index) - 1
    span = min(PREFIX * k, longest // k * k)  # shorter starts where the game is over sooner
    if not span:
        raise ValueError(f"no episode has the {1 + k} frames of a latent; record longer ones")
    pools = [[i for i in indices if episodes.index[i].length > least] for least in (2 * span, span)]
    pools += [[i for i in range(len(episodes)) if episodes.index[i].length > span]]
    pool = next(filter(None, pools))
    dice, found = Dice.of(seed, "starts", 0), []
    for n in range(STARTS):
        i = pool[n % len(pool)]
        about = episodes.index[i]
        room = max(1, (about.length - 2 * span) // k)
        first = k * int(dice.pick.integers(min(room, LATEST * episodes.spec.frame_fps // k)))
        frames = episodes.frames(i, first, first + span + 1)
        controls = episodes.controls(i)[: first + span]
        told = episodes.carried(i) if carry else None
        told = None if told is None else told[first : first + span + 1 : k]
        parts = {"frames": frames, "controls": controls, "carried": told}
        found.append(Start(seed=about.seed, scene=about.scene, **parts))
    return found

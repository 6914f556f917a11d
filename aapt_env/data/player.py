"""Play one episode after the other and write each."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from aapt_env.data import policies
from aapt_env.data.writer import EpisodeWriter
from aapt_env.flags import sentence
from aapt_env.guard import guarded
from aapt_env.spec import ControlSpec, WorldSpec
from aapt_env.twin import told_by


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an episode's content depends on, beside its number."""

    game: str
    height: int  # pixels
    width: int  # pixels
    k: int  # frames per latent
    policy: str  # several joined by "+" take turns, episode by episode
    seed: int
    max_seconds: float  # of one episode
    checkpoint: str | None = None  # hash of the dream's; of a game, none
    with_latents: bool = False  # a dream's, beside its frames
    scene: dict[str, str] | None = None  # what all episodes have; the seed draws the rest

    def __post_init__(self):
        if self.with_latents and self.checkpoint is None:
            raise ValueError(
                f"{self.game} has no latents, it is a game; leave --latents out, or record dream:NAME"
            )

    def to_dict(self) -> dict:
        """JSON form; what is not there is left out, and so a game's is as it always was."""
        every = dataclasses.asdict(self)
        return {n: v for n, v in every.items() if v is not None and v is not False}

    def latents(self, spec: WorldSpec) -> int:
        """Latents an episode has at most."""
        return max(1, int(self.max_seconds * spec.frame_fps) // self.k)


def options(scene: dict[str, str] | None) -> dict | None:
    """Options of a reset into a scene; None where nothing is asked for, as games without options want it."""
    return {"scene": dict(scene)} if scene else None


class Halted(Exception):
    """An episode was given up, because the recording stops."""


class Player:
    """Plays and writes episodes, one at a time.

    Args:
        recipe: what to play.
        env: the game at the dream's rhythm.
        writer: takes the episodes.
        halted: asked before each latent; True gives the episode up.
    """

    def __init__(
        self,
        recipe: Recipe,
        env: gym.Env,
        writer: EpisodeWriter,
        halted: Callable[[], bool] = lambda: False,
    ):
        self.recipe, self.env, self.writer, self.halted = recipe, env, writer, halted
        self._policies = recipe.policy.split("+")

    def play(self, index: int) -> int:
        """Play and write episode `index`; returns its frames.

        Raises:
            Halted: the recording was stopped in mid-episode.
            ValueError: the checkpoint is no longer the recipe's, or the policy or the game fails.
        """
        self._check()
        game_seed, policy_seed = episode_seeds(self.recipe.seed, index)
        with episode(index):
            return self._play(index, game_seed, policy_seed)

    def _play(self, index: int, game_seed: int, policy_seed: int) -> int:
        name = self._policies[index % len(self._policies)]
        env, dream = self.env, self.env.unwrapped
        control = self.writer.spec.control
        with asking(name, control):
            policy = policies.load(name, env)(policy_seed)
        obs, info = env.reset(seed=game_seed, options=options(self.recipe.scene))
        extras = {"game": self.recipe.game, "policy_seed": policy_seed, **told_of_dream(env, info)}
        k = self.recipe.k
        scene = info.get("scene", {}) if self.writer.spec.scenes else {}
        with asking(name, control):
            if hasattr(policy, "reset"):
                policy.reset(dream)
        frames, rows, rewards = [info["frames"][-1:]], [], []
        told = [told_by(info, k)[-1:]] if self.writer.spec.carried else []
        latents = [dream.latent] if self.recipe.with_latents else []
        over = terminated = truncated = False
        real, most = 1, self.recipe.latents(self.writer.spec)
        while not over and len(rows) < most:
            if self.halted():
                raise Halted
            with asking(name, control):
                action = policy(obs, info)
                rows.append(control.to_row(action))
            obs, reward, terminated, truncated, info = env.step(action)
            frames.append(info["frames"])
            rewards.append(paid(reward, info, k))
            latents += [dream.latent] if latents else []
            told += [told_by(info, k)] if told else []
            real += info.get("frames_real", k)
            over = terminated or truncated
        self.writer.add(
            np.concatenate(frames),
            np.repeat(np.stack(rows), k, axis=0),
            np.concatenate(rewards),
            terminated=terminated,
            truncated=not terminated,
            seed=game_seed,
            scene=scene,
            policy=name,
            index=index,
            frames_real=real,
            latents=np.stack(latents).astype(np.float16) if latents else None,
            carried=np.concatenate(told) if told else None,
            **extras,
        )
        return 1 + len(rows) * k

    def _check(self) -> None:
        """Raises ValueError: a training wrote another checkpoint since the recording began."""
        now = getattr(self.env.unwrapped, "checkpoint_hash", None)
        if now != self.recipe.checkpoint:
            raise ValueError(
                f"the checkpoint of {self.recipe.game} is now {now}, the recording was begun with "
                f"{self.recipe.checkpoint}; record a copy of it that no training changes: dream:FOLDER"
            )


def asking(name: str, control: ControlSpec) -> contextlib.AbstractContextManager:
    """Where a policy is asked: whatever goes wrong in it becomes one ValueError, which says what is expected."""
    return guarded(
        f"policy {name!r}",
        wanted="expected a function that takes a seed and returns a policy, (observation, info) -> an action of "
        f"{control.action_space()}",
    )


@contextlib.contextmanager
def episode(index: int) -> Iterator[None]:
    """Names the episode in which a game or a policy fails: recorded once more, it fails again."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"episode {index}: {sentence(error)}; finished episodes are kept, and the same command goes on once that "
            "is repaired"
        ) from error


def told_of_dream(env: gym.Env, info: dict) -> dict:
    """What an episode keeps of how it was dreamt: {"start", "dream"}; of a game, just reset, nothing.

    Args:
        env: just reset.
        info: what reset told.
    """
    if not hasattr(env.unwrapped, "spec_world"):
        return {}
    told = {"start": int(info["start"]["index"])} if "start" in info else {}
    making = getattr(env.unwrapped, "making", None)
    if making is not None:
        told["dream"] = making | {"noise_seed": int(info["seed"])}
    return told


def paid(reward: float, info: dict, k: int) -> np.ndarray:
    """float32 [k], the reward of each frame of a step; a dream pays by the latent, each frame an equal share."""
    return info.get("rewards", np.full(k, reward / k, np.float32))


def episode_seeds(seed: int, index: int) -> tuple[int, int]:
    """(game seed, policy seed) of episode `index`: 31 bits each."""
    game, policy = np.random.SeedSequence([seed, index]).generate_state(2)
    return int(game >> 1), int(policy >> 1)

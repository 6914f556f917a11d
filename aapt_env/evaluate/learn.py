"""`aapt meter`: train the observer on real recorded frames, by the loop that trains all else."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aapt_env.data.episodes import Episodes, load_frames
from aapt_env.device import fast_bf16, pick
from aapt_env.evaluate import meter, reading
from aapt_env.games import control_mask
from aapt_env.model.observer import Observer, ObserverConfig
from aapt_env.paths import data_dir
from aapt_env.spec import WorldSpec
from aapt_env.train import loop, state
from aapt_env.train.clips import FrameClips
from aapt_env.train.dice import Dice
from aapt_env.train.stage import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Learn:
    """How an observer is trained."""

    frames: int = 90_000  # recorded frames to learn from, at most; decoding them takes its time too
    held_frames: int = 12_000  # held-out frames to be examined on, at most
    steps: int | None = None  # None: as many as the budget allows
    batch: int = 64
    lr: float = 1.5e-3
    soft: float = 1.5  # blur of real frames in pixels at 64 rows, at most: what moves is to be read, not fine texture
    grain: float = 0.04  # noise of real frames, at most; pixels are in 0 ... 4
    guess: float = 0.25  # weight of guessing control and scene from one frame, for features
    sizes: dict = dataclasses.field(default_factory=dict)  # of ObserverConfig, where not its own


@dataclass(frozen=True)
class Recorded:
    """Decoded episodes: frames [F, H, W, 3], controls [F-1, width], scene indices [attributes]."""

    frames: list[np.ndarray]
    controls: list[np.ndarray]
    scenes: list[np.ndarray]

    @classmethod
    def of(cls, episodes: Episodes, indices: list[int], room: int) -> Recorded:
        """As many of the episodes, evenly chosen, as `room` frames allow; at least one."""
        mean = sum(episodes.index[i].length for i in indices) / len(indices)
        count = min(len(indices), max(1, int(room / mean)))
        chosen = [indices[i * len(indices) // count] for i in range(count)]
        return cls(
            load_frames(episodes, chosen),
            [episodes.controls(i) for i in chosen],
            [episodes.spec.scene_row(episodes.index[i].scene) for i in chosen],
        )

    def rows(self, k: int) -> list[np.ndarray]:
        """Controls per latent, [T, width] each."""
        return [
            c[::k][: (len(f) - 1) // k] for c, f in zip(self.controls, self.frames, strict=True)
        ]


def soften(grey: Tensor, dice: Dice, soft: float, grain: float) -> Tensor:
    """Blur and noise of their own strength on every other stack.

    A picture that went through a VAE, or a dream, has lost some of its texture. Whether its controls can be read should
    hang on how it moves.

    Args:
        grey: [B, S, H, W].
        dice: of the step.
        soft: standard deviation of the blur, at most, in pixels at 64 rows.
        grain: standard deviation of the noise, at most.

    Returns:
        The same shape; rows 1, 3, ... are as they were.
    """
    some = grey[::2]
    sigma = dice.uniform(len(some), 1) * soft * grey.shape[-2] / 64 + 1e-3
    reach = math.ceil(2 * soft * grey.shape[-2] / 64)
    at = torch.arange(-reach, reach + 1, device=grey.device)
    kernel = (-0.5 * (at / sigma).square()).exp()
    kernel = kernel / kernel.sum(1, keepdim=True)  # [n, taps]
    n, s, h, w = some.shape
    x = some.transpose(0, 1)  # a group per stack, so that each has its own kernel
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), "replicate"), kernel[:, None, :, None], groups=n)
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), "replicate"), kernel[:, None, None, :], groups=n)
    noise = dice.normal(n, s, h, w) * dice.uniform(n, 1, 1, 1) * grain
    out = grey.clone()
    out[::2] = x.transpose(0, 1) + noise
    return out


class ObserverStage(Stage):
    """Read the control of a latent from the frames around it, with rare controls weighing as much as common ones."""

    def __init__(
        self,
        config: Learn,
        observer: Observer,
        train: Recorded,
        held: Recorded,
        device: torch.device,
    ):
        super().__init__(name="meter", modules={"observer": observer})
        self.config, self.observer, self.device = config, observer, device
        self.train, self.held, c = train, held, observer.config
        self.clips, self.rows = FrameClips(train.frames, c.k, device), train.rows(c.k)
        self.weight = reading.weights(observer.control, np.concatenate(self.rows)).to(device)
        self.room = np.array([max(0, len(r) - c.before - c.after) for r in self.rows], float)
        if not self.room.sum():
            raise ValueError(f"no episode has the {c.span} frames that an observer looks at")
        adam = torch.optim.AdamW(observer.parameters(), lr=config.lr, weight_decay=0.02, fused=True)
        self.turns = [Turn("observer", (observer,), adam, self.losses)]

    def batch(self, dice: Dice, size: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Stacks [B, span, H, W, 3], controls [B, width] and scenes [B, attributes]."""
        c = self.observer.config
        episodes = dice.pick.choice(
            len(self.room), size or self.config.batch, p=self.room / self.room.sum()
        )
        firsts = np.array([int(dice.pick.integers(self.room[e])) for e in episodes])
        at = zip(episodes, firsts, strict=True)
        rows = np.stack([self.rows[e][t + c.before] for e, t in at])
        scenes = np.stack([self.train.scenes[e] for e in episodes])
        r, s = (torch.from_numpy(x).to(self.device) for x in (rows, scenes))
        return self.clips.at(episodes, c.k * firsts, c.span), r, s

    def losses(self, batch: tuple[Tensor, Tensor, Tensor], dice: Dice) -> Losses:
        """One loss; `accuracy` of the batch, every class counting alike."""
        frames, rows, scenes = batch
        observer, control = self.observer, self.observer.control
        soft, grain = self.config.soft, self.config.grain
        grey, now = soften(observer.grey(frames), dice, soft, grain), observer.now(frames)
        motion, look = observer.motion(grey.diff(dim=1)), observer.look(now)
        if control.kind == "pose":
            now = soften(now, dice, soft, grain)
        logits = observer.reading(motion, now)
        read = reading.loss(control, logits, rows, self.weight)
        guesses = observer.guess(F.silu(look)).float()
        guess = reading.loss(control, guesses[:, : control.size], rows, self.weight)
        parts = guesses[:, control.size :].split(list(observer.config.scenes), dim=1)
        for part, scene in zip(parts, scenes.T, strict=True):
            guess = guess + F.cross_entropy(part, scene)
        with torch.no_grad():
            truth = reading.classes(control, rows.cpu().numpy())[None]
            seen = reading.read(control, logits)[None]
            right = reading.accuracy(reading.tally(truth, seen, reading.count(control)))
        yield (
            read + self.config.guess * guess,
            {"read": read.detach(), "guess": guess.detach(), "accuracy": float(right.mean())},
        )

    @torch.no_grad()
    def finish(self) -> None:
        """Round weights as they will be stored; then measure what real features are like, held-out ones too."""
        observer = self.observer.eval()
        for p in observer.parameters():
            p.copy_(p.bfloat16())
        observer.mean.zero_()
        observer.std.fill_(1)
        size, found = len(observer.bank), []
        for i in range(-(-2 * size // 64)):  # in fp32, as the meter will see
            with torch.autocast(self.device.type, enabled=False):
                found.append(observer(self.batch(Dice.of(0, "bank", i), 64)[0])[1])
        features = torch.cat(found)
        observer.mean.copy_(features.mean(dim=0))
        observer.std.copy_(features.std(dim=0).clamp_min(1e-3))
        observer.bank.copy_(((features - observer.mean) / observer.std)[:size].bfloat16())
        self.tear()
        with torch.autocast(self.device.type, enabled=False):
            clips = [meter.watch(observer, f[None]) for f in self.held.frames]
        far = np.concatenate([seen.distance.ravel() for seen in clips])
        observer.far.fill_(float(np.nanpercentile(far, 99.9)))
        strange = np.concatenate([seen.strangeness.ravel() for seen in clips])
        observer.torn.fill_(float(np.nanpercentile(strange, 99.9)))
        observer.train()

    def tear(self) -> None:
        """Keep real patches of every row, one per row of a stack, until there are enough."""
        observer, size, found = self.observer, self.config.batch, []
        while sum(map(len, found)) < observer.config.patches:
            dice = Dice.of(0, "patches", len(found))
            pieces = observer.pieces(self.batch(dice, size)[0])
            across = torch.from_numpy(dice.pick.integers(pieces.shape[2], size=size))
            found.append(pieces[torch.arange(size), :, across.to(pieces.device)])
        kept = torch.cat(found)[: observer.config.patches].transpose(0, 1)
        observer.patches.copy_(kept.round())


def examine(observer: Observer, held: Recorded) -> dict[str, float]:
    """Share of controls read back from held-out real frames, per element; every class counts alike."""
    control, c = observer.control, observer.config
    tallies = []
    for frames, rows in zip(held.frames, held.rows(c.k), strict=True):
        seen = meter.watch(observer, frames[None]).reading[:, c.before : len(rows) - c.after]
        truth = reading.classes(control, rows)[None, c.before : len(rows) - c.after]
        tallies.append(reading.tally(truth, seen, reading.count(control)))
    right = reading.accuracy(np.concatenate(tallies).sum(0))
    return {
        name: round(float(v), 4) for name, v in zip(reading.elements(control), right, strict=True)
    }


def new_observer(spec: WorldSpec, config: Learn) -> Observer:
    """An untrained observer of a world, blind to the pixels that display the control."""
    scenes = tuple(len(values) for values in spec.scenes.values())
    around = 4 // spec.k  # latents: four frames, in which a control has shown
    sizes = dict(
        height=spec.height, width=spec.width, k=spec.k, before=around, after=around, scenes=scenes
    )
    sizes |= config.sizes
    observer = Observer(ObserverConfig(**sizes), spec.control)
    observer.mask.copy_(torch.from_numpy(control_mask(spec)))
    return observer


def learn(
    game: str,
    budget: float = 300.0,
    time_limit: float | None = None,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    config: Learn | None = None,
) -> bool:
    """Train a game's observer and write its meter; the same call goes on where one was stopped.

    Args:
        game: whose recordings it learns from.
        budget: seconds for all of it, decoding included.
        time_limit: seconds after which this call stops, resumable.
        data: the dataset's folder, by default data/GAME.
        out: where it is trained and written, by default runs/GAME/meter.
        device: auto, cpu or cuda.
        seed: of weights and the order of frames.
        config: settings.

    Returns:
        Whether it is complete.

    Raises:
        ValueError: no dataset, a damaged state, or episodes too short.
    """
    begun, config = time.monotonic(), config or Learn()
    deadline = begun + time_limit if time_limit else float("inf")
    out, device_ = Path(out or meter.home(game)), pick(device)
    if (out / meter.ABOUT).is_file():
        accuracy = meter.load(out).about.accuracy
        print(f"{out} holds a trained meter ({describe(accuracy)}); remove it to start over")
        return True
    episodes = Episodes.open(Path(data or data_dir(game)))
    train, held = recorded(episodes, config)
    torch.manual_seed(seed)
    observer = new_observer(episodes.spec, config).to(device_)
    stage = ObserverStage(config, observer, train, held, device_)
    left = max(5.0, budget - (time.monotonic() - begun))
    run = loop.Run(
        folder=out, seed=seed, steps=config.steps, seconds=left, deadline=deadline, device=device_,
        bf16=fast_bf16(device_),
    )  # fmt: skip
    if not loop.train(stage, run):
        print("stopped by the time limit; the same command goes on")
        return False
    accuracy = examine(observer.eval(), held)
    about = {
        "steps": int(state.read_meta(out / "state.safetensors")["steps"]),
        "frames": sum(map(len, train.frames)),
        "held_out_frames": sum(map(len, held.frames)),
        "seed": seed,
    }
    meter.save(out, game, observer, accuracy, about)
    print(f"reads controls of held-out real frames: {describe(accuracy)}; the meter is in {out}")
    return True


def recorded(episodes: Episodes, config: Learn) -> tuple[Recorded, Recorded]:
    """Frames to learn from, and frames to be examined on. Raises ValueError: there are too few episodes for both."""
    if len(episodes) < 2:
        raise ValueError(f"{episodes.path} has {len(episodes)} episodes; a meter needs 2 or more")
    train, held = episodes.split()
    return Recorded.of(episodes, train, config.frames), Recorded.of(
        episodes, held, config.held_frames
    )


def describe(accuracy: dict[str, float]) -> str:
    """Accuracies as text."""
    return ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items())

"""Who plays in rollouts: a pilot that answers the dream's latents as the recorded player answered the game's.

Rolled out under recorded controls, a dream that is held against recordings learns what went with the controls there: a
road that bends where the wheel turns, because the player turned it where the road bent. Under a pilot's controls it is
the wheel again that follows the road, in fakes as in real clips.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import step
from aapt_env.spec import ControlSpec
from aapt_env.train import state
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.optim import adam

SEEN = 3  # latents that it sees
HELD = 8  # controls that it remembers
DROP, BLUR = 0.5, 0.5  # of what it sees in training: without, it learns the recordings by heart
KEYS = 8  # MultiBinary controls up to so many keys: one choice out of all their combinations


class Pilot(nn.Module):
    """The last latents and the last controls -> how likely each control is next.

    Args:
        control: Discrete, or MultiBinary with few keys.
        shape: (C, h, w) of a latent.
        width: of its layers.

    Raises:
        ValueError: another kind of control.
    """

    table: Tensor

    def __init__(self, control: ControlSpec, shape: tuple[int, int, int], width: int = 64):
        super().__init__()
        few = control.space == "MultiBinary" and control.size <= KEYS
        if control.space != "Discrete" and not few:
            raise ValueError(
                f"a pilot chooses between controls, expected Discrete or MultiBinary of at most {KEYS} keys, got "
                f"{control.space} of {control.size}; train with piloted=0"
            )
        rows = torch.arange(2**control.size if few else control.size)
        bits = rows[:, None] >> torch.arange(control.size) & 1 if few else rows[:, None]
        self.register_buffer("table", bits.float(), persistent=False)  # [choices, control width]
        channels, h, w = shape
        self.look = nn.Sequential(
            nn.Conv2d(SEEN * channels, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU(), nn.Flatten(),
            nn.Dropout(DROP),
        )  # fmt: skip
        cells = -(-h // 2) * -(-w // 2)
        self.recall = nn.Linear(HELD * len(rows), width)
        self.choose = nn.Sequential(
            nn.Linear(width * cells + width, 2 * width), nn.SiLU(), nn.Linear(2 * width, len(rows))
        )

    def forward(self, latents: Tensor, choices: Tensor) -> Tensor:
        """[B, SEEN, C, h, w] and [B, HELD] int64 (-1: none yet), oldest first -> [B, choices] logits."""
        past = F.one_hot(choices + 1, len(self.table) + 1)[..., 1:].flatten(1)
        seen = self.look(latents.flatten(1, 2))
        return self.choose(torch.cat([seen, self.recall(past.to(seen.dtype))], dim=1))

    def indices(self, controls: Tensor) -> Tensor:
        """Controls [..., k, width] -> [...] int64, the choice that was held in the first of the k frames."""
        first = controls[..., 0, :]
        return (first[..., None, :] == self.table).all(-1).long().argmax(-1)

    def views(self, latents: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """What it sees before each next control: [B, n, ...] latents and [B, n - 1] choices, padded at the beginning.

        Returns:
            [B, n, SEEN, C, h, w] and [B, n, HELD].
        """
        n = latents.shape[1]
        padded = torch.cat([latents[:, :1].expand(-1, SEEN - 1, -1, -1, -1), latents], dim=1)
        seen = padded.unfold(1, SEEN, 1).movedim(-1, 2)
        past = F.pad(choices, (HELD, 0), value=-1)[:, : n - 1 + HELD]
        return seen, past.unfold(1, HELD, 1)


def learn(
    clips: LatentClips, control: ControlSpec, seed: int, steps: int = 800, batch: int = 64
) -> Pilot:
    """A pilot cloned from the recordings, in about a minute. The same seed gives the same one."""
    torch.manual_seed(seed)
    device, length = clips.latents.device, min(16, clips.longest)
    pilot = Pilot(control, tuple(clips.latents.shape[1:])).to(device)
    optimizer = adam(pilot, 1e-3, decay=0.1)
    for i in range(steps):
        dice = Dice.of(seed, "pilot", i, device)
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, 2 * (1 - i / steps))
        optimizer.zero_grad()
        loss(pilot, clips.sample(dice, batch, length), dice, every=4).backward()
        optimizer.step()
    return pilot.eval().requires_grad_(False)


def loss(pilot: Pilot, clip: Clip, dice: Dice, every: int = 1) -> Tensor:
    """Cross-entropy of one in `every` recorded controls, nats; latents are blurred by noise in training."""
    choices = pilot.indices(clip.controls)
    cut = slice(int(dice.pick.integers(min(every, choices.shape[1]))), None, every)
    seen, past = (
        x[:, cut].flatten(0, 1) for x in pilot.views(clip.latents[:, :-1], choices[:, :-1])
    )
    if pilot.training:
        seen = seen + BLUR * dice.normal(*seen.shape)
    return F.cross_entropy(pilot(seen, past), choices[:, cut].flatten())


def ready(path: Path, clips: LatentClips, control: ControlSpec, seed: int) -> Pilot:
    """The run's pilot: read from `path`, or learned and written there."""
    if path.is_file():
        pilot = Pilot(control, tuple(clips.latents.shape[1:])).to(clips.latents.device)
        state.load_module(path, "pilot", pilot)
    else:
        pilot = learn(clips, control, seed)
        state.save(path, {"pilot": pilot}, {}, {"step": 1, "steps": 1, "stage": "pilot"})
    return pilot.eval().requires_grad_(False)


@torch.no_grad()
def fly(
    pilot: Pilot, generator: Generator, clip: Clip, noise: Tensor, given: int, rows: int, dice: Dice
) -> Clip:
    """The clip with the controls that the pilot chooses in the first `rows` of a rollout from it.

    Args:
        clip: [B, 1 + T] latents of which `given` begin the rollout, and [B, T] controls that led from one to the next.
        noise: [B, T, C, h, w] that the same rollout will be made of again.
        given: leading latents that are real, and so are the controls between them.
        rows: of the batch that are piloted.
        dice: choose among likely controls.

    Returns:
        A clip of the same shapes; a rollout over it from `noise` makes the latents that the pilot saw.
    """
    trunk, few = generator.trunk, slice(0, rows)
    cache = GrowingCache(trunk.rope, trunk.scene(clip.scene[few]), generator.config.window)
    controls, k = clip.controls.clone(), clip.controls.shape[2]
    choices = pilot.indices(controls[few])
    out = list(clip.latents[few, :given].unbind(1))
    for i in range(noise.shape[1]):
        if i >= given - 1:
            seen = torch.stack([out[max(0, j)] for j in range(i + 1 - SEEN, i + 1)], dim=1)
            past = F.pad(choices[:, max(0, i - HELD) : i], (max(0, HELD - i), 0), value=-1)
            likely = pilot(seen, past).float().softmax(-1)
            choices[:, i] = torch.multinomial(likely, 1, generator=dice.torch)[:, 0]
            controls[few, i] = pilot.table[choices[:, i]][:, None].expand(-1, k, -1)
        made = step(generator, out[i], controls[few, i], noise[few, i], cache)
        if i + 1 >= len(out):
            out.append(made)
    torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
    return replace(clip, controls=controls)

"""`aapt train GAME --recipe auto --budget 2h`: measure this machine, then pick sizes and a plan that fit.

The measure is real updates of every stage on noise, for a minute at most. What a world needs is taken from one that was
trained and measured: the shipped 64x64 `driving` (docs/lab.md).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from aapt_env.data.episodes import Episodes, cores
from aapt_env.device import pick
from aapt_env.games import make_held, world_spec
from aapt_env.spec import WorldSpec
from aapt_env.strict import strict
from aapt_env.train.measure import Measure, free_memory, measure
from aapt_env.train.recipes import STAGES, Recipe, cpu

MEASURE = 60.0  # seconds
# Updates of batch 16 (VAE: 6) that made the shipped world of `driving` what its model card says.
NEEDS = {
    "autoencode": 3_400,
    "diffusion": 9_500,
    "consistency": 450,
    "adversarial": 600,
    "long": 380,
}
WEIGHTS = 3.7e6  # of its generator
REACHED = (  # its model card
    "motion 0.73 of the game's, controls read back 0.71 to 0.80 as well as from the game, "
    "a twin of 24 dB in the first second"
)
LADDER = (  # generator (width, blocks, heads) and VAE widths, from small to large
    (128, 3, 2, (64, 96)),
    (192, 3, 3, (96, 128)),
    (256, 4, 4, (128, 192)),
    (320, 6, 5, (192, 320)),
    (512, 8, 8, (256, 384)),
    (768, 12, 12, (320, 512)),
)
FIRST = {"cpu": 2, "cuda": 3}  # the size that is measured first
RECORDING = 0.1  # share of the budget for recording
SPARE = 0.5  # share of free memory that frames may take


@dataclass(frozen=True)
class Plan:
    """What will be trained, and what to expect."""

    recipe: Recipe
    seconds: dict[str, float]  # per update
    lines: tuple[str, ...]

    def __str__(self):
        return "\n".join(self.lines)


def choose(
    game: str, data: Path, out: Path, budget: float | None, device: str, dry_run: bool
) -> Recipe:
    """The recipe of the run in `out`, where it was begun before, or one that fits this machine; tells the plan."""
    if (out / "run.json").is_file() and not dry_run:
        return recipe_of(out / "run.json")
    made = plan(game, data, budget, device)
    print(made)
    return made.recipe


def plan(
    game: str,
    data: Path,
    budget: float | None,
    device: str = "auto",
    ladder=LADDER,
    limit: float = MEASURE,
) -> Plan:
    """Measure the machine and lay out a training.

    Args:
        game: whose world.
        data: its dataset, or where one will be recorded.
        budget: seconds for everything, recording included; None for two hours.
        device: auto, cpu or cuda.
        ladder: sizes to choose from, small to large.
        limit: seconds that measuring may take.

    Raises:
        ValueError: no game and no dataset, or no size fits into memory.
    """
    begun, budget, where = time.monotonic(), budget or cpu().budget, pick(device)
    spec, have, rate = _source(game, data, where)
    memory = free_memory(where) or 4 * 2**30
    frames = have or _frames(spec, rate, budget, memory)
    recording = 0.0 if have else frames / rate
    left = budget - recording
    found: dict[int, Measure] = {}
    i = min(FIRST[where.type], len(ladder) - 1)
    while i not in found and time.monotonic() - begun < limit:
        base = _recipe(spec, frames, left, ladder[i], where)
        found[i] = measure(base, spec, where, begun + limit)
        i = min(i + 1, len(ladder) - 1) if whole(found[i]) <= left else max(i - 1, 0)
    fits = [n for n, m in found.items() if whole(m) <= left]
    best = found[max(fits) if fits else min(found)]
    recipe = _shared(best, left)
    return Plan(
        recipe,
        best.seconds,
        tuple(_lines(best, recipe, spec, where, memory, recording, time.monotonic() - begun)),
    )


def recipe_of(mark: Path) -> Recipe:
    """The recipe that a run was begun with, so that --resume needs no second measure. Raises ValueError: damaged."""
    try:
        data = dict(json.loads(mark.read_text())["recipe"])
        kinds = {stage: type(getattr(cpu(), stage)) for stage in STAGES}
        settings = {
            stage: strict(kind, data[stage], stage)
            for stage, kind in kinds.items()
            if stage in data
        }
        return strict(Recipe, data | settings, str(mark))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{mark} is damaged ({error!r}); choose another --out") from error


def needed(recipe: Recipe) -> float:
    """The share of the budget that stages with a need have together; the others keep the share they have."""
    return 1 - sum(getattr(recipe, stage).share for stage in STAGES if stage not in NEEDS)


def whole(found: Measure) -> float:
    """Seconds for all that the shipped world had."""
    return sum(NEEDS[stage] * found.seconds[stage] for stage in NEEDS) / needed(found.recipe)


def _source(game: str, data: Path, device: torch.device) -> tuple[WorldSpec, int, float]:
    """The spec, the frames there are, and the frames per second that the game makes here on all cores."""
    if (data / "meta/aapt.json").is_file():
        episodes = Episodes.open(data)
        return episodes.spec, sum(e.length for e in episodes.index), 1.0
    size = 128 if device.type == "cuda" else cpu().size
    env = make_held(game, size, size, 1)
    try:
        spec = world_spec(env, game, cpu().k)
        env.action_space.seed(0)
        env.reset(seed=0)
        begun = time.monotonic()
        made = 0
        while time.monotonic() - begun < 2.0 and made < 500:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            made += 1
            if terminated or truncated:
                env.reset()
        return spec, 0, made / (time.monotonic() - begun) * cores()
    finally:
        env.close()


def _frames(spec: WorldSpec, rate: float, budget: float, memory: int) -> int:
    """How many frames to record: for a tenth of the budget, no more than 400k or than fit into half the free memory."""
    most = SPARE * memory / (spec.height * spec.width * 3)
    return max(2_000, int(min(400_000, RECORDING * budget * rate, most)) // 1000 * 1000)


def _recipe(
    spec: WorldSpec, frames: int, budget: float, sizes: tuple, device: torch.device
) -> Recipe:
    """Recipe `cpu` at other sizes; on a GPU with larger batches."""
    dim, depth, heads, widths = sizes
    base, more = cpu(), 4 if device.type == "cuda" else 1
    stages = {
        name: replace(getattr(base, name), batch=getattr(base, name).batch * more) for name in NEEDS
    }
    return replace(
        base, name="auto", size=spec.height, width=spec.width, k=spec.k, frames=frames, budget=budget,
        dim=dim, depth=depth, heads=heads, encoder=widths, decoder=widths, **stages,
    )  # fmt: skip


def _shared(best: Measure, left: float) -> Recipe:
    """The recipe with the budget shared out as the needs ask for."""
    times = {stage: NEEDS[stage] * best.seconds[stage] for stage in NEEDS}
    scale = needed(best.recipe) / sum(times.values())
    stages = {
        stage: replace(getattr(best.recipe, stage), share=times[stage] * scale) for stage in NEEDS
    }
    return replace(best.recipe, budget=left, **stages)


def _lines(
    best: Measure,
    recipe: Recipe,
    spec: WorldSpec,
    device: torch.device,
    memory: int,
    recording: float,
    took: float,
) -> list[str]:
    """What to tell before it begins."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads"
    )
    held = recipe.frames * spec.height * spec.width * 3
    lines = [
        f"machine    {name}, {memory / 2**30:.1f} GiB free; measured for {took:.0f} s",
        f"world      {spec.height}x{spec.width}, k={spec.k}; generator {best.weights['generator'] / 1e6:.1f}M weights "
        f"({recipe.dim} x {recipe.depth}), VAE {best.weights['VAE'] / 1e6:.1f}M",
        f"data       {recipe.frames:,} frames, {held / 2**30:.2f} GiB in memory"
        + (f", about {recording / 60:.0f} min to record" if recording else ", there already"),
    ]
    worst = 1e9
    for stage in recipe.planned:
        share = getattr(recipe, stage).share * recipe.budget
        line = f"{stage:<12}{share / 60:5.1f} min"
        if stage in NEEDS:
            updates = share / best.seconds[stage]
            worst = min(worst, updates / NEEDS[stage])
            each, ratio = best.seconds[stage], updates / NEEDS[stage]
            line += f"  {updates:8,.0f} updates of {each:.2f} s, {ratio:.2f} of what driving had"
        lines.append(line)
    return [*lines, f"expected   {expected(worst * min(1, best.weights['generator'] / WEIGHTS))}"]


def expected(ratio: float) -> str:
    """What a world with `ratio` of the shipped one's updates, times that of its weights, can be hoped to be."""
    if ratio >= 1:
        return f"at least as good as the shipped world of driving, if your game is no harder: {REACHED}"
    if ratio >= 0.3:
        return "the scene holds for some seconds and keys are obeyed, softer than the shipped world of driving"
    return (
        "a blur: keys are obeyed and what stands still stays, the rest is gone in a second or two, as in the first "
        "world of docs/lab.md; give it more time, or smaller frames"
    )

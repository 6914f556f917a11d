"""A training's folder: what the run was begun with, and a state per stage."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from aapt_env.train import state
from aapt_env.train.recipes import STAGES, Recipe

SIZES = (
    "size width k channels fold encoder decoder patch dim depth heads window".split()
)  # the same throughout a run

LEAVES = ("polish", "outcome", "imitate")  # stages that nothing is built upon


@dataclass
class RunFolder:
    """`run.json` makes a folder a run; its seed, and on --resume its budget, hold for every later call.

    Args:
        path: the folder.
        game: whose world is trained.
        recipe: sizes and stages.
        budget: seconds for all stages.
        seed: of weights, noise and the order of clips.
    """

    path: Path
    game: str
    recipe: Recipe
    budget: float
    seed: int

    @property
    def mark(self) -> Path:
        """What makes a folder a run."""
        return self.path / "run.json"

    @property
    def recording(self) -> Path:
        """There while the run records a dataset, and names its folder: a stopped recording is gone on with."""
        return self.path / "recording"

    def state_of(self, stage: str) -> Path:
        """Where a stage keeps its state."""
        return self.path / stage / "state.safetensors"

    def complete(self, stage: str) -> bool:
        """Whether a stage has had all its steps. Raises ValueError: its state is damaged."""
        path = self.state_of(stage)
        if not path.is_file():
            return False
        meta = state.read_meta(path)
        return meta["step"] == meta["steps"]

    def plan(self, stage: str | None, resume: bool) -> list[str]:
        """The stages to run.

        Raises:
            ValueError: an unknown stage, a run that would be overwritten, or one of other sizes or another game.
        """
        if stage is not None and stage not in STAGES:
            raise ValueError(f"unknown stage {stage!r}; the recipe has {', '.join(STAGES)}")
        if self.mark.is_file():
            if not resume and stage is None:
                raise ValueError(
                    f"{self.path} holds a run; go on with --resume, or choose another --out"
                )
            self.agree(resume)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot train here ({error.strerror}); expected a folder with write permission and free space: "
                "give another with --out",
                str(self.path),
            ) from error
        if resume and not self.mark.is_file():
            print(f"{self.path} holds no run yet; this one begins anew")
        return self.recipe.planned if stage is None else [stage]

    def agree(self, resume: bool) -> None:
        """Take over the run's seed, and to resume its budget; raises ValueError where it is of other sizes."""
        try:
            before = json.loads(self.mark.read_text())
            game, recipe = before["game"], dict(before["recipe"])
            seed, budget = int(before["seed"]), float(before["budget"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.mark} is damaged ({error!r}); choose another --out") from error
        mine = self.about()["recipe"]
        if wrong := [name for name in SIZES if recipe.get(name) != mine[name]]:
            raise ValueError(
                f"{self.path} was begun with other {', '.join(wrong)}; use the same recipe, or another --out"
            )
        if game != self.game:
            raise ValueError(
                f"{self.path} was begun with game {game!r}; choose another --out for {self.game!r}"
            )
        self.seed = seed  # one run, one seed: its stages belong together
        self.budget = budget if resume else self.budget

    def about(self) -> dict:
        """What run.json says."""
        recipe = json.loads(json.dumps(dataclasses.asdict(self.recipe)))
        return {"game": self.game, "budget": self.budget, "seed": self.seed, "recipe": recipe}

    def begin(self, stage: str | None, resume: bool) -> None:
        """Write run.json, and forget what a stage that starts over, and those built upon it, had learned."""
        if stage is not None and not resume:
            after = STAGES[STAGES.index(stage) : -1]
            leaf = stage in LEAVES or (stage == "follow" and self.recipe.adversarial.begin != stage)
            built_upon = (stage,) if leaf else after
            stale = [name for name in built_upon if self.state_of(name).is_file()]
            for name in stale:
                self.state_of(name).unlink()
            if stale:
                print(f"{stage} starts over; forgotten: {', '.join(stale)}")
        partial = self.mark.with_suffix(".partial")
        partial.write_text(json.dumps(self.about(), indent=1))
        partial.replace(self.mark)

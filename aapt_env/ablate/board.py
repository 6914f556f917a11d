"""The table: one row per variant in results.json, then as markdown, charts and a contact sheet."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aapt_env.ablate.variants import QUESTIONS, VARIANTS, Variant
from aapt_env.evaluate import plots
from aapt_env.evaluate.summary import Metrics
from aapt_env.picture import sheet
from aapt_env.train.encode import MARK

COLUMNS = {  # metric: its heading
    "twin_psnr": "PSNR, dB",
    "motion_ratio": "motion",
    "sharpness_ratio": "sharpness",
    "drift": "drift",
    "control_accuracy_ratio": "control",
}
CHARTS = {
    "motion_ratio": "motion, dream over game",
    "drift": "Frechet distance of the observer's features",
    "control_accuracy_ratio": "controls read back, dream over game",
}


def cell(by_window: dict[str, dict]) -> str:
    """The values of a metric in its first window, at 5-10 s and in its last."""
    found = list(by_window)
    chosen = dict.fromkeys(w for w in found if w in (found[0], "5-10s", found[-1]))
    return " ".join(f"{by_window[w]['value']:.3g}" for w in chosen) or "-"


@dataclass
class Board:
    """Results so far.

    Args:
        out: the folder.
        about: what all rows share.
        rows: {variant: {says, minutes, metrics, and failed: why it broke down}}.
    """

    out: Path
    about: dict[str, Any]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, game: str, settings, source: Path) -> Board:
        """A new table, or the one that was begun there.

        Raises:
            ValueError: it was begun with other settings, or is damaged.
        """
        vae = json.loads((source / "latents" / MARK).read_text())["vae"]
        about = {"game": game, "vae": vae, **dataclasses.asdict(settings)}
        path = out / "results.json"
        if not path.is_file():
            out.mkdir(parents=True, exist_ok=True)
            return cls(out, about)
        try:
            found = json.loads(path.read_text())
            before, rows = dict(found["about"]), dict(found["rows"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error!r}); choose another --out") from error
        if wrong := [key for key in about if before.get(key) != about[key]]:
            raise ValueError(
                f"{path} was begun with {wrong[0]} {before.get(wrong[0])}, now it is {about[wrong[0]]}; "
                "use the same, or another --out"
            )
        return cls(out, about, rows)

    def put(self, variant: Variant, metrics: Metrics, shown: np.ndarray, seconds: float) -> None:
        """Add a row and its strip of pictures."""
        cv2.imwrite(str(self.out / f"{variant.slug}.png"), np.hstack(list(shown))[..., ::-1])
        kept = {name: metrics[name] for name in COLUMNS if name in metrics}
        self._add(variant, {"minutes": round(seconds / 60, 1), "metrics": kept})

    def broke(self, variant: Variant, why: str, seconds: float) -> None:
        """Add a row of a training that broke down."""
        row = {"minutes": round(seconds / 60, 1), "metrics": {}, "failed": why}
        self._add(variant, row)

    def _add(self, variant: Variant, row: dict[str, Any]) -> None:
        self.rows[variant.name] = {"says": variant.says, **row}
        text = json.dumps({"about": self.about, "rows": self.rows}, indent=1) + "\n"
        partial = self.out / "results.json.partial"
        partial.write_text(text)
        partial.replace(self.out / "results.json")
        self.publish()

    def publish(self) -> None:
        """Write ablations.md, charts and the sheet of what there is."""
        text = self.table()
        (self.out / "ablations.md").write_text(text)
        print(text)
        for question, names in QUESTIONS.items():
            images = [self.chart(question, names, metric) for metric in CHARTS]
            images = [image for image in images if image is not None]
            if images:
                path = self.out / f"chart-{question.replace(' ', '-')}.png"
                cv2.imwrite(str(path), np.hstack(images)[..., ::-1])
        self.sheet()

    def table(self) -> str:
        """Markdown: a row per variant, in the order of `VARIANTS`; per metric the first, middle and last window."""
        metrics = [m for m in COLUMNS if any(m in r["metrics"] for r in self.rows.values())]
        lines = [
            "| variant | " + " | ".join(COLUMNS[m] for m in metrics) + " | minutes |",
            "|---" * (len(metrics) + 2) + "|",
        ]
        for variant in VARIANTS:
            row = self.rows.get(variant.name)
            if row is None:
                continue
            if "failed" in row:
                cells = ["broke down"] * len(metrics)
            else:
                cells = [cell(row["metrics"].get(m, {})) for m in metrics]
            minutes = f"{row['minutes']:g}" if row["minutes"] else "-"
            lines.append(f"| {variant.name}: {variant.says} | {' | '.join(cells)} | {minutes} |")
        a = self.about
        command = f"aapt ablate {a['game']} --recipe {a['recipe']} --updates {a['updates']}"
        command += " --inherit" * bool(a.get("inherit"))
        about = (
            f"`{command}`: {a['updates']} updates each; {a['count']} held-out starts of {a['seconds']:g} s, "
            f"seed {a['seed']}.\nIn each cell: the first window, 5-10 s, the last.\n\n"
        )
        return about + "\n".join(lines) + "\n"

    def chart(self, question: str, names: tuple[str, ...], metric: str) -> np.ndarray | None:
        """One metric by horizon, a line per variant."""
        found = {
            name: self.rows[name]["metrics"][metric]
            for name in names
            if metric in self.rows.get(name, {}).get("metrics", {})
        }
        title = f"{question}: {CHARTS[metric]}"
        return plots.chart(title, found, {name: name for name in found})

    def sheet(self) -> None:
        """All strips under each other: the same start, controls and noise."""
        rows, labels = [], []
        for variant in VARIANTS:
            path = self.out / f"{variant.slug}.png"
            image = cv2.imread(str(path)) if path.is_file() else None
            if image is not None and variant.name in self.rows:
                rows.append(np.stack(np.split(image[..., ::-1], 13, axis=1)))
                labels.append(variant.name)
        if rows:
            cv2.imwrite(str(self.out / "sheet.png"), sheet(rows, labels)[..., ::-1])

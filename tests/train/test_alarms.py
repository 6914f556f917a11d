"""Every alarm rings when it should, once, and is silent otherwise."""

import json

import pytest
import torch
from torch import nn

from aapt_env.train.adversarial import ALARMS
from aapt_env.train.alarms import Alarm
from aapt_env.train.loop import Run, train
from aapt_env.train.stage import Stage, Turn


def rings(alarm, values):
    return [i for i, value in enumerate(values) if alarm.hear({alarm.metric: value})]


def test_it_rings_once_per_excursion_and_only_after_its_patience():
    alarm = Alarm("motion", "it freezes", below=0.7, patience=3)
    assert rings(alarm, [1, 0.6, 0.6, 0.9, 0.6, 0.6, 0.6, 0.6, 0.6, 1, 0.1, 0.1, 0.1]) == [6, 12]
    assert alarm.hear({"other": 0.0}) is None


def test_falling_is_judged_by_the_best_so_far():
    alarm = Alarm("control", "it stops obeying", of_best=0.9, patience=2)
    assert rings(alarm, [0.5, 0.6, 0.8, 0.9, 0.85, 0.8, 0.79, 0.7]) == [6]


@pytest.mark.parametrize(
    "metric, bad, good",
    [("critic", 0.001, 0.5), ("motion", 0.5, 1.0), ("control", 0.6, 0.8)],
)
def test_the_adversarial_stages_alarms(metric, bad, good):
    for name, make in ALARMS.items():
        alarm = make()
        assert alarm.metric == name
        if name == metric:
            assert rings(alarm, [good] * 5 + [bad] * 5) == [7]
            assert rings(make(), [good] * 9) == []


class Fading(Stage):
    """A stage whose one metric says what `values` say."""

    def __init__(self, values):
        weight = nn.Linear(1, 1)
        super().__init__(name="fading", modules={"w": weight})
        adam = torch.optim.AdamW(weight.parameters(), lr=0.1)
        self.values, self.weight = iter(values), weight
        self.turns = [Turn("w", (weight,), adam, self.losses)]
        self.alarms = [Alarm("motion", "it freezes", below=0.7, patience=2)]

    def batch(self, dice):
        return None

    def losses(self, batch, dice):
        yield self.weight(torch.ones(1, 1)).square().sum(), {"motion": next(self.values)}


def test_what_the_exam_finds_is_logged_once_and_heard(tmp_path, capsys):
    """Exams are rarer than lines of the log: one line has what an exam found, and alarms count exams."""
    stage, marks = Fading([1] * 8), iter([0.9, 0.5, 0.5])
    stage.exam = lambda: {"control": next(marks)}
    stage.alarms = [Alarm("control", "it stops obeying", of_best=0.9, patience=2)]
    run = Run(folder=tmp_path, steps=3, log_every=1, picture_seconds=-1.0)
    train(stage, run)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["control"] for line in lines] == [0.9, 0.5, 0.5]
    assert "it stops obeying" in lines[2]["alarm"] and "it stops obeying" in capsys.readouterr().err
    rare = Fading([1] * 8)
    rare.exam = lambda: {"control": 0.7}
    train(rare, Run(folder=tmp_path / "rare", steps=3, log_every=1))
    lines = (tmp_path / "rare" / "metrics.jsonl").read_text().splitlines()
    assert ["control" in line for line in lines] == [False, False, True], "at the last step"


def test_the_loop_says_it_aloud_and_logs_it(tmp_path, capsys):
    train(Fading([1, 0.5, 0.5, 0.5]), Run(folder=tmp_path, steps=4, log_every=1))
    assert capsys.readouterr().err.count("motion is 0.5 for 2 lines of the log: it freezes") == 1
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line.get("alarm") for line in lines] == [
        None, None, "motion is 0.5 for 2 lines of the log: it freezes", None
    ]  # fmt: skip

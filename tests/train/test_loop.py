"""The loop: resumed is unbroken to the bit, a kill leaves a good state, and a number that is none stops it."""

import copy
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import aapt_env
from aapt_env.train import loop, state
from aapt_env.train.dice import Dice
from aapt_env.train.loop import Log, NonFinite, Run, only, schedule, train
from aapt_env.train.stage import Stage, Turn


class Toy(Stage):
    """Two networks in turn, one of them channels last, an average, and a number that is fixed at the end."""

    def __init__(self, fail_at=None, pause=0.0):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 4, 3, padding=1).to(memory_format=torch.channels_last)
        player = nn.Sequential(conv, nn.SiLU(), nn.Conv2d(4, 3, 3, padding=1))
        judge, end = nn.Linear(3, 1), nn.BatchNorm1d(1)
        modules = {"player": player, "judge": judge, "ema": copy.deepcopy(player), "end": end}
        super().__init__(name="toy", modules=modules)
        self.player, self.judge, self.ema, self.end = modules.values()
        self.fail_at, self.pause, self.steps, self.finished = fail_at, pause, [], 0
        for name, module in (("judge", judge), ("player", player)):
            adam = torch.optim.AdamW(module.parameters(), lr=1e-2, fused=True)
            self.turns.append(Turn(name, (module,), adam, getattr(self, name + "_losses")))

    def batch(self, dice):
        time.sleep(self.pause)
        x = dice.normal(4, 3, 8, 8)
        return x, self.player(x)

    def judge_losses(self, batch, dice):
        assert all(not p.requires_grad for p in self.player.parameters())
        fake, real = (self.judge(x.detach().mean((2, 3))).mean() for x in reversed(batch))
        yield nn.functional.softplus(fake - real), {"judge": (fake - real).detach()}

    def player_losses(self, batch, dice):
        assert all(not p.requires_grad for p in self.judge.parameters())
        loss = (
            -self.judge(batch[1].mean((2, 3))).mean() + (batch[1] - dice.uniform(1)).square().mean()
        )
        if len(self.steps) == self.fail_at:
            loss = loss * float("nan")
        yield loss, {"player": loss.detach()}

    def after(self, step):
        self.steps.append(step)
        for mine, its in zip(self.ema.parameters(), self.player.parameters(), strict=True):
            mine.data.lerp_(its.data, 0.1)

    def finish(self):
        self.finished += 1
        self.end.running_mean.fill_(7.0)


def weights(folder):
    return load_file(folder / "state.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def lines(folder):
    return [
        json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


@pytest.fixture
def unbroken(tmp_path):
    folder = tmp_path / "unbroken"
    assert train(Toy(), Run(folder=folder, seed=5, steps=9))
    return folder


def test_every_module_learns_and_is_finished_once(tmp_path):
    stage, before = Toy(), copy.deepcopy(Toy().modules)
    assert train(stage, Run(folder=tmp_path, steps=3, log_every=1))
    for name in ("player", "judge", "ema"):
        pairs = zip(stage.modules[name].parameters(), before[name].parameters(), strict=True)
        assert all(not torch.equal(a, b) for a, b in pairs)
    assert stage.finished == 1 and stage.steps == [0, 1, 2] and lines(tmp_path) == [1, 2, 3]
    assert (weights(tmp_path)["module/end/running_mean"] == 7).all(), "saved after finish"
    assert all(p.requires_grad for m in stage.modules.values() for p in m.parameters())


@pytest.mark.parametrize("bf16", [False, True])
def test_stopped_and_resumed_is_unbroken_to_the_bit(tmp_path, bf16):
    """Moments came back in another memory layout than their channels-last weights, and the fused step mixed them up."""
    train(Toy(), Run(folder=tmp_path / "a", seed=5, steps=9, bf16=bf16))
    stage, calls = Toy(), 0
    while not train(
        stage, Run(folder=tmp_path / "b", seed=5, steps=9, bf16=bf16, deadline=time.monotonic())
    ):
        calls += 1
        stage = Toy()
    assert calls == 8
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_another_seed_is_another_training(unbroken, tmp_path):
    train(Toy(), Run(folder=tmp_path / "b", seed=6, steps=9))
    assert not same(weights(unbroken), weights(tmp_path / "b"))


def test_a_complete_stage_is_loaded_and_left_alone(unbroken):
    before, stage = (unbroken / "state.safetensors").read_bytes(), Toy()
    assert train(stage, Run(folder=unbroken, seed=5, steps=50))
    assert stage.steps == [] and (unbroken / "state.safetensors").read_bytes() == before
    saved = weights(unbroken)
    assert torch.equal(stage.judge.weight, saved["module/judge/weight"])


def test_a_deadline_stops_after_a_step_with_a_state(tmp_path):
    stage = Toy()
    assert not train(stage, Run(folder=tmp_path, steps=9, deadline=time.monotonic()))
    meta = state.read_meta(tmp_path / "state.safetensors")
    assert meta == {"stage": "toy", "step": "1", "steps": "9"} and stage.finished == 0


def test_a_deadline_on_the_last_step_is_no_stop(tmp_path):
    stage = Toy()
    assert (
        train(stage, Run(folder=tmp_path, steps=1, deadline=time.monotonic()))
        and stage.finished == 1
    )


class Called(Toy):
    """Gets a signal in the midst of its third step."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def batch(self, dice):
        if len(self.steps) == 2:
            os.kill(os.getpid(), self.number)
        return super().batch(dice)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_who_is_asked_to_stop_finishes_the_step_and_saves(number, name, unbroken, tmp_path):
    heard = signal.signal(number, signal.default_int_handler)  # a job in the background ignores it
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    run = Run(folder=tmp_path / "b", seed=5, steps=9)
    with pytest.raises(KeyboardInterrupt, match=name):
        train(Called(number), run)
    assert state.read_meta(tmp_path / "b/state.safetensors")["step"] == "3"
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    signal.signal(number, heard)
    assert train(Toy(), run) and same(weights(unbroken), weights(tmp_path / "b"))


def test_a_signal_that_is_ignored_stays_so(unbroken, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert train(Called(signal.SIGINT), Run(folder=tmp_path / "b", seed=5, steps=9))
    finally:
        signal.signal(signal.SIGINT, before)
    assert same(weights(unbroken), weights(tmp_path / "b"))


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test says so."""
    now = [100.0]
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    return now


class Timed(Toy):
    """Takes `seconds` on the clock per step, the first two ten times as long."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def batch(self, dice):
        self.clock[0] += self.seconds * (10 if len(self.steps) < 2 else 1)
        return super().batch(dice)


def test_steps_are_measured_from_seconds_after_a_slow_beginning(tmp_path, clock):
    stage = Timed(clock, 0.5)
    assert train(stage, Run(folder=tmp_path, seconds=10, measure=5))
    assert len(stage.steps) == 20
    assert state.read_meta(tmp_path / "state.safetensors") == {
        "stage": "toy",
        "step": "20",
        "steps": "20",
    }


def test_steps_are_measured_once_and_kept(tmp_path, clock):
    """From then on the schedule counts steps: a slower machine does not change what is learned."""
    run = Run(folder=tmp_path / "a", seed=5, seconds=10, measure=5)
    assert train(Timed(clock, 0.5), run)
    run = dataclasses.replace(run, folder=tmp_path / "b")
    assert not train(Timed(clock, 0.5), dataclasses.replace(run, deadline=clock[0] + 14))
    assert state.read_meta(tmp_path / "b/state.safetensors")["steps"] == "20"
    slower = Timed(clock, 60.0)
    assert train(slower, dataclasses.replace(run, seconds=1))
    assert slower.steps[-1] == 19 and same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_stopped_before_they_are_measured_they_are_measured_after(tmp_path):
    assert not train(Toy(), Run(folder=tmp_path, seconds=0.1, deadline=time.monotonic()))
    assert state.read_meta(tmp_path / "state.safetensors")["steps"] == "0"
    assert train(Toy(), Run(folder=tmp_path, seconds=0.1, measure=5))


def test_lines_past_the_saved_step_are_forgotten(unbroken, tmp_path):
    """After a kill the log is ahead of the state: resumed, it told those steps twice."""
    folder = tmp_path / "b"
    train(Toy(), Run(folder=folder, seed=5, steps=9, log_every=1, deadline=time.monotonic()))
    log = folder / "metrics.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n[]\n7\n{"other": 1}\n{"st')
    train(Toy(), Run(folder=folder, seed=5, steps=9, log_every=1))
    assert lines(folder) == list(range(1, 10))
    assert same(weights(unbroken), weights(folder))


def test_a_loss_that_is_no_number_stops_and_names_step_stage_and_last_good_state(tmp_path):
    with pytest.raises(
        NonFinite, match=r"stage toy, step 2: player loss is nan; stopped. No state is saved yet"
    ) as e:
        train(Toy(fail_at=2), Run(folder=tmp_path, steps=9))
    assert isinstance(e.value, ValueError) and "\n" not in str(e.value)
    with pytest.raises(NonFinite) as caught:
        train(Toy(fail_at=4), Run(folder=tmp_path, seed=5, steps=9, save_seconds=0))
    path = tmp_path / "state.safetensors"
    assert f"step 4: player loss is nan; stopped. The last good state is {path}" in str(
        caught.value
    )
    assert state.read_meta(path)["step"] == "4"
    assert all(torch.isfinite(v).all() for v in weights(tmp_path).values())
    train(Toy(), Run(folder=tmp_path, seed=5, steps=9))


def test_a_gradient_that_is_no_number_stops_too(tmp_path):
    stage = Toy()

    def losses(batch, dice):
        zero = batch[1].sum() * 0
        yield zero.abs().sqrt(), {}  # 0, with a slope of infinity times 0

    stage.turns[1].losses = losses
    with pytest.raises(NonFinite, match="step 0: player gradient norm is nan"):
        train(stage, Run(folder=tmp_path, steps=2))


def test_warmup_plateau_decay():
    run = Run(folder=Path("."), warmup=10, decay=0.4)
    rates = [schedule(i, 100, run) for i in range(100)]
    assert rates[0] == 0.1 and rates[9:61] == [1.0] * 52
    assert rates[80] == pytest.approx(0.5) and min(rates[61:]) == pytest.approx(0.05)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))


def test_only_freezes_the_others_and_gives_them_back():
    stage = Toy()
    stage.ema.requires_grad_(False)
    with pytest.raises(RuntimeError), only((stage.player,), stage.modules):
        assert all(p.requires_grad for p in stage.player.parameters())
        assert not any(p.requires_grad for p in stage.judge.parameters())
        raise RuntimeError
    assert all(p.requires_grad for p in stage.judge.parameters())
    assert not any(p.requires_grad for p in stage.ema.parameters()), "what was frozen stays so"


def test_every_step_has_dice_of_its_own(tmp_path, monkeypatch):
    seen = []
    real = Dice.of
    monkeypatch.setattr(loop.Dice, "of", lambda *a: seen.append(a[:3]) or real(*a))
    train(Toy(), Run(folder=tmp_path, seed=5, steps=3))
    assert seen == [(5, "toy", 0), (5, "toy", 1), (5, "toy", 2)]


def truncated(path):
    path.write_bytes(path.read_bytes()[:-20])


def without_step(path):
    save_file(load_file(path), path)


def of_another_stage(path):
    save_file(load_file(path), path, metadata={"stage": "diffusion", "step": "1", "steps": "9"})


def without_a_weight(path):
    tensors = load_file(path)
    del tensors["module/judge/weight"]
    save_file(tensors, path, metadata={"stage": "toy", "step": "1", "steps": "9"})


def of_another_optimizer(path):
    tensors = load_file(path)
    tensors["optimizer/judge/7/exp_avg"] = torch.zeros(3)
    save_file(tensors, path, metadata={"stage": "toy", "step": "1", "steps": "9"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncated, "is not a readable training state .*; remove it to start over"),
        (lambda path: path.write_bytes(b""), "is not a readable training state"),
        (without_step, "was not written by a training: it tells no step"),
        (of_another_stage, "is of stage diffusion, not of toy"),
        (
            without_a_weight,
            "does not fit judge: Missing key.*; train with the same recipe, or choose another --out",
        ),
        (of_another_optimizer, "was saved by another optimizer; remove it to start over"),
    ],
)
def test_a_damaged_state_is_said_in_a_sentence(unbroken, spoil, message):
    spoil(unbroken / "state.safetensors")
    with pytest.raises(ValueError, match=message) as caught:
        train(Toy(), Run(folder=unbroken, seed=5, steps=12))
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_old_state(unbroken, monkeypatch):
    path = unbroken / "state.safetensors"
    before = path.read_bytes()

    def full(*_, **__):
        raise state.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(state, "save_file", full)
    stage = Toy()
    with pytest.raises(OSError, match="could not be written: .*No space left"):
        state.save(path, stage.modules, {}, {"step": 1})
    assert path.read_bytes() == before and {p.name for p in unbroken.iterdir()} == {
        path.name,
        "metrics.jsonl",
    }


def test_one_module_can_be_taken_out(unbroken, tmp_path):
    judge = Toy().judge
    state.load_module(unbroken / "state.safetensors", "judge", judge)
    assert torch.equal(judge.weight, weights(unbroken)["module/judge/weight"])
    with pytest.raises(
        ValueError, match="the stage before has not been trained; leave out --stage"
    ):
        state.load_module(tmp_path / "nowhere", "judge", judge)


def test_metrics_are_one_object_per_line(tmp_path):
    log = Log(tmp_path, 0)
    log.write(20, {"loss": torch.tensor(0.25), "psnr": 31}, 0.5)
    log.close()
    (line,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert (line["step"], line["loss"], line["psnr"], line["lr_factor"]) == (20, 0.25, 31.0, 0.5)


KILLED = """
import sys
sys.path[:0] = sys.argv[1:3]
sys.modules["torch.utils.tensorboard"] = None
from pathlib import Path
from test_loop import Run, Toy, train
train(Toy(pause=0.02), Run(folder=Path(sys.argv[3]), seed=5, steps=9, save_seconds=0.0))
"""


@pytest.mark.slow
def test_kill_9_in_the_middle_then_resume_is_unbroken(unbroken, tmp_path):
    root = str(Path(aapt_env.__file__).parent.parent)
    folder, kills = tmp_path / "killed", 0
    for seconds in (0.1, 0.03, 0.06):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, root, str(Path(__file__).parent), str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        before = (folder / "state.safetensors").stat().st_mtime_ns if kills else None
        for _ in range(6000):
            path = folder / "state.safetensors"
            if path.is_file() and path.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        int(state.read_meta(path)["step"])
    assert train(Toy(), Run(folder=folder, seed=5, steps=9))
    assert same(weights(unbroken), weights(folder))

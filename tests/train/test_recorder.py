"""Recorded updates are the plain ones; on a CPU by a tape of operations, on a GPU by CUDA graphs."""

import copy

import pytest
import torch

from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.adversarial import Adversarial, AdversarialStage
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import Consistency, ConsistencyStage, Diffusion, DiffusionStage
from aapt_env.train.follow import Follow, FollowStage
from aapt_env.train.loop import NonFinite, Pace, Run, advance, look
from aapt_env.train.recorder import NotRecorded, Recorder, leaves, mapped
from tests.tape import Tape

CONTROL = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))
CONTEST = dict(share=1, batch=3, length=5, given=2, keep=0.5, wrong_controls=0.5, penalised=0.4)
STAGES = {
    "diffusion": {},
    "consistency": {},
    "follow": {},
    "adversarial": dict(leads=(0,)),
    "long": dict(leads=(0, 6, 9), overlap=2),
    "video": dict(leads=(0,), heads=("latent", "video"), piloted=0.0),
}


def build(name, clips, device="cpu"):
    torch.manual_seed(0)
    nets = [Generator(CONFIG, CONTROL), Generator(CONFIG, CONTROL)]
    nets.append(Critic(CONFIG, CONTROL, STAGES[name].get("heads", ("latent",))))
    for net in nets:
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.2)
    made, teacher, critic = (net.to(device) for net in nets)
    if name == "diffusion":
        return DiffusionStage(Diffusion(share=1, batch=3, length=5), made, clips, None)
    if name == "consistency":
        return ConsistencyStage(Consistency(share=1, batch=3, length=5), made, teacher, clips, None)
    if name == "follow":
        settings = Follow(share=1, batch=3, length=5, given=2, leads=(0, 6), overlap=2, stay=2.0)
        return FollowStage(settings, made, clips, None)
    settings = Adversarial(**(CONTEST | STAGES[name]))
    return AdversarialStage(settings, made, critic, clips, None, name)


def tape(work):
    """Nothing may have happened when work is only recorded: a tape does it, and so its traces are taken away."""
    recorded = Tape()
    with recorded:
        out = work()

    def replay():
        recorded.replay()
        return out

    return replay


class Taped(Recorder):
    """Records by a tape, which unlike a graph does the work; so gradients and numbers drawn are put back."""

    def __init__(self, stage):
        super().__init__(torch.Generator(), self.taped)
        self.stage, self.launched = stage, 0

    def taped(self, work):
        random, balance = self.generator.get_state(), self.stage.modules.get("balance")
        kept = copy.deepcopy(balance.state_dict()) if balance else None
        replay = tape(work)
        self.generator.set_state(random)
        if balance:
            balance.load_state_dict(kept)

        def launch():
            self.launched += 1
            return replay()

        return launch


def train(stage, steps, recorder=None, device="cpu", bf16=False):
    run = Run(folder=None, device=torch.device(device), bf16=bf16)
    base = {turn.name: [g["lr"] for g in turn.optimizer.param_groups] for turn in stage.turns}
    return [
        {k: float(v) for k, v in advance(stage, run, i, base, 1.0, None, recorder).items()}
        for i in range(steps)
    ]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", list(STAGES))
def test_recorded_updates_are_the_plain_ones_to_the_bit(name, bf16, noise_clips):
    plain, fast = build(name, noise_clips), build(name, noise_clips)
    recorder = Taped(fast)
    steps = 14
    said = train(plain, steps, bf16=bf16), train(fast, steps, recorder, bf16=bf16)
    assert said[0] == said[1]
    for a, b in zip(plain.modules.values(), fast.modules.values(), strict=True):
        for (n, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y), n
    kinds = len(recorder.seen)
    assert kinds == {"long": 3, "follow": 3, "diffusion": 1, "consistency": 1}.get(name, 2), (
        "by lead, and by real latents where there is none"
    )
    assert recorder.launched == len(fast.turns) * (steps - kinds), "all but the first of each kind"


def test_what_cannot_be_recorded_says_where_and_how_to_go_on(noise_clips):
    def refuse(work):
        try:
            Recorder(torch.Generator()).settle(None)  # a line of ours
            raise RuntimeError("operation not permitted when stream is capturing")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    recorder = Recorder(torch.Generator(), refuse)
    with pytest.raises(NotRecorded, match=r"\(operation not permitted.*--resume --plain goes on"):
        train(build("adversarial", noise_clips), 6, recorder)


def test_an_anchor_and_a_fake_with_a_graph_are_not_recorded(noise_clips):
    for changes in (dict(anchor=1.0), dict(length=5, leads=(0,))):
        made = build("adversarial", noise_clips)
        object.__setattr__(made.config, "anchor", changes.get("anchor", 0.0))
        if "length" in changes:
            object.__setattr__(made.config.forcing, "memory", False)
        made.begun = copy.deepcopy(made.generator).requires_grad_(False)
        try:
            recorder = Recorder(torch.Generator(), None)
            train(made, 4, recorder)
        finally:
            object.__setattr__(made.config.forcing, "memory", True)
        assert not recorder.seen


def test_a_gradient_that_is_no_number_is_found(noise_clips, tmp_path):
    stage = build("diffusion", noise_clips)
    recorder = Taped(stage)
    train(stage, 3, recorder)
    with torch.no_grad():
        stage.generator.leave.bias.fill_(float("nan"))
    run, base = Run(folder=tmp_path), {"generator": [1e-3]}
    advance(stage, run, 3, base, 1.0, tmp_path / "state", recorder)
    assert len(recorder.doubts) == 1, "looked at a step later, and before anything is saved"
    with pytest.raises(NonFinite, match="step 3: generator gradient norm is nan"):
        advance(stage, run, 4, base, 1.0, tmp_path / "state", recorder)
    assert len(recorder.doubts) == 1
    with pytest.raises(NonFinite, match="step 4: generator gradient norm is nan"):
        look(recorder, stage, tmp_path / "state")


def test_a_batch_is_known_by_all_but_its_numbers(noise_clips):
    stage = build("long", noise_clips)
    recorder, kinds = Recorder(torch.Generator()), {}
    for i in range(12):
        match = stage.batch(Dice.of(0, "x", i))
        kinds.setdefault(leaves(match)[0], set()).add((match.past.lead, match.given))
    assert len(kinds) == 4 and all(len(known) == 1 for known in kinds.values())
    doubled = mapped(lambda x: 2 * x, match)
    assert torch.equal(doubled.past.rolled, 2 * match.past.rolled) and doubled.given == match.given
    assert recorder.settle(match) == (None, match)
    kind, settled = recorder.settle(match)
    assert kind is not None and settled is not match
    again, placed = recorder.settle(doubled)
    assert again == kind and placed is settled and torch.equal(placed.real, doubled.real)


def test_steps_in_which_something_is_new_do_not_say_how_long_steps_take(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("aapt_env.train.loop.time.monotonic", lambda: float(next(now)))
    run, recorder = Run(folder=None, measure=3, seconds=60.0), Recorder(torch.Generator())
    pace = Pace(run)
    for new in (0, 0, 1, 0, 1, 0, 0):
        with pace.step(recorder):
            recorder.new += new
    assert len(pace.seconds) == 3 and pace.known and pace.steps == 60
    assert Recorder.of(torch.device("cpu")) is None


@pytest.mark.gpu
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", list(STAGES))
def test_on_a_gpu_too(name, bf16, noise_clips):
    device = torch.device("cuda:0")
    clips = copy.copy(noise_clips)
    for part, value in vars(noise_clips).items():
        if isinstance(value, torch.Tensor):
            setattr(clips, part, value.to(device))
    plain, fast = build(name, clips, device), build(name, clips, device)
    recorder = Recorder.of(device)
    said = train(plain, 14, None, device, bf16), train(fast, 14, recorder, device, bf16)
    assert recorder.replays
    for i, (a, b) in enumerate(zip(*said, strict=True)):  # atomics add in any order
        assert a == pytest.approx(b, rel=0.01 if i < 4 else 0.1, abs=1e-3)
    for a, b in zip(plain.modules.values(), fast.modules.values(), strict=True):
        for (n, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            torch.testing.assert_close(x, y, rtol=0.02, atol=5e-3, msg=n)


@pytest.mark.gpu
def test_on_a_gpu_a_look_at_a_number_says_where(noise_clips):
    device = torch.device("cuda:0")
    recorder = Recorder.of(device)

    def work():
        return {"x": torch.ones(3, device=device).sum().item()}

    turn = type("Turn", (), {"name": "it", "modules": ()})()
    with pytest.raises(NotRecorded, match="updates of it cannot be recorded"):
        recorder.run("kind", turn, work)
    assert torch.ones(3, device=device).sum().item() == 3, "the GPU goes on"

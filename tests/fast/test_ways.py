"""Fast ways step as the plain one does, whatever happens to a world between two steps."""

import numpy as np
import pytest
import torch

from aapt_env import checkpoint
from aapt_env.fast import Fast, ways
from aapt_env.fast.still import StillRing
from aapt_env.world import World
from tests.tape import Tape

STEPS = 12


def tape(work):
    work()
    work.undo()
    recorded = Tape()
    with recorded:
        out = work()
    work.undo()

    def replay():
        recorded.replay()
        return out

    return replay


@pytest.fixture(scope="module")
def loaded(tiny):
    return checkpoint.read(tiny)


@pytest.fixture
def controls(loaded, random_rows):
    return random_rows(loaded.spec, STEPS * 3).reshape(STEPS, 3, -1)


def begin(loaded, batch, way=None, bf16=False):
    made = World(loaded, batch, bf16=bf16, fast=Fast(way="plain"))
    made.way = made.way if way is None else way
    made.reset_rows(list(range(batch)), loaded.starts[:batch], list(range(batch)))
    return made


def recorded():
    return ways.Graphs(tape, wait=0)


def both(loaded, batch, story, way=recorded, bf16=False):
    """Frames of a story told to a plain world and to a fast one."""
    return [story(begin(loaded, batch, each and each(), bf16)) for each in (None, way)]


def run(world, controls):
    return torch.stack([world.step(rows).clone() for rows in controls])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bf16", [False, True])
def test_recorded_steps_are_the_plain_ones_from_the_start_to_a_full_ring(
    loaded, controls, batch, bf16
):
    """Float32 to the bit. In bf16 a CPU's fused attention rounds otherwise without a mask of zeros."""
    plain, fast = both(loaded, batch, lambda w: run(w, controls[:, :batch]), bf16=bf16)
    gap = (plain.int() - fast.int()).abs()
    assert gap.max() <= (3 if bf16 and batch == 1 else 0) and plain.float().std() > 10


def test_a_lone_row_gets_a_graph_without_a_mask_when_its_ring_is_full(loaded, controls):
    world = begin(loaded, 1, recorded())
    assert world.generator.config.window == 3 and int(world.cache.age) == 4
    world.reset(
        0,
        loaded.starts[0].__class__(
            **{**vars(loaded.starts[0]), "frames": loaded.starts[0].frames[:1]}
        ),
        0,
    )
    names = []
    for rows in controls[:, :1]:
        world.step(rows)
        names.append(sorted(world.way.replays))
    assert names[3] == ["masked", "show"] and names[4] == ["full", "masked", "show"]
    world.reset(0, loaded.starts[0], 0)
    assert world.cache.young is None
    many = begin(loaded, 3, recorded())
    run(many, controls)
    assert sorted(many.way.replays) == ["masked", "show"]


def test_a_world_that_lives_a_few_steps_is_not_recorded(loaded, controls):
    def never(work):
        pytest.fail("recorded")

    run(begin(loaded, 3, ways.Graphs(never)), controls[: ways.WAIT])
    plain, late = both(loaded, 3, lambda w: run(w, controls), way=lambda: ways.Graphs(tape, wait=5))
    assert torch.equal(plain, late)


def test_resets_loads_and_forks_between_recorded_steps_are_exact(loaded, controls):
    def story(world):
        shown = [run(world, controls[:3])]
        state = world.state()
        world.reset(1, loaded.starts[4], 40)
        shown.append(run(world, controls[3:6]))
        fork = world.fork([1, 1, 0])
        world.load(state)
        shown += [run(world, controls[6:9]), run(fork, controls[6:9])]
        fork.seeds = fork.seeds + 1
        shown += [run(fork, controls[9:]), run(world, controls[9:])]
        return torch.cat(shown)

    plain, fast = both(loaded, 3, story)
    assert torch.equal(plain, fast)


def test_recording_leaves_a_world_as_it_was_and_then_nothing_moves(loaded, controls):
    world = begin(loaded, 3, recorded())
    run(world, controls[:1])
    parts = {**world.parts(), "bias": world.cache.bias, "slot": world.cache.slot}
    places = {name: value.data_ptr() for name, value in parts.items()}
    frames = world.step(controls[1])
    kept = frames.clone()
    run(world, controls[2:])
    parts = {**world.parts(), "bias": world.cache.bias, "slot": world.cache.slot}
    assert places == {name: value.data_ptr() for name, value in parts.items()}
    assert torch.equal(frames, kept), "frames are the caller's own"
    assert isinstance(world.cache, StillRing) and world.passes == STEPS


def test_what_cannot_be_recorded_is_said_in_a_line_and_stepped_plainly(loaded, controls, capsys):
    def refuse(work):
        work()
        work.undo()
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    plain, fast = both(
        loaded, 1, lambda w: run(w, controls[:, :1]), way=lambda: ways.Graphs(refuse, wait=2)
    )
    assert torch.equal(plain, fast)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "permitted when stream is capturing): plain instead" in said


def test_of_a_compilers_error_the_innermost_is_said():
    error = RuntimeError(
        "SubprocException: An exception occurred in a subprocess:\n\nName=triton_poi_fused_mul\n"
        "Traceback (most recent call last):\n  File ...\ntriton.compiler.errors.CompilationError: at 24:13:\n"
        "    tmp18 = (3528531795*x0).to(tl.int32)\n             ^\n"
        "ValueError('Scalar 3528531795 is out of range for type int32')\n\n\nSet TORCHDYNAMO_VERBOSE=1 for more"
    )
    assert ways.reason(error) == "ValueError('Scalar 3528531795 is out of range for type int32')"
    assert ways.reason(RuntimeError("out of\nmemory")) == "out of memory"


def test_ways_by_device_and_wish(monkeypatch, capsys):
    cpu, cuda, meta = (torch.device(name) for name in ("cpu", "cuda", "meta"))
    assert type(ways.choose(Fast(), cpu)) is type(ways.choose(Fast(), meta)) is ways.Plain
    assert type(ways.choose(Fast(way="plain"), cuda)) is ways.Plain
    assert type(ways.choose(Fast(), cuda)) is ways.Graphs
    assert ways.choose(Fast(way="compile"), cuda).compiled
    with pytest.raises(ValueError, match="fast='graphs' needs a CUDA GPU, this world is on cpu"):
        ways.choose(Fast(way="graphs"), cpu)
    with pytest.raises(ValueError, match="fast='quick'; expected one of auto, plain, compile"):
        Fast(way="quick")
    monkeypatch.setattr(ways, "compiler", lambda: False)
    assert type(ways.choose(Fast(way="compile"), cpu)) is ways.Plain
    said = capsys.readouterr().err
    assert (
        said == "aapt_env: torch.compile needs a C++ compiler, and there is none: plain instead\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(not ways.compiler(), reason="there is no C++ compiler")
@pytest.mark.parametrize("batch", [1, 3])
def test_compiled_steps_are_the_plain_ones(loaded, controls, batch):
    """Fused sums round otherwise; twelve steps of a chaotic world later frames differ by a level here and there."""
    plain, fast = both(
        loaded, batch, lambda w: run(w, controls[:, :batch]), way=lambda: ways.Still(compiled=True)
    )
    gap = (plain.int() - fast.int()).abs()
    assert gap.max() <= 2 and (gap > 0).float().mean() < 0.02


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "fast",
    [Fast(), Fast(kernels=True), Fast(way="plain", kernels=True), Fast(way="compile")],
    ids=["graphs", "graphs and kernels", "kernels", "compiled graphs"],
)
def test_on_a_gpu_all_ways_are_the_plain_one(loaded, controls, batch, fast):
    worlds = [
        World(loaded, batch, torch.device("cuda"), bf16=False, fast=each)
        for each in (Fast(way="plain"), fast)
    ]
    shown = []
    for world in worlds:
        world.reset_rows(list(range(batch)), loaded.starts[:batch], list(range(batch)))
        shown.append(run(world, np.ascontiguousarray(controls[:, :batch])))
        world.reset(0, loaded.starts[4], 9)
        shown[-1] = torch.cat([shown[-1], run(world, controls[:, :batch])])
    wanted = ways.choose(fast, worlds[1].device)
    assert type(worlds[1].way) is type(wanted), "the step fell back to plain"
    gap = (shown[0].int() - shown[1].int()).abs()
    assert gap.max() <= 2 and (gap > 0).float().mean() < 0.02


@pytest.mark.gpu
@pytest.mark.parametrize("cache", ["full", "fp8"])
def test_on_a_gpu_kernels_in_bf16_stay_near_the_plain_way(loaded, controls, cache):
    """As a GPU plays by default: roundings differ, what is seen does not."""
    shown = []
    for fast in (Fast(way="plain", cache=cache), Fast(kernels=True, cache=cache)):
        world = World(loaded, 1, torch.device("cuda"), bf16=True, fast=fast)
        world.reset_rows([0], loaded.starts[:1], [0])
        shown.append(run(world, np.ascontiguousarray(controls[:, :1])).int())
    assert (shown[0] - shown[1]).abs().float().mean() < 2
    assert (shown[0] - shown[1]).abs().float().mean() < 0.1 * shown[0].float().std()

"""The benchmark: its counts are the network's own, its requests are checked, and what it says can be read back."""

import dataclasses
import json
import mmap
import re

import cv2
import numpy as np
import pytest
import torch

from aapt_env.bench import (
    agents,
    clock,
    floor,
    growth,
    lag,
    main,
    need,
    report,
    rollout,
    shapes,
    soak,
    subject,
    unet,
)
from aapt_env.fast import Fast, ways
from aapt_env.train.recipes import recipe


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks on a busy machine wait for a second thread longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def quick(monkeypatch):
    """A machine that is measured in milliseconds."""
    monkeypatch.setitem(floor.SHAPES, "cpu", ((64, 64, 64), (128, 32, 32)))
    monkeypatch.setitem(floor.COPY, "cpu", 2**16)
    monkeypatch.setattr(floor, "PATIENCE", 0.0)


@pytest.fixture(scope="module")
def world(request):
    loaded = subject.load("tiny", str(request.getfixturevalue("tiny")))
    return subject.begin(loaded, 1, torch.device("cpu"), bf16=False)


def controls(world):
    return subject.controls(world, 4)


def expected_flops(world):
    """(generator, decoder) by hand: a multiply-add is two."""
    sizes, coder = world.generator.config, world.vae.config
    n, d = sizes.tokens, sizes.dim
    seen = len(sizes.scenes) + (sizes.window + 2) * n
    keys = world.spec.k * (world.spec.control.size * d + d * d)
    time = 128 * d + d * d
    enter = n * 2 * sizes.channels * sizes.patch**2 * d
    block = n * (3 + 1 + 4 + 4) * d * d + 2 * n * seen * d
    leave = d * 2 * d + n * d * sizes.channels * sizes.patch**2
    generator = keys + time + d * 6 * d + enter + sizes.depth * block + leave
    cells, decoder = sizes.rows * sizes.columns, 0
    widths = coder.decoder[::-1]
    before = coder.channels
    for width in widths:
        decoder += cells * 9 * (before * width + 2 * width * width + 3 * width * width)
        before, last, cells = width, cells, 4 * cells
    decoder += last * 9 * before * 3 * coder.patch**2 * coder.k
    return 2 * generator, 2 * decoder


def test_flops_are_counted_from_the_network_and_match_the_hand_count(world):
    generator, decoder = floor.count(world, controls(world)[0])
    assert (generator.flops, decoder.flops) == expected_flops(world)


def test_fused_attention_in_bf16_counts_as_much(tiny):
    world = subject.begin(subject.load("tiny", str(tiny)), 1, torch.device("cpu"), bf16=True)
    generator, decoder = floor.count(world, controls(world)[0])
    assert (generator.flops, decoder.flops) == expected_flops(world)


def test_bytes_are_weights_and_memory(world):
    generator, decoder = floor.count(world, controls(world)[0])
    weights = sum(p.nbytes for n, p in world.generator.named_parameters() if "scene" not in n)
    memory = (world.cache.keys, world.cache.values, world.cache.prefix)
    assert generator.bytes == weights + sum(m.nbytes for m in memory)
    weights = sum(p.nbytes for p in world.vae.decoder.parameters())
    assert decoder.bytes == weights + 2 * sum(s.nbytes for s in world.decoder)


def test_the_floor_is_the_slower_of_arithmetic_and_memory():
    rates = floor.Rates({"bf16": 1e9}, {"bf16": (1, 1, 1)}, bandwidth=1e6)
    assert rates.floor(floor.Work(2_000_000, 1), "bf16") == pytest.approx(2)
    assert rates.floor(floor.Work(1, 5_000), "bf16") == pytest.approx(5)


def test_timed_steps_are_the_steps_of_play(world):
    rows, before = controls(world), world.state()
    frames = [world.step(row) for row in rows]
    passes, after = world.passes, world.state()
    world.load(before)
    times = clock.measure(world, rows, warmup=1, steps=3)
    assert world.passes == passes + len(frames)
    assert all(torch.equal(value, after[name]) for name, value in world.state().items())
    assert len(times.step) == len(times.generator) == len(times.decoder) == 3
    assert (times.step >= times.generator + times.decoder).all()


def test_random_weights_have_the_sizes_of_the_recipe_and_leave_the_seed_alone():
    torch.manual_seed(5)
    untouched = torch.rand(1)
    torch.manual_seed(5)
    sizes = subject.recipe_sizes("driving", "cpu")
    made = subject.random_weights(sizes, torch.device("cpu"))
    assert torch.equal(torch.rand(1), untouched)
    spec, trunk, coder = recipe("cpu").sizes(made.spec)
    assert (made.spec, made.generator.config, made.vae.config) == (spec, trunk, coder)
    assert made.generator.leave.weight.abs().max() > 0, "zeros would be no load for a GPU"


def test_report_names_everything_that_a_figure_needs(tiny, quick, capsys, tmp_path):
    place = tmp_path / "new" / "speed.json"
    words = ["--game", "x", "--checkpoint", str(tiny), "--steps", "3", "--warmup", "0"]
    assert main([*words, "--batch", "2", "--dtype", "float32", "--json", str(place)]) == 0
    said, data = capsys.readouterr().out, json.loads(place.read_text())
    digest = subject.load("x", str(tiny)).hash
    for part in (
        digest,
        torch.__version__,
        f"{torch.get_num_threads()} threads",
        "aapt bench --game x",
        "float32",
    ):
        assert part in said
    for part in (
        "step",
        "generator",
        "decoder",
        "times real time (24)",
        "167 ms of one latent",
        "all 2 rows",
    ):
        assert part in said
    assert "random weights" not in said
    assert data["subject"]["checkpoint"] == digest and data["machine"]["torch"] == torch.__version__
    step, generator, decoder = data["speed"]["parts"]
    assert step["flops"] == generator["flops"] + decoder["flops"] > 0
    assert step["over_floor"] == pytest.approx(step["median"] / step["floor"])


def test_random_weights_are_said_to_be_random(quick, capsys):
    assert main(["--random", "smoke", "--steps", "2", "--warmup", "0"]) == 0
    assert "random weights: these figures are of speed only" in capsys.readouterr().out


def test_part_is_time_beside_its_floor():
    rates = floor.Rates({"bf16": 1e9}, {"bf16": (1, 1, 1)}, bandwidth=1e12)
    times = np.array([4.0] * 98 + [10.0, 20.0])
    part = report.part("step", times, floor.Work(1_000_000, 8), rates, "bf16")
    assert (part.median, part.floor, part.over_floor) == pytest.approx((4, 1, 4))
    assert part.share == pytest.approx(0.25) and 10 <= part.p99 <= 20


def test_rollout_marks_every_tenth(tiny, capsys):
    words = ["--checkpoint", str(tiny), "--rollout", "13", "--warmup", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "      13 " in said and "process MB" in said and "first tenth" in said


def dream(resident, medians=(1.0,) * 10):
    return rollout.Rollout([rollout.Mark(i, r, 0) for i, r in enumerate(resident)], list(medians))


def test_memory_is_flat_when_it_stays_and_not_when_it_leaks():
    megabyte = 2**20
    assert dream(
        [0] + [100 * megabyte] * 10
    ).memory_flat  # what the first tenth allocates is no leak
    leaking = dream([i * megabyte for i in range(11)])
    assert not leaking.memory_flat and "memory NOT flat" in report.long_dream(leaking)
    unknown = dream([None] * 11)
    assert unknown.memory_flat is None and "memory not known" in report.long_dream(unknown)


def test_time_is_flat_when_the_last_tenth_is_as_fast_as_the_first():
    assert dream([1] * 11, [1.0] * 9 + [1.05]).time_flat
    assert not dream([1] * 11, [1.0] * 9 + [1.2]).time_flat


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--game", "chess"], "no checkpoint for 'chess'"),
        (["--random", "cpu", "--game", "chess"], "unknown game 'chess'"),
        (
            ["--random", "huge"],
            "unknown recipe 'huge'; there are smoke, tiny, cpu, gpu, h100, auto",
        ),
        (["--random", "cpu", "--checkpoint", "x"], "leave --checkpoint out"),
        (["--shape", "cube"], "unknown shape 'cube'; there are paper-8b, open-oasis, wan-1.3b"),
        (["--shape", "paper-8b", "--checkpoint", "x"], "leave --checkpoint out"),
        (["--shape", "paper-8b", "--random", "cpu"], "leave one out"),
        (["--count-only", "--rollout", "10"], "leave --rollout out"),
        (["--count-only", "--lag", "10"], "leave --lag out"),
        (["--lag", "0"], "--lag 0: expected 1 to 3600 seconds"),
        (["--lag", "9", "--shape", "diamond-64"], "leave --shape out"),
        (["--lag", "9", "--batch", "2"], "leave --batch and --dtype out"),
        (["--agents", "--soak", "200"], "--agents steps a trained world as is: leave --soak out"),
        (["--soak", "20"], "--soak 20: expected a whole number >= 160"),
        (["--agents", "--random", "smoke"], "leave --random out"),
        (["--lag", "9", "--game", "chess"], "no checkpoint for 'chess'"),
        (["--lag", "9", "--fast", "plain"], "leave --fast, --kernels, --weights and --cache out"),
        (["--device", "cpu", "--random", "smoke", "--fast", "graphs"], "needs a CUDA GPU"),
        (["--device", "cpu", "--random", "smoke", "--kernels"], "kernels run on a CUDA GPU"),
        (["--device", "cpu", "--random", "smoke", "--each"], "give --device cuda"),
        (["--each", "--soak", "200"], "leave --each out"),
        (["--each", "--rollout", "10"], "leave --rollout out"),
        (["--each", "--cache", "fp8"], "leave --fast, --kernels, --weights and --cache out"),
        (["--growth", "figure.txt"], "--growth figure.txt: expected a file ending in .png"),
        (["--growth", "/proc/none/figure.png"], "cannot write to /proc/none"),
        (["--batch", "0"], "--batch 0: expected a whole number >= 1"),
        (["--steps", "-3"], "--steps -3: expected a whole number >= 1"),
        (["--rollout", "3"], "--rollout 3: expected a whole number >= 10"),
        (["--threads", "100000"], "--threads 100000: this machine has"),
        (["--device", "abacus"], "device 'abacus'; expected auto, cpu, cuda"),
        (["--json", "/proc/none/speed.json"], "cannot write to /proc/none"),
    ],
)
def test_bad_requests_are_one_sentence(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and error.startswith("aapt bench: ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_one_sentence(capsys):
    assert main(["--device", "cuda"]) == 2
    assert "use cpu or auto" in capsys.readouterr().err


@pytest.mark.parametrize("batch", [10**9, 10**18, 10**21])
def test_a_batch_that_does_not_fit_is_one_sentence(tiny, capsys, batch):
    assert main(["--checkpoint", str(tiny), "--batch", str(batch)]) == 2
    error = capsys.readouterr().err
    assert "not enough memory on" in error and "try fewer rows" in error and error.count("\n") == 1


def test_what_does_not_fit_says_what_it_needs_and_has_before_taking_any(tiny, capsys, monkeypatch):
    monkeypatch.setattr(need, "free", lambda device: 1000)
    monkeypatch.setattr(subject, "begin", lambda *args: pytest.fail("memory was taken"))
    assert main(["--checkpoint", str(tiny)]) == 2
    error = capsys.readouterr().err
    assert re.match(r"aapt bench: not enough memory on cpu: this needs \d+ [kM]B \(", error)
    assert "weights" in error and "1 kB are free" in error and "--count-only" in error


def test_memory_that_ends_on_the_way_is_one_sentence(tiny, quick, capsys, monkeypatch):
    monkeypatch.setattr(floor, "rates", lambda device: torch.empty(2**60))
    assert main(["--checkpoint", str(tiny), "--steps", "2", "--warmup", "0"]) == 2
    error = capsys.readouterr().err
    assert "can't allocate memory" in error and error.count("\n") == 1


def test_free_memory_is_known_here_or_not_at_all():
    there = need.free(torch.device("cpu"))
    assert there is None or 2**20 < there < 2**50


def test_the_need_is_what_the_world_then_holds(world):
    """Counted on the meta device, measured on the real one."""
    loaded = subject.random_weights(
        (world.spec, world.generator.config, world.vae.config), need.META
    )
    planned = subject.plan(loaded, 1, bf16=False)
    counted = need.count(planned, torch.device("cpu"))
    assert counted.memory == sum(part.nbytes for part in world.parts().values())
    networks = (world.generator, world.vae)
    assert counted.weights == sum(
        t.nbytes for n in networks for t in (*n.parameters(), *n.buffers())
    )
    with need.Alive() as alive:
        world.step(controls(world)[0])
    assert 0.4 < alive.peak / counted.step < 2.5
    assert counted.total == counted.weights + counted.memory + counted.step


def test_a_count_without_memory_is_the_count_of_a_real_step(world):
    sizes = world.spec, world.generator.config, world.vae.config
    planned = subject.plan(subject.random_weights(sizes, need.META), 1, bf16=False)
    row = controls(world)[0]
    assert floor.count(planned, need.still(planned)) == floor.count(world, row)
    assert all(t.is_meta for t in planned.parts().values())


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_shapes_have_the_tokens_and_about_the_weights_they_are_named_for(name):
    spec, trunk, coder = shapes.shape(name).sizes(name)
    made = subject.random_weights((spec, trunk, coder), need.META)
    weights = sum(p.numel() for p in made.generator.parameters())
    expected = {
        "paper-8b": (1196, 7.4e9),
        "open-oasis": (144, 0.41e9),
        "wan-1.3b": (1560, 0.87e9),
        "diamond-64": (16, 3.9e6),
    }
    tokens, about = expected[name]
    assert trunk.tokens == tokens and 0.97 < weights / about < 1.03
    assert (coder.stride, coder.channels) == (spec.stride, trunk.channels)


def test_a_shape_is_counted_where_it_does_not_fit(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(need, "free", lambda device: 10**6)
    place = tmp_path / "counts.json"
    words = ["--shape", "diamond-64", "--dtype", "bf16"]
    assert main([*words, "--count-only", "--json", str(place)]) == 0
    said, data = capsys.readouterr().out, json.loads(place.read_text())
    assert all(line in said for line in shapes.SHAPES["diamond-64"].assumes)
    assert "random weights" in said and "counted only: nothing was measured" in said
    assert data["work"]["generator"]["flops"] > 0 and "speed" not in data
    assert data["need"]["weights"] > 0
    assert main(words) == 2
    assert "not enough memory" in capsys.readouterr().err


def test_a_shape_is_measured_in_the_dtype_it_was_made_in(quick, capsys):
    words = ["--shape", "diamond-64", "--dtype", "bf16", "--steps", "2", "--warmup", "0"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "random weights: these figures are of speed only" in said and "bf16" in said


def test_the_formula_is_the_count_but_for_what_enters_and_leaves(world):
    """At sizes where blocks are nearly all: a wide and deep generator."""
    spec, trunk, coder = world.spec, world.generator.config, world.vae.config
    large = dataclasses.replace(trunk, dim=512, depth=8, heads=8, window=12)
    for _, _, sizes, batch in growth.cases((spec, large, coder)):
        planned = subject.plan(subject.random_weights(sizes, need.META), batch, bf16=False)
        counted = floor.count(planned, need.still(planned))[0].flops
        assert 1 <= counted / (batch * growth.formula(*sizes[:2])) < 1.15


def test_growth_changes_one_thing_at_a_time(world):
    sizes = world.spec, world.generator.config, world.vae.config
    cases = list(growth.cases(sizes))
    assert {name for name, *_ in cases} == set(growth.TITLES)
    costs = {}
    for name, label, made, batch in cases:
        costs.setdefault(name, []).append((int(label), batch * growth.formula(*made[:2])))
    for points in costs.values():
        assert len(points) >= 3 and points == sorted(points), "more of it costs more"


def test_growth_is_a_table_and_a_picture(tiny, quick, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "BATCHES", (1, 2))
    monkeypatch.setattr(growth, "WINDOWS", (1, 2))
    monkeypatch.setattr(growth, "GRIDS", ((1, 1), (1, 2)))
    figure, place = tmp_path / "growth.png", tmp_path / "growth.json"
    words = ["--checkpoint", str(tiny), "--steps", "2", "--warmup", "0", "--rollout", "10"]
    assert main([*words, "--growth", str(figure), "--json", str(place)]) == 0
    said = capsys.readouterr().out
    assert "formula" in said and "from the end of the first tenth" in said
    data = json.loads(place.read_text())
    assert len(data["growth"]) == 6 and len(data["rollout"]["medians"]) == 10
    picture = cv2.imread(str(figure))
    assert picture is not None and picture.shape == (4 * 360, 720, 3)


def test_key_to_frame_is_measured_in_an_unseen_window(tiny, capsys, monkeypatch):
    monkeypatch.setattr(lag, "HELD", (0.02, 0.05))
    assert main(["--game", "tiny", "--checkpoint", str(tiny), "--lag", "2"]) == 0
    said = capsys.readouterr().out
    assert "key to frame  median" in said and "one latent (167 ms) plus 30 ms" in said


def test_a_latent_and_a_little_is_prompt():
    assert lag.Lag(answers=9, median=90.0, p99=196.0, latent=167.0, late=0).prompt
    slow = lag.Lag(answers=9, median=90.0, p99=198.0, latent=167.0, late=3)
    assert (
        not slow.prompt
        and "NOT within" in lag.text(slow)
        and "3 latents came late" in lag.text(slow)
    )


def test_plain_is_said_and_gives_the_same_frames(tiny, quick, capsys):
    words = ["--checkpoint", str(tiny), "--steps", "1", "--warmup", "0", "--fast", "plain"]
    assert main(words) == 0
    assert ", plain" in capsys.readouterr().out
    device = torch.device("cpu")
    fast, plain = (
        subject.begin(subject.load("tiny", str(tiny)), 2, device, None, fast=Fast(way=way))
        for way in ("auto", "plain")
    )
    for row in subject.controls(fast, 12):
        gap = (fast.step(row).int() - plain.step(row).int()).abs()
        assert gap.max() <= 2 and (gap > 0).float().mean() < 0.02


def test_what_ran_and_how_long_it_took_to_get_there_are_said(
    tiny, quick, capsys, tmp_path, monkeypatch
):
    """A fallback's figures do not pass for those of what was asked, nor compiling for a slow step."""
    monkeypatch.setattr(ways, "compiler", lambda: False)
    place = tmp_path / "speed.json"
    words = ["--checkpoint", str(tiny), "--steps", "3", "--warmup", "0", "--fast", "compile"]
    assert main([*words, "--json", str(place)]) == 0
    said, data = capsys.readouterr(), json.loads(place.read_text())["speed"]
    assert "plain instead" in said.err and "ran as      plain; made ready in" in said.out
    assert data["ran"] == "plain" and data["ready"] >= 0
    world = subject.begin(subject.load("driving", str(tiny)), 1, torch.device("cpu"), False)
    assert world.ran == "weights laid out once"
    waits = iter([5.0, 0.1, 0.1, 0.1])
    monkeypatch.setattr(clock, "one_step", lambda *_: (1000 * next(waits), 1.0, 1.0))
    assert clock.measure(world, np.zeros((1, 1, 1)), 1, 3).ready == pytest.approx(4.9)


def test_a_warm_step_takes_no_memory_from_the_system(world, monkeypatch):
    """What operations make lies where that of the step before lay; the count sees what is new."""
    assert clock.measure(world, controls(world), 40, 40).pages < 4
    held, step = [], clock.one_step

    def greedy(*given):
        held.append(mmap.mmap(-1, 64 * mmap.PAGESIZE))
        held[-1].write(bytes(64 * mmap.PAGESIZE))
        return step(*given)

    monkeypatch.setattr(clock, "one_step", greedy)
    assert clock.measure(world, controls(world), 0, 10).pages > 16


def test_a_spread_too_wide_is_said():
    rates = floor.Rates({"bf16": 1e9}, {"bf16": (1, 1, 1)}, bandwidth=1e12)
    work = floor.Work(1_000_000, 8), floor.Work(1_000_000, 8)

    def speed(steps):
        times = clock.Times(*[np.asarray(steps)] * 3)
        return report.Speed.of(times, work, rates, "bf16", (None, None))

    about = report.Subject("c", "w", "h", 1, "bf16", 4, 24)
    quiet = speed([10.0, 10.1, 10.2, 10.3] * 25)
    assert quiet.steady and "spread" not in report.table(quiet, about)
    for disturbed in ([5.0, 10.0, 15.0] * 30, [10.0] * 95 + [90.0] * 5):
        assert not speed(disturbed).steady
        assert "spread too wide to trust" in report.table(speed(disturbed), about)


def test_the_command_line_hands_over(tiny, quick, capsys):
    from aapt_env import cli

    assert (
        cli.main(["bench", "tiny", "--checkpoint", str(tiny), "--steps", "1", "--warmup", "0"]) == 0
    )
    assert "plays at" in capsys.readouterr().out


@pytest.mark.gpu
def test_on_a_gpu_events_add_up(tiny, capsys):
    world = subject.begin(subject.load("tiny", str(tiny)), 1, torch.device("cuda"), None)
    times = clock.measure(world, controls(world), warmup=3, steps=20)
    assert (times.generator > 0).all() and (times.decoder > 0).all()
    assert np.median(times.step) >= 0.9 * np.median(times.generator + times.decoder)
    work = floor.count(world, controls(world)[0])
    assert (work[0].flops, work[1].flops) == expected_flops(world)


def test_help_names_no_types(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "None" not in text and "STR" not in text and "INT" not in text


def test_a_folder_for_figures_is_refused_before_anything_is_measured(tmp_path, capsys):
    assert main(["--json", str(tmp_path)]) == 2
    assert "is a folder; expected a file's name" in capsys.readouterr().err


def test_agents_table_has_the_dream_and_the_peer_and_says_that_the_game_is_missing(
    tiny, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(agents, "ROWS", (1, 2))
    monkeypatch.setattr(agents, "PEER_ROWS", (1,))
    monkeypatch.setattr(agents, "REPEATS", 2)
    found = tmp_path / "agents.json"
    command = ["--checkpoint", str(tiny), "--agents", "--steps", "20", "--json", str(found)]
    assert main(command) == 0
    said = json.loads(found.read_text())["agents"]
    names = [(pace["name"], pace["rows"]) for pace in said["paces"]]
    assert names == [("dream", 1), ("dream", 2), ("DIAMOND's shape", 1)]
    assert all(pace["steps"] > 0 for pace in said["paces"])
    assert said["copies"]["bytes"] > 0
    text = capsys.readouterr().out
    assert "fork to 64 rows" in text and "the game is left out: unknown game 'tiny'" in text


def test_the_game_is_stepped_at_the_dream_s_rhythm():
    spec = subject.recipe_sizes("driving", "smoke")[0]
    pace = agents.played(1, spec, 20)
    assert pace.frames == spec.k * pace.steps > 0


def test_the_peer_is_as_large_as_it_should_be():
    weights = sum(p.numel() for p in unet.UNet().parameters())
    assert 4e6 < weights < 5e6  # its paper: 4.4 million


def test_soak_finds_nothing_in_a_sound_env(tiny, capsys):
    assert main(["--checkpoint", str(tiny), "--soak", "400"]) == 0
    said = capsys.readouterr().out
    assert "the same to the bit" in said and "not finite: 0 steps" in said


def test_soak_finds_a_row_that_reaches_another(tiny, monkeypatch):
    honest = soak.AAPTVectorEnv.step

    def leaky(self, actions):
        shared = np.asarray(actions).copy()
        shared[:] = shared[0] | shared  # everybody also does what the first row does
        return honest(self, shared)

    monkeypatch.setattr(soak.AAPTVectorEnv, "step", leaky)
    found = soak.soak("tiny", str(tiny), "cpu", 400)
    assert found.differing and "DIFFER" in soak.text(found)


def test_products_that_would_take_minutes_are_left_out(monkeypatch):
    """A CPU without bf16 units does 0.3 GFLOP/s in it: four runs of the largest product took minutes."""
    tried = []
    rate = lambda shape, dtype, device: (tried.append((shape, dtype)), 0.3e9)[1]  # noqa: E731
    monkeypatch.setattr(floor, "matmul_rate", rate)
    found = floor.rates(torch.device("cpu"))
    assert {shape for shape, _ in tried} == {(512, 512, 512)} and found.matmul["bf16"] == 0.3e9

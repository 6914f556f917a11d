"""Numbers that a game tells of itself, from its info to a dream's: the same place, at every step of the way."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

from aapt_env import carried, checkpoint, sizes
from aapt_env.bench import subject
from aapt_env.controls import directions
from aapt_env.data.episodes import Episodes
from aapt_env.data.record import record
from aapt_env.games import HoldControl, make_held, world_spec
from aapt_env.model.cache import RingCache
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay, rollout, step
from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.spec import CarriedSpec, WorldSpec
from aapt_env.starts import Start, pack, unpack
from aapt_env.train.adversarial import Adversarial, AdversarialStage, Match
from aapt_env.train.clips import Clip, EncodedEpisode, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import Diffusion, DiffusionStage, smudged, strayed
from aapt_env.train.follow import Follow, FollowStage
from aapt_env.train.forcing import Forcing, dream
from aapt_env.train.recipes import recipe
from aapt_env.train.roller import Roller
from aapt_env.world import World

GRID = (8, 8)
HOUSE = recipe("examples.explorer_house:house")


@pytest.fixture(scope="module")
def spec() -> WorldSpec:
    env = make_held("explorer", k=2)
    found = replace(world_spec(env, "explorer", 2), channels=4)
    env.close()
    return found


@pytest.fixture(scope="module")
def place(spec) -> carried.Numbers:
    return carried.carrier(spec.carried, spec.control, GRID)


def made(spec, seed=0, quiet=False) -> Generator:
    """A small generator; a quiet one adds nothing to what is expected."""
    _, trunk = sizes.fit(
        spec, VAEConfig(k=2, channels=4, encoder=(8, 16), decoder=(8, 16)),
        patch=2, dim=32, depth=2, heads=2, window=4, change=0.3,
    )  # fmt: skip
    torch.manual_seed(seed)
    generator = Generator(trunk, spec.control)
    for p in () if quiet else generator.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return generator.requires_grad_(False)


def clip(spec, batch=2, length=5, seed=0) -> Clip:
    """Random pictures and places under random controls."""
    rng = torch.Generator().manual_seed(seed)
    controls = torch.rand(batch, length, spec.k, 4, generator=rng) * 2 - 1
    latents = torch.randn(batch, 1 + length, *spec.latent_shape, generator=rng)
    numbers = torch.randn(batch, 1 + length, 5, generator=rng)
    return Clip(carried.put(latents, numbers), controls, torch.zeros(batch, 2, dtype=torch.int64))


def test_numbers_come_back_as_they_were(place):
    values = torch.tensor([[1.0, 11.0, -3.0, 0.5], [6.0, 6.0, 3.1, -0.5]])
    assert torch.allclose(place.decode(place.encode(values)), values, atol=1e-5)
    spec = CarriedSpec(names=("health", "ammo"), middle=(50, 10), spread=(30, 10), reach=(2, 9))
    plain = carried.carrier(spec, None, GRID)
    assert plain.encode(torch.tensor([[80.0, 0.0]])).tolist() == [[1.0, -1.0]]
    assert plain.decode(torch.tensor([[1.0, -1.0]])).tolist() == [[80.0, 0.0]]
    assert plain.maps(torch.zeros(1, 2)) is None and spec.channels == 2


def test_the_place_expected_is_where_the_game_goes_where_nothing_stands_in_the_way(place):
    env = make_held("explorer", k=2)
    _, info = env.reset(seed=4)
    rng, before, off = np.random.default_rng(0), info["carried"], []
    for _ in range(120):
        action = rng.uniform(-1, 1, 4).astype(np.float32) * (1, 1, 1, 0.3)
        action = action.astype(np.float32)
        _, _, _, _, info = env.step(action)
        held = torch.from_numpy(action).expand(2, 4)
        found = place.decode(place.expected(place.encode(torch.from_numpy(before)), held))
        gap = found.numpy() - info["carried"]
        gap[2] = (gap[2] + np.pi) % (2 * np.pi) - np.pi
        assert abs(gap[2]) < 1e-5, "no wall stops a head from turning"
        off.append(np.abs(gap).max())
        before = info["carried"]
        assert info["carried_frames"].shape == (2, 4)
        assert (info["carried_frames"][-1] == before).all()
    env.close()
    assert np.quantile(off, 0.5) < 1e-5


def test_rays_point_where_the_camera_looks(place, spec):
    """The middle of the picture along the heading, its right edge to the right, its top up; all of unit length."""
    yaw, pitch = 0.7, 0.2
    maps = place.maps(place.encode(torch.tensor([3.0, 4.0, yaw, pitch])))
    assert maps.shape == (place.map_channels, *GRID)
    rays = maps[:3] / 3**0.5
    assert torch.allclose(rays.norm(dim=0), torch.ones(GRID), atol=1e-5)
    middle = rays[:, 3:5, 3:5].mean((1, 2))
    ahead = [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)]
    assert torch.allclose(middle / middle.norm(), torch.tensor(ahead).float(), atol=1e-5)
    right = torch.tensor([-np.sin(yaw), np.cos(yaw), 0.0]).float()
    across = torch.einsum("c,chw->hw", right, rays)
    assert torch.allclose(across, directions(GRID, 80.0)[0], atol=1e-5)
    assert (rays[2, 0] > rays[2, -1]).all()


def test_who_walks_along_a_line_of_sight_stays_on_it(spec):
    """The maps of the line ahead are the same from all places on it, but for the waves of the place itself."""
    yaw = torch.tensor(0.7)
    far = torch.linspace(-3, 3, 7)
    values = torch.stack([6 + far * yaw.cos(), 5 + far * yaw.sin(), yaw + 0 * far, 0 * far], dim=-1)
    odd = carried.carrier(
        spec.carried, spec.control, (9, 9)
    )  # whose middle cell looks straight ahead
    line = odd.maps(odd.encode(values))[:, 11:27, 4, 4]
    assert torch.allclose(line, line[:1].expand_as(line), atol=1e-4)
    aside = odd.maps(odd.encode(values + torch.tensor([0.3, 0.0, 0.0, 0.0])))[:, 11:27, 4, 4]
    assert (line - aside).abs().amax(1).min() > 0.1


def test_places_that_differ_look_different(place):
    """No two of a grid of places and headings have the same maps: they tell what is to be seen."""
    x, y, yaw = torch.meshgrid(
        torch.linspace(1, 11, 9), torch.linspace(1, 11, 9), torch.linspace(-3, 3, 7), indexing="ij"
    )
    values = torch.stack([x, y, yaw, 0 * x], dim=-1).flatten(0, 2)
    flat = place.maps(place.encode(values)).flatten(1)
    apart = torch.cdist(flat, flat) + 99 * torch.eye(len(flat))
    assert apart.min() > 1


def test_one_pass_is_the_cache(spec):
    """What the masked pass makes of a rollout is what the ring made, carried numbers with it."""
    generator, some = made(spec), clip(spec)
    noise = torch.randn(2, 5, *spec.latent_shape, generator=torch.Generator().manual_seed(3))
    cache = RingCache(generator.trunk.rope, generator.trunk.scene(some.scene), 4)
    rolled = rollout(generator, some.latents, some.controls, noise, cache, 1)
    again = replay(generator, rolled, some.controls, noise, some.scene, 1)
    assert torch.allclose(rolled, again, atol=1e-4)


def test_a_generator_that_adds_nothing_walks_as_commanded(spec, place):
    generator, some = made(spec, quiet=True), clip(spec)
    noise = torch.randn(2, *spec.latent_shape)
    cache = RingCache(generator.trunk.rope, generator.trunk.scene(some.scene), 4)
    after = step(generator, some.latents[:, 0], some.controls[:, 0], noise, cache)
    numbers = carried.read(some.latents[:, 0], 5)
    wanted = place.expected(numbers, some.controls[:, 0])
    assert torch.allclose(carried.read(after, 5), wanted, atol=1e-4)
    assert torch.allclose(after[:, :4], some.latents[:, 0, :4], atol=1e-4)


def test_what_is_seen_depends_on_the_place(spec):
    """The same picture under the same controls, elsewhere: another latent; and the critic sees it too."""
    generator, some = made(spec), clip(spec)
    moved = carried.put(some.latents, carried.read(some.latents, 5) + 1)
    other = replace(some, latents=moved)
    noise, t = torch.randn(2, 5, *spec.latent_shape), torch.ones(2, 5)
    a, b = (
        generator.parallel(noise, c.latents[:, :-1], c.controls, t, c.scene)[:, :, :4]
        for c in (some, other)
    )
    assert (a - b).abs().mean() > 1e-3
    critic = Critic(generator.config, spec.control)
    for p in critic.parameters():
        torch.nn.init.normal_(p, std=0.1)
    one, two = (
        critic(c.latents, c.controls, c.scene, torch.zeros(2))["latent"] for c in (some, other)
    )
    assert (one - two).abs().mean() > 1e-3


def test_in_training_the_game_says_where_one_is(spec):
    """Rollouts of the stages keep the recorded numbers; made again with gradients, it is told how far off it was."""
    generator, some = made(spec), clip(spec)
    noise = torch.randn(2, 5, *spec.latent_shape)
    rolled, _ = Roller(generator)(some.latents, some.controls, noise, some.scene, 1)
    assert (rolled[:, :, 4:] == some.latents[:, :, 4:]).all()
    assert (rolled[:, 2:, :4] != some.latents[:, 2:, :4]).all()
    past = dream(generator, some, noise, 1, 0, 0, Forcing())
    match = Match(
        some.latents, past.end, some.controls, some.controls, some.scene, 1, noise, past=past
    )
    match, told = match.learning(generator.requires_grad_(True))
    assert (match.fake[:, :, 4:] == some.latents[:, :, 4:]).all()
    numbers = past.again(generator)[:, :, 4:]
    assert told > 0 and torch.allclose(told, (numbers - some.latents[:, :, 4:]).square().mean())
    (match.fake.sum() + told).backward()
    assert (generator.leave.bias.grad.view(9, 4)[:6].abs().sum(1) > 0).all()
    with pytest.raises(ValueError, match="detach"):
        dream(generator, some, noise, 1, 0, 0, Forcing(detach=False))


def test_pictures_are_smudged_and_faded_and_numbers_are_not(spec):
    some = clip(spec, batch=64)
    seen = smudged(some, Dice.of(0, "test", 0, "cpu"), 0.3, carried=5, fade=0.5)
    real = some.latents[:, :-1]
    assert (seen[:, :, 4:] == real[:, :, 4:]).all()
    kept = (seen[:, :, :4] * real[:, :, :4]).mean((1, 2, 3, 4)) / real[:, :, :4].square().mean()
    assert 0.3 < (kept < 0.9).float().mean() < 0.6 and kept.min() < 0.3


@pytest.mark.parametrize("name", ["diffusion", "follow", "adversarial"])
def test_every_stage_that_rolls_out_or_learns_pictures_learns_the_numbers(spec, name):
    """One update of each; what it tells of itself has the numbers' error in it, and their layer moves."""
    rng = torch.Generator().manual_seed(0)
    count = 24
    numbers = torch.randn(count, 5, generator=rng)
    latents = torch.randn(count, *spec.latent_shape, generator=rng)
    latents = carried.put(latents, numbers).half()
    controls = torch.rand(count - 1, 2, 4, generator=rng) * 2 - 1
    scene = torch.zeros(2, dtype=torch.int64)
    clips = LatentClips([EncodedEpisode(latents, latents, controls, scene)])
    generator = made(spec).requires_grad_(True)
    begun = generator.leave.weight.detach().clone()
    if name == "diffusion":
        stage = DiffusionStage(
            Diffusion(share=1, batch=4, length=5, fade=0.5), generator, clips, None
        )
    elif name == "follow":
        settings = Follow(share=1, batch=4, length=5, leads=(0, 4), overlap=2)
        stage = FollowStage(settings, generator, clips, None)
    else:
        settings = Adversarial(
            share=1, batch=4, length=5, leads=(0, 4), overlap=2, keep=1, stay=1, follow=1
        )
        critic = Critic(generator.config, spec.control)
        for p in critic.parameters():
            torch.nn.init.normal_(p, std=0.1)
        stage = AdversarialStage(settings, generator, critic, clips, None)
    found = {}
    for turn in stage.turns:
        dice = Dice.of(0, "test", 1, "cpu")
        turn.optimizer.zero_grad()
        for loss, told in turn.losses(stage.batch(dice), dice):
            loss.backward()
            found |= told
        turn.optimizer.step()
    assert found["back" if name == "follow" else "told"] > 0
    moved = (generator.leave.weight - begun).abs().view(9, 4, -1).sum((1, 2))
    assert (moved[:6] > 0).all(), "the picture's channels, x and y"


def test_recorded_read_and_begun_with(tmp_path, spec):
    """From `aapt record` to a start in a file."""
    out = tmp_path / "data"
    record("explorer", out, episodes=2, k=2, max_seconds=1, seed=3, progress=False)
    episodes = Episodes.open(out)
    told = episodes.carried(0)
    assert told.shape == (episodes.index[0].length, 4) and told.dtype == np.float32
    env = gym.wrappers.TimeLimit(make_held("explorer", k=2), 100)
    _, info = env.reset(seed=episodes.index[0].seed)
    assert (told[0] == info["carried"]).all()
    for i, row in enumerate(episodes.controls(0)[::2][:4]):
        info = env.step(row)[-1]
        assert (told[1 + 2 * i : 3 + 2 * i] == info["carried_frames"]).all()
    env.close()
    frames, controls = episodes.frames(0, 0, 5), episodes.controls(0)[:4]
    scene = episodes.index[0].scene
    parts = {"frames": frames, "controls": controls, "seed": 1, "scene": scene}
    start = Start(**parts, carried=told[:5:2])
    start.check(spec)
    tensors = pack([start])
    assert (unpack(tensors, spec)[0].carried == told[:5:2]).all()
    del tensors["000/carried"]
    with pytest.raises(ValueError, match="lacks carried"):
        unpack(tensors, spec)
    with pytest.raises(ValueError, match="expected \\(3, 4\\) finite"):
        Start(**parts, carried=told[:4]).check(spec)


def test_a_dream_says_where_it_is(tmp_path, spec, place):
    """A world read back from its files; a picture takes the place of the start that looks like it."""
    generator = made(spec, quiet=True)
    vae = VAE(VAEConfig(k=2, channels=4, encoder=(8, 16), decoder=(8, 16)))
    rng = np.random.default_rng(0)
    starts = [
        Start(
            frames=rng.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8),
            controls=np.zeros((4, 4), np.float32), seed=i, scene={"style": "villa", "time": "day"},
            carried=np.array([[2.0 + i, 3.0, 0.5, 0.0]] * 3, np.float32),
        ) for i in range(3)
    ]  # fmt: skip
    checkpoint.save(tmp_path / "world", spec, generator, vae, starts, {"recipe": "none"})
    env = gym.make("AAPT-World-v0", checkpoint=str(tmp_path / "world"), device="cpu")
    picture, info = env.reset(seed=0, options={"start": 1})
    assert np.allclose(info["carried"], [3, 3, 0.5, 0], atol=1e-2)
    ahead = np.array([1, 0, 0, 0], np.float32)
    for i in range(3):
        info = env.step(ahead)[-1]
        gone = 2 * (i + 1) * spec.control.settings["metres"]
        wanted = [3 + gone * np.cos(0.5), 3 + gone * np.sin(0.5), 0.5, 0]
        assert np.allclose(info["carried"], wanted, atol=2e-2)
    _, info = env.reset(seed=0, options={"start": starts[2].frames[-1]})
    assert np.allclose(info["carried"], [4, 3, 0.5, 0], atol=1e-2)
    many = gym.make_vec("AAPT-World-v0", 2, checkpoint=str(tmp_path / "world"), device="cpu")
    _, infos = many.reset(seed=0)
    assert infos["carried"].shape == (2, 4)
    world = World(checkpoint.read(tmp_path / "world"), bf16=False)
    assert world.carried.shape == (1, 4)


def test_nobody_walks_further_than_the_place_reaches(place, spec):
    """Against the last wall for ever, head in the neck: what is expected stays where the game would."""
    numbers = place.encode(torch.tensor([6.0, 6.0, 0.3, 0.0]))
    for _ in range(200):
        numbers = place.expected(numbers, torch.tensor([[1.0, 0.2, 0.0, 1.0]]))
    x, y, yaw, pitch = place.decode(numbers).tolist()
    assert x == pytest.approx(10.7, abs=1e-3) and y == pytest.approx(10.7, abs=1e-3)
    assert pitch == pytest.approx(np.radians(30), abs=1e-4) and yaw == pytest.approx(0.3, abs=1e-4)
    plain = carried.carrier(
        CarriedSpec(names=("health",), middle=(50,), spread=(25,), reach=(2,)), None, GRID
    )
    assert plain.expected(torch.tensor([[3.0], [-0.5]]), None).tolist() == [[2.0], [-0.5]]


def test_who_stands_is_pushed_by_nothing(spec, place):
    """Whatever the weights say: without a step the place stays, with one it moves by as much as that at most."""
    generator, some = made(spec), clip(spec)
    still = replace(some, controls=torch.zeros_like(some.controls))
    noise = torch.randn(2, *spec.latent_shape)
    for each in (still, some):
        cache = RingCache(generator.trunk.rope, generator.trunk.scene(some.scene), 4)
        after = step(generator, each.latents[:, 0], each.controls[:, 0], noise, cache)
        before, got = (carried.read(z, 5) for z in (each.latents[:, 0], after))
        wanted = place.expected(before, each.controls[:, 0])
        off, length = (got - wanted)[:, :2].norm(dim=-1), (wanted - before)[:, :2].norm(dim=-1)
        assert torch.allclose(got[:, 2:], wanted[:, 2:], atol=1e-5)
        assert (off < 1e-5).all() if each is still else (off > 1e-4).all() and (length > 0).all()


def test_numbers_that_are_off_are_learned_to_come_back(spec):
    """One step down the gradient of `strayed` lessens it."""
    generator, some = made(spec).requires_grad_(True), clip(spec, batch=16)
    dice = lambda: Dice.of(0, "test", 0, "cpu")  # noqa: E731
    before = strayed(generator, some, dice())
    before.backward()
    with torch.no_grad():
        for p in generator.parameters():
            p -= 0.01 * p.grad / (p.grad.norm() + 1e-9)
    assert 0 < strayed(generator, some, dice()) < before


def test_a_game_that_says_wrong_things_is_told_so():
    """One sentence, with what it said; and what is not meant for us is left alone."""
    spec = {"names": ("a", "b"), "middle": (0.0, 0.0), "spread": (1.0, 1.0), "reach": (1.0, 1.0)}

    class Says(gym.Env):
        observation_space = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        action_space = gym.spaces.Discrete(2)

        def __init__(self, carried, told):
            self.carried, self.told = carried, told

        def reset(self, *, seed=None, options=None):
            return np.zeros((64, 64, 3), np.uint8), self.told

    for wrong in ({}, {"carried": [1.0]}, {"carried": "sword"}, {"carried": [1.0, float("nan")]}):
        with pytest.raises(ValueError, match="expected finite numbers for \\('a', 'b'\\)"):
            HoldControl(Says(spec, wrong), 2).reset()
    _, info = HoldControl(Says(spec, {"carried": [1, 2]}), 2).reset()
    assert info["carried_frames"].tolist() == [[1, 2], [1, 2]]
    for carried_by_hand in (None, [], {"sword": 1}):
        env = HoldControl(Says(carried_by_hand, {"carried": ["sword"]}), 2)
        assert "carried_frames" not in env.reset()[1]
        assert world_spec(env, "gym:Says", 2).carried is None


def test_recipes_and_stages_refuse_what_cannot_be(spec):
    with pytest.raises(ValueError, match="there are none of 'explorer'"):
        HOUSE.sizes(replace(spec, carried=None))
    with pytest.raises(ValueError, match="fade"):
        replace(HOUSE, carry=False)
    _, trunk, _ = HOUSE.sizes(spec)
    assert trunk.channels == 21
    with pytest.raises(ValueError, match="guess"):
        replace(trunk, change=0.0)
    stage = Adversarial(share=1, piloted=0.5)
    with pytest.raises(ValueError, match="piloted"):
        AdversarialStage(stage, made(spec), Critic(made(spec).config, spec.control), None, None)


def test_it_can_be_planned_and_measured(spec):
    """What `aapt bench` does: sizes without memory, and random weights that play."""
    _, trunk = sizes.fit(
        spec, VAEConfig(k=2, channels=4, encoder=(8, 16), decoder=(8, 16)),
        patch=2, dim=32, depth=2, heads=2, window=4, change=0.3,
    )  # fmt: skip
    every = spec, trunk, VAEConfig(k=2, channels=4, encoder=(8, 16), decoder=(8, 16))
    loaded = subject.random_weights(every, torch.device("cpu"))
    world = World(loaded, 2, bf16=True)
    world.reset(0, loaded.starts[0], 0)
    assert torch.allclose(world.carried[0], torch.tensor([6.0, 6.0, 0.0, 0.0]), atol=1e-5)
    world.step(np.zeros((2, 4), np.float32))
    assert torch.allclose(world.carried[0], torch.tensor([6.0, 6.0, 0.0, 0.0]), atol=1e-4)
    subject.plan(loaded, 2, True)


def test_what_a_spec_refuses(spec):
    good = {"names": ("a",), "middle": (0.0,), "spread": (1.0,), "reach": (3.0,)}
    assert CarriedSpec(**good).channels == 1
    wrongs = [
        {"spread": (0.0,)}, {"middle": ()}, {"middle": (float("nan"),)}, {"middle": (1e300,)}, {"names": ()},
        {"names": (1,)}, {"names": ({},)}, {"kind": []}, {"reach": (-1.0,)}, {"spread": (1e-60,)},
        {"middle": (10**400,)},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match="carried"):
            CarriedSpec(**(good | wrong))
    with pytest.raises(ValueError, match="no kind"):
        carried.carrier(CarriedSpec(kind="mood", **good), spec.control, GRID)
    with pytest.raises(ValueError, match="a place is"):
        carried.carrier(CarriedSpec(kind="place", **good), spec.control, GRID)
    again = WorldSpec.from_dict(spec.to_dict())
    assert again == spec and again.latent_shape == (9, 8, 8)

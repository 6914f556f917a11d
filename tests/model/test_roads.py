"""Masked pass = growing cache = ring cache, and growing gives the masked pass's gradients."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from aapt_env.model.cache import GrowingCache, RingCache
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import noise_at, resume, rollout, step
from aapt_env.model.segment import Memory
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec

CONTROL = ControlSpec(space="MultiBinary", size=4)
CONFIG = TrunkConfig(
    channels=4, rows=4, columns=4, dim=32, depth=3, heads=2, window=3, scenes=(3, 2), change=0.25
)


def generator(config=CONFIG, seed=0):
    """A float64 generator whose every weight matters."""
    torch.manual_seed(seed)
    made = Generator(config, CONTROL).double()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return made


def clip(length, batch=2, config=CONFIG, seed=1):
    """previous-inclusive latents, noise, controls, scene."""
    rng = torch.Generator().manual_seed(seed)
    shape = (config.channels, config.rows, config.columns)
    latents = torch.randn(batch, 1 + length, *shape, generator=rng, dtype=torch.float64)
    noise = torch.randn(batch, length, *shape, generator=rng, dtype=torch.float64)
    controls = torch.randint(0, 2, (batch, length, 4, 4), generator=rng).double()
    scene = torch.randint(0, 2, (batch, len(config.scenes)), generator=rng)
    return latents, noise, controls, scene


def forced(made, cache, latents, noise, controls):
    """Step with real previous latents: what the masked pass does in one go."""
    out = [
        step(made, latents[:, i], controls[:, i], noise[:, i], cache)
        for i in range(controls.shape[1])
    ]
    return torch.stack(out, dim=1)


def masked(made, latents, noise, controls, scene):
    """The parallel pass at t = 1."""
    length = controls.shape[1]
    t = torch.ones(noise.shape[0], length, dtype=torch.float64)
    seen = made.trunk.clip(scene, length)
    return noise - made(noise, latents[:, :-1], controls, t, seen)


@pytest.mark.parametrize("scenes", [(3, 2), ()])
def test_three_roads_one_answer(scenes):
    config = TrunkConfig(**{**CONFIG.__dict__, "scenes": scenes})
    made = generator(config)
    latents, noise, controls, scene = clip(config.window + 2, config=config)
    with torch.no_grad():
        kv = made.trunk.scene(scene)
        parallel = masked(made, latents, noise, controls, scene)
        growing = forced(
            made, GrowingCache(made.trunk.rope, kv, config.window), latents, noise, controls
        )
        ring = forced(made, RingCache(made.trunk.rope, kv, config.window), latents, noise, controls)
    assert parallel.std() > 0.1
    torch.testing.assert_close(growing, parallel, rtol=0, atol=1e-10)
    torch.testing.assert_close(ring, parallel, rtol=0, atol=1e-10)


def test_growing_and_ring_forget_alike_beyond_the_window():
    made = generator()
    latents, noise, controls, scene = clip(25)
    with torch.no_grad():
        kv = made.trunk.scene(scene)
        growing = forced(made, GrowingCache(made.trunk.rope, kv, 3), latents, noise, controls)
        ring = forced(made, RingCache(made.trunk.rope, kv, 3), latents, noise, controls)
    torch.testing.assert_close(ring, growing, rtol=0, atol=1e-10)


def test_growing_gives_the_gradients_of_the_masked_pass():
    made = generator()
    latents, noise, controls, scene = clip(5)
    roads = []
    for road in ("masked", "growing"):
        if road == "masked":
            out = masked(made, latents, noise, controls, scene)
        else:
            cache = GrowingCache(made.trunk.rope, made.trunk.scene(scene), 3)
            out = forced(made, cache, latents, noise, controls)
        grads = torch.autograd.grad(out.square().sum(), list(made.parameters()))
        roads.append(torch.cat([g.flatten() for g in grads]))
    torch.testing.assert_close(roads[0], roads[1], rtol=1e-9, atol=1e-9)


def test_first_position_is_never_forgotten_and_an_evicted_one_is_gone_from_the_first_layer():
    config = TrunkConfig(**{**CONFIG.__dict__, "depth": 1})
    made = generator(config)
    latents, noise, controls, scene = clip(12, config=config)
    with torch.no_grad():
        kv = made.trunk.scene(scene)

        def last(changed):
            other = noise.clone()
            other[:, changed] += 1
            cache = RingCache(made.trunk.rope, kv, 3)
            return forced(made, cache, latents, other, controls)[:, -1]

        reference = last(slice(0, 0))
        assert (last(0) - reference).abs().max() > 1e-6  # the sink
        assert (last(4) - reference).abs().max() == 0  # long evicted, one layer deep
        assert (last(9) - reference).abs().max() > 1e-6  # within the window


def test_endless_play_sees_only_trained_distances():
    """Shifting the whole recent past far out in time must not change a step: only distances up to W + 1 may matter."""
    made = generator()
    latents, noise, controls, scene = clip(6)
    outs = []
    for age in (5, 100_005):
        cache = RingCache(made.trunk.rope, made.trunk.scene(scene), 3)
        cache.keys, cache.values = cache.keys.detach(), cache.values.detach()
        with torch.no_grad():
            step(made, latents[:, 0], controls[:, 0], noise[:, 0], cache)
            cache.age += age - 1
            cache.prepare()
            for i in range(1, 6):
                out = step(made, latents[:, i], controls[:, i], noise[:, i], cache)
        outs.append(out)
    torch.testing.assert_close(outs[0], outs[1], rtol=0, atol=1e-8)


def test_rows_reset_on_their_own():
    made = generator()
    latents, noise, controls, scene = clip(9)
    with torch.no_grad():
        kv = made.trunk.scene(scene)
        cache = RingCache(made.trunk.rope, kv, 3)
        forced(made, cache, latents[:, :5], noise[:, :4], controls[:, :4])
        cache.put([1], RingCache(made.trunk.rope, [(k[1:], v[1:]) for k, v in kv], 3), [0])
        mixed = forced(made, cache, latents[:, 4:], noise[:, 4:], controls[:, 4:])
        fresh = RingCache(made.trunk.rope, kv, 3)
        again = forced(made, fresh, latents[:, 4:], noise[:, 4:], controls[:, 4:])
        whole = forced(made, RingCache(made.trunk.rope, kv, 3), latents, noise, controls)
    torch.testing.assert_close(mixed[1], again[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(mixed[0], whole[0, 4:], rtol=0, atol=1e-12)


def test_ring_state_returns_and_select_forks():
    made = generator()
    latents, noise, controls, scene = clip(9)
    with torch.no_grad():
        cache = RingCache(made.trunk.rope, made.trunk.scene(scene), 3)
        forced(made, cache, latents[:, :6], noise[:, :5], controls[:, :5])
        state, fork = cache.state(), cache.select(torch.tensor([1, 1, 0]))
        first = forced(made, cache, latents[:, 5:], noise[:, 5:], controls[:, 5:])
        cache.load(state)
        second = forced(made, cache, latents[:, 5:], noise[:, 5:], controls[:, 5:])
        order = [1, 1, 0]
        forked = forced(made, fork, latents[order, 5:], noise[order, 5:], controls[order, 5:])
    assert torch.equal(first, second)
    torch.testing.assert_close(forked, first[order], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="expected"):
        fork.load(state)


def test_ring_under_autograd_raises():
    made = generator()
    latents, noise, controls, scene = clip(1)
    with torch.no_grad():
        cache = RingCache(made.trunk.rope, made.trunk.scene(scene), 3)
    with pytest.raises(RuntimeError, match="GrowingCache"):
        forced(made, cache, latents, noise, controls)


def test_recycled_latent_is_detached_and_the_cache_is_not():
    made = generator()
    latents, noise, controls, scene = clip(4)
    noise.requires_grad_()
    for detach in (True, False):
        cache = GrowingCache(made.trunk.rope, made.trunk.scene(scene), 3)
        out = rollout(made, latents, controls, noise, cache, given=1, detach=detach)
        (grad,) = torch.autograd.grad(out[:, 4].sum(), noise)
        assert grad[:, 0].abs().max() > 0, "noise 1 must reach latent 4 through keys and values"
        grads = grad if detach else grads - grad  # noqa: F821
    assert grads.abs().max() > 1e-8, "the recycled path must carry gradient only when not detached"


def test_rollout_keeps_what_is_given():
    made = generator()
    latents, noise, controls, scene = clip(5)
    with torch.no_grad():
        cache = RingCache(made.trunk.rope, made.trunk.scene(scene), 3)
        out = rollout(made, latents, controls, noise, cache, given=3)
    assert torch.equal(out[:, :3], latents[:, :3]) and out.shape == latents.shape
    assert (out[:, 3:] - latents[:, 3:]).abs().min() > 0 and int(cache.age[0]) == 5


@pytest.mark.parametrize("head", ["latent", "video"])
def test_critic_logit_ignores_the_future_only_in_the_causal_head(head):
    torch.manual_seed(0)
    critic = Critic(CONFIG, CONTROL, heads=(head,)).double()
    for p in critic.parameters():
        torch.nn.init.normal_(p, std=0.2)
    latents, _, controls, scene = clip(5)
    t = torch.tensor([0.3, 0.7], dtype=torch.float64)
    reference = critic(latents, controls, scene, t)[head]
    changed = latents.clone()
    changed[:, 4] += 1  # latent 4 of 1 ... 5: index 3 of the logits
    difference = (critic(changed, controls, scene, t)[head] - reference).abs()
    if head == "video":
        assert difference.shape == (2, 1) and difference.min() > 1e-9
    else:
        assert difference[:, :3].max() == 0 and difference[:, 3:].min() > 1e-9


def test_noise_depends_on_seed_and_position_only():
    seeds, positions = torch.tensor([5, 6, 5]), torch.tensor([1, 1, 2])
    noise = noise_at(seeds, positions, (16, 8, 8))
    assert torch.equal(noise[1:2], noise_at(seeds[1:2], positions[1:2], (16, 8, 8)))
    assert not torch.equal(noise[0], noise[1]) and not torch.equal(noise[0], noise[2])
    many = noise_at(torch.arange(200), torch.ones(200, dtype=torch.int64), (16, 8, 8))
    assert abs(many.mean()) < 0.01 and abs(many.std() - 1) < 0.01
    assert abs(many.flatten(1).T.corrcoef().fill_diagonal_(0)).max() < 0.5


def test_philox_is_the_published_one():
    """Known answers of Philox4x32-10 from the Random123 distribution."""
    from aapt_env.model.rollout import philox

    for word, expected in ((0, "6627e8d5"), (0xFFFFFFFF, "408f276d")):
        w = torch.tensor([word])
        assert f"{int(philox([w] * 4, (w, w))[0]):08x}" == expected


def test_no_product_of_the_noise_can_be_taken_in_32_bits():
    """What Inductor knows from shapes alone it counts in int32 on a GPU, and 0xD2511F53 times that does not compile."""
    seeds, positions = torch.tensor([5, 6]), torch.tensor([1, 2])
    graph = make_fx(lambda *rows: noise_at(*rows, (4, 4, 4)))(seeds, positions).graph
    known: set = set()  # from shapes alone
    for node in graph.nodes:
        inputs = node.all_input_nodes
        if node.op == "call_function" and ("zeros_like" in node.name or known.issuperset(inputs)):
            known.add(node)
    products = [node for node in graph.nodes if {0xD2511F53, 0xCD9E8D57} & {*node.args}]
    assert len(products) == 20
    assert not known.intersection(products)


@pytest.mark.parametrize("scenes", [(3, 2), ()])
@pytest.mark.parametrize("age", [1, 3, 4, 5, 6, 17])
def test_a_segment_goes_on_from_a_ring_as_a_growing_cache_does(age, scenes):
    """However old the ring is: before it is full, when the prefix begins to move along, and long after."""
    config = TrunkConfig(**{**CONFIG.__dict__, "scenes": scenes})
    made = generator(config)
    latents, noise, controls, scene = clip(age + 7, config=config)
    now = slice(age, None)
    with torch.no_grad():
        ring = RingCache(made.trunk.rope, made.trunk.scene(scene), config.window)
        forced(made, ring, latents, noise[:, :age], controls[:, :age])
        growing = GrowingCache(made.trunk.rope, made.trunk.scene(scene), config.window)
        forced(made, growing, latents, noise[:, :age], controls[:, :age])
    outs = [resume(made, latents, controls, noise, Memory.of(ring, age))]
    outs += [forced(made, growing.detach(), latents[:, age:], noise[:, now], controls[:, now])]
    torch.testing.assert_close(outs[0], outs[1], rtol=0, atol=1e-10)
    grads = [
        torch.autograd.grad(out.square().sum(), list(made.parameters()), allow_unused=True)
        for out in outs
    ]
    for name, a, b in zip(dict(made.named_parameters()), *grads, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, msg=name)


def test_a_segment_does_not_look_ahead_nor_past_the_window():
    config = TrunkConfig(**{**CONFIG.__dict__, "depth": 1})
    made = generator(config)
    latents, noise, controls, scene = clip(12, config=config)
    with torch.no_grad():
        ring = RingCache(made.trunk.rope, made.trunk.scene(scene), config.window)
        forced(made, ring, latents, noise[:, :5], controls[:, :5])
        memory = Memory.of(ring, 5)

        def after(changed):
            other = noise.clone()
            other[:, changed] += 1
            return resume(made, latents, controls, other, memory)

        moved = (after(8) - after(slice(0, 0))).abs().amax(dim=(0, 2, 3, 4)) > 0
    assert moved.tolist() == [False] * 3 + [True] * 4, (
        "position 9 is seen by itself and the W = 3 after it"
    )

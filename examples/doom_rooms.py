r"""A recipe of one's own: Doom's four rooms, learned by heart on a GPU in ten minutes by plan; not run on one yet.

aapt record doom --frames 2M --policy scripted+scripted+elsewhere --max-seconds 24 --seed 7 --workers 13
aapt train doom --recipe examples.doom_rooms:rooms --compile
"""

from dataclasses import replace

from aapt_env.train.follow import Follow
from aapt_env.train.recipes import Recipe, cpu, gpu


def rooms() -> Recipe:
    """Latents that carry where the player is, how fast and in which room, and a map of each room that is learned.

    As `explorer_house`, at four frames per latent: diffusion mostly sees no picture before, `follow` puts the map to
    use in rollouts, then comes the critic.
    """
    g = gpu()
    return replace(
        g,
        name="rooms",
        depth=4,
        channels=24,
        change=0.7,
        carry=True,
        frames=2_000_000,
        max_seconds=24,
        budget=8 * 60,
        autoencode=replace(g.autoencode, share=0.2, batch=64, kl=1e-3, stir=6.0),
        polish=replace(g.polish, share=0.07, batch=64, grain=0.7),
        diffusion=replace(
            g.diffusion, share=0.3, batch=192, length=8, optimizer="muon", lr=1e-3, shift=8.0, fade=0.7
        ),
        consistency=replace(g.consistency, share=0.0),
        follow=Follow(
            share=0.15, batch=64, length=16, leads=(0, 0, 16, 32), overlap=4, least=0.3, optimizer="muon"
        ),
        adversarial=replace(
            g.adversarial, share=0.22, begin="follow", batch=64, length=16, leads=(0, 0, 24, 56), overlap=4, lr=2e-4,
            penalty=50.0, keep=1.0, stay=40.0, follow=6.0,
        ),
        long=replace(g.long, share=0.0),
        outcome=replace(g.outcome, share=0.03, batch=64),
        imitate=replace(g.imitate, share=0.03, batch=64, width=24),
    )  # fmt: skip


def onward() -> Recipe:
    """As runs/doom-rooms was trained, on a CPU without bf16 (docs/lab.md, twentieth to twenty-second session)."""
    c = cpu()
    return replace(
        c,
        name="onward",
        depth=5,
        change=0.7,
        carry=True,
        frames=330_000,
        max_seconds=24,
        autoencode=replace(c.autoencode, share=0.0),
        polish=replace(c.polish, share=0.0),
        diffusion=replace(c.diffusion, share=0.4, batch=40, length=5, lr=8e-4, shift=12.0, fade=0.8),
        consistency=replace(c.consistency, share=0.0),
        follow=Follow(share=0.25, batch=13, leads=(0, 0, 14, 28), overlap=4, least=0.3),
        adversarial=replace(
            c.adversarial, share=0.27, begin="follow", batch=13, leads=(0, 0, 20, 48), overlap=4, lr=2e-4, penalty=50.0,
            keep=0.5, stay=40.0, follow=3.0,
        ),
        long=replace(c.long, share=0.0),
        outcome=replace(c.outcome, share=0.05),
        imitate=replace(c.imitate, share=0.03, width=14),
    )  # fmt: skip


def stirred() -> Recipe:
    r"""For runs/doom-stir: the world that ships, on latents that tell what moves; next, longer leads and less `keep`.

    aapt train doom --recipe examples.doom_rooms:stirred --stage adversarial --begin-with \
        runs/doom-stir/adversarial/checkpoint
    """
    c = cpu()
    return replace(
        c,
        name="stirred",
        depth=5,
        change=0.7,
        frames=330_000,
        max_seconds=24,
        autoencode=replace(c.autoencode, stir=6.0, kl=1e-3, lr=3e-4),
        adversarial=replace(
            c.adversarial, batch=12, penalised=1 / 12, leads=(0, 14, 28, 56), overlap=4, lr=1e-4, penalty=50.0,
            keep=0.5, stay=40.0, follow=1.0, wrong_controls=0.25,
        ),
    )  # fmt: skip


def warm() -> Recipe:
    """The same with few steps a stage, to fill the compiler's cache with: eight meet a lead as well as none."""
    made = rooms()
    stages = {name: replace(getattr(made, name), steps=8) for name in made.planned}
    return replace(made, frames=1, **stages)

r"""A recipe of one's own: Doom's four rooms, learned by heart on a GPU in ten minutes by plan; not run on one yet.

aapt record doom --k 2 --frames 2M --policy scripted+scripted+elsewhere --max-seconds 24 --seed 7 --workers 13
aapt train doom --recipe examples.doom_rooms:rooms --compile

Without a GPU: `--recipe examples.doom_rooms:at_home`.
"""

from dataclasses import replace

from aapt_env.train.follow import Follow
from aapt_env.train.recipes import Recipe, cpu, gpu


def rooms() -> Recipe:
    """Latents that carry where the player is, how fast and in which room, and a map of each room that is learned.

    As `explorer_house`: diffusion mostly sees no picture before, `follow` puts the map to use in rollouts, then comes
    the critic. Two frames per latent: in four, what is near moves by more than a cell, and that motion is lost.
    """
    g = gpu()
    return replace(
        g,
        name="rooms",
        k=2,
        depth=4,
        channels=24,
        change=0.5,
        carry=True,
        frames=2_000_000,
        max_seconds=24,
        budget=8 * 60,
        autoencode=replace(g.autoencode, share=0.2, batch=64, kl=2.5e-3, stir=6.0, zoomed=0.7),
        polish=replace(g.polish, share=0.07, batch=64, grain=0.6, stir=8.0),
        diffusion=replace(
            g.diffusion, share=0.3, batch=192, length=8, optimizer="muon", lr=1e-3, shift=12.0, fade=0.55
        ),
        consistency=replace(g.consistency, share=0.0),
        follow=Follow(
            share=0.15, batch=64, length=16, leads=(0, 0, 20, 48), overlap=4, least=0.3, optimizer="muon"
        ),
        adversarial=replace(
            g.adversarial, share=0.22, begin="follow", batch=64, length=16, leads=(0, 0, 32, 96), overlap=4, lr=2e-4,
            critic_lr=3e-4, penalty=12.0, wrong_controls=0.3, keep=0.3, stay=40.0, follow=1.0,
        ),
        long=replace(g.long, share=0.0),
        outcome=replace(g.outcome, share=0.03, batch=64),
        imitate=replace(g.imitate, share=0.03, batch=64, width=14),
    )  # fmt: skip


def at_home() -> Recipe:
    """The same on two CPU cores that are fast at bf16, two hours by plan.

    The doom that ships was trained on so, stage by stage, from a world of four frames per latent; its card has what was
    different.
    """
    c = cpu()
    return replace(
        c,
        name="at_home",
        k=2,
        depth=5,
        change=0.5,
        carry=True,
        frames=400_000,
        max_seconds=24,
        autoencode=replace(c.autoencode, share=0.1, stir=6.0, zoomed=0.7, kl=2.5e-3),
        polish=replace(c.polish, share=0.06, grain=0.6, stir=8.0),
        diffusion=replace(
            c.diffusion, share=0.2, batch=36, length=8, optimizer="muon", lr=1e-3, shift=12.0, fade=0.55
        ),
        consistency=replace(c.consistency, share=0.0),
        follow=Follow(
            share=0.12, batch=16, leads=(0, 0, 20, 48), overlap=4, least=0.3, optimizer="muon", lr=5e-4
        ),
        adversarial=replace(
            c.adversarial, share=0.49, begin="follow", batch=14, leads=(0, 0, 16, 56), overlap=4, lr=2e-4,
            critic_lr=3e-4, penalty=12.0, wrong_controls=0.3, keep=0.3, stay=40.0, follow=1.0,
        ),
        long=replace(c.long, share=0.0),
        outcome=replace(c.outcome, share=0.02),
        imitate=replace(c.imitate, share=0.01, width=14),
    )  # fmt: skip


def warm() -> Recipe:
    """The same with few steps a stage, to fill the compiler's cache with: eight meet a lead as well as none."""
    made = rooms()
    stages = {name: replace(getattr(made, name), steps=8) for name in made.planned}
    return replace(made, frames=1, **stages)

r"""A recipe of one's own: the explorer's villa by day, learned by heart on two CPU cores (docs/lab.md, session 19).

    aapt record explorer --k 2 --episodes 400 --max-seconds 16 --seed 11 \
        --policy scripted+scripted+elsewhere --scene style=villa time=day
    aapt train explorer --recipe examples.explorer_house:house --budget 4h --compile

To go on from the world that ships:

    aapt train explorer --recipe examples.explorer_house:onward --stage adversarial --begin-with explorer --compile
"""

from dataclasses import replace

from aapt_env.train.follow import Follow
from aapt_env.train.recipes import Recipe, cpu

ROWS = 208  # rows times latents of an update


def house() -> Recipe:
    """Latents that move like pictures and carry the walker's place, and a map of the house that is learned.

    Diffusion mostly sees no picture before, and so learns what is to be seen from where; `follow` puts that to use in
    rollouts; then come short contests with the critic, and long ones.
    """
    c = cpu()
    contest = dict(lr=2e-4, penalty=50.0, penalised=0.05, wrong_controls=0.0, stay=40.0, blend=0.0)
    return replace(
        c,
        name="house",
        k=2,
        depth=5,
        window=24,
        change=0.35,
        carry=True,
        frames=154_000,
        budget=4 * 3600,
        autoencode=replace(c.autoencode, share=0.08, zoomed=0.7),
        polish=replace(c.polish, share=0.03, grain=0.7),
        diffusion=replace(
            c.diffusion, share=0.4, batch=ROWS // 5, length=5, optimizer="muon", lr=1e-3, shift=12.0, fade=0.8
        ),
        consistency=replace(c.consistency, share=0.0),
        follow=Follow(
            share=0.1, batch=ROWS // 16, length=16, leads=(0, 0, 16, 32), overlap=4, least=1.0, optimizer="muon"
        ),
        adversarial=replace(
            c.adversarial, share=0.1, begin="follow", batch=ROWS // 10, length=10, keep=1.0, follow=12.0, **contest
        ),
        long=replace(
            c.long, share=0.27, batch=ROWS // 16, length=16, leads=(0, 24, 48, 96), overlap=4, keep=4.0, follow=12.0,
            **contest,
        ),
        outcome=replace(c.outcome, share=0.0),
        imitate=replace(c.imitate, share=0.02, width=24),
    )  # fmt: skip


def onward() -> Recipe:
    """The same with the adversarial stage as the long one is: for weights that have had the short rollouts."""
    recipe = house()
    return replace(recipe, adversarial=replace(recipe.long, share=0.1, begin="diffusion"))

r"""A recipe of one's own: the explorer's villa by day, learned by heart on two CPU cores (docs/lab.md, session 18).

    aapt record explorer --k 2 --episodes 400 --max-seconds 16 --seed 11 \
        --policy scripted+scripted+elsewhere --scene style=villa time=day
    aapt train explorer --recipe examples.explorer_house:house --budget 4h --compile

To go on from the world in training, against its critic:

    aapt train explorer --recipe examples.explorer_house:onward --stage adversarial \
        --begin-with runs/explorer-villa --compile
"""

from dataclasses import replace

from aapt_env.train.recipes import Recipe, cpu

ROWS = 208  # rows times latents of an adversarial update


def house() -> Recipe:
    """Latents that move like pictures, a memory of two seconds, and rollouts that are short at first."""
    c = cpu()
    contest = dict(lr=2e-4, penalty=50.0, penalised=0.05, wrong_controls=0.0, stay=40.0, blend=0.0)
    return replace(
        c,
        name="house",
        k=2,
        depth=5,
        window=24,
        change=0.35,
        frames=154_000,
        budget=4 * 3600,
        autoencode=replace(c.autoencode, share=0.08, zoomed=0.7),
        polish=replace(c.polish, share=0.03, grain=0.7),
        diffusion=replace(c.diffusion, share=0.45, batch=8, length=26, optimizer="muon"),
        consistency=replace(c.consistency, share=0.0),
        adversarial=replace(
            c.adversarial, share=0.07, batch=ROWS // 10, length=10, keep=1.0, follow=6.0, **contest
        ),
        long=replace(
            c.long, share=0.35, batch=ROWS // 16, length=16, leads=(0, 24, 48, 96), overlap=4, keep=4.0, follow=12.0,
            **contest,
        ),
        outcome=replace(c.outcome, share=0.0),
        imitate=replace(c.imitate, share=0.02),
    )  # fmt: skip


def onward() -> Recipe:
    """The same with the adversarial stage as the long one is: for weights that have had the short rollouts."""
    recipe = house()
    return replace(recipe, adversarial=replace(recipe.long, share=0.07, begin="diffusion"))

"""A `reward_fn` of one's own: how far the speed bar of the driving game's dashboard is lit, read off the frames.

For worlds that have learned no reward. It pays for speed only: it knows no road and no crash.
"""

from torch import Tensor


def speed(frames: Tensor, controls: Tensor) -> Tensor:
    """Frames uint8 [N, k, H, W, 3], controls [N, 4] -> rewards [N] in 0 ... 1."""
    height, width = frames.shape[2:4]
    rows = slice(round(0.90 * height), round(0.95 * height))
    bar = frames[:, -1, rows, round(0.06 * width) : round(0.25 * width)].float()
    return ((bar[..., 2] - bar[..., 0]) / 160).clamp(0, 1).mean((1, 2))  # lit it is (70, 210, 230)

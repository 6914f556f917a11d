"""Figures from frames. Each gives one value per start, so that intervals can be drawn over starts."""

from __future__ import annotations

import cv2
import numpy as np

GREY = 128  # what stands for pixels that display the control


def errors(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared error of each frame: uint8 [F, H, W, 3] twice -> [F]."""
    return np.square(a.astype(np.float32) - b).reshape(len(a), -1).mean(1)


def decibels(mse: np.ndarray) -> np.ndarray:
    """Mean squared error of 8-bit frames -> peak signal-to-noise ratio in dB, 78 at most."""
    return 10 * np.log10(255.0**2 / np.maximum(mse, 1e-3))


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB per start: uint8 [n, F, H, W, 3] twice -> [n]."""
    return decibels(np.array([errors(x, y).mean() for x, y in zip(a, b, strict=True)]))


def ssims(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity of each frame: uint8 [F, H, W, 3] twice -> [F]."""
    return np.array([ssim_frame(x, y) for x, y in zip(a, b, strict=True)])


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity of luminance per start (Wang et al. 2004, Gaussian window of 1.5): [n]."""
    return np.array([ssims(x, y).mean() for x, y in zip(a, b, strict=True)])


def ssim_frame(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two frames uint8 [H, W, 3]."""
    x, y = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(np.float64) for f in (x, y))

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    vx, vy, c = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(
        (((2 * mx * my + c1) * (2 * c + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
    )


def flow(frames: np.ndarray, mask: np.ndarray, step: int) -> np.ndarray:
    """Dense optical flow between frames `step` apart, which sees one grey where the mask is: flow spreads.

    [F, H, W, 3] -> [(F - 1) // step, H, W, 2] pixels.
    """
    grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames[::step]]
    for image in grey:
        image[mask] = GREY
    none = np.zeros(0)
    return np.stack(
        [
            cv2.calcOpticalFlowFarneback(a, b, none, 0.5, 3, 13, 3, 5, 1.1, 0)
            for a, b in zip(grey, grey[1:], strict=False)
        ]
    )


def speeds(frames: np.ndarray, mask: np.ndarray, step: int = 2) -> np.ndarray:
    """Mean flow magnitude outside the mask, pixels per `step` frames: [F, H, W, 3] -> [(F - 1) // step]."""
    return np.linalg.norm(flow(frames, mask, step), axis=-1)[:, ~mask].mean(1)


def motion(frames: np.ndarray, mask: np.ndarray, step: int = 2) -> np.ndarray:
    """Mean flow magnitude in pixels per `step` frames, outside the mask: [n, F, H, W, 3] -> [n]."""
    return np.array([speeds(clip, mask, step).mean() for clip in frames])


def sideways(frames: np.ndarray, mask: np.ndarray, step: int = 2) -> np.ndarray:
    """Mean horizontal flow of the upper half outside the mask, pixels per `step` frames: [n].

    Steering left moves the scene to the right: positive.
    """
    half = frames.shape[2] // 2
    upper = mask[:half]
    return np.array([flow(clip[:, :half], upper, step)[:, ~upper, 0].mean() for clip in frames])


def sharpnesses(frames: np.ndarray) -> np.ndarray:
    """Mean squared Laplacian of luminance of each frame: [F, H, W, 3] -> [F]."""
    grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]
    return np.array([np.square(cv2.Laplacian(g, cv2.CV_32F)).mean() for g in grey])


def sharpness(frames: np.ndarray) -> np.ndarray:
    """Mean squared Laplacian of luminance: [n, F, H, W, 3] -> [n]."""
    return np.array([sharpnesses(clip).mean() for clip in frames])


def pooled(frames: np.ndarray, cells: int = 4) -> np.ndarray:
    """Colours averaged over a grid: [n, F, H, W, 3] -> [n * F, cells * cells * 3] in 0 ... 1."""
    flat = frames.reshape(-1, *frames.shape[2:])
    return (
        np.stack(
            [cv2.resize(f, (cells, cells), interpolation=cv2.INTER_AREA).ravel() for f in flat]
        )
        / 255.0
    )


def interval(values: np.ndarray, seed: int = 0) -> dict[str, float | int]:
    """Mean with its 95 % bootstrap interval over starts."""
    rng = np.random.default_rng(seed)
    means = rng.choice(values, (1000, len(values))).mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return {"value": float(values.mean()), "low": float(low), "high": float(high), "n": len(values)}


def ratio(top: np.ndarray, bottom: np.ndarray, seed: int = 0) -> dict[str, float | int]:
    """Ratio of means with its 95 % bootstrap interval over starts."""
    pick = np.random.default_rng(seed).integers(len(top), size=(1000, len(top)))
    ratios = top[pick].mean(1) / np.maximum(bottom[pick].mean(1), 1e-9)
    low, high = np.percentile(ratios, (2.5, 97.5))
    value = float(top.mean() / max(bottom.mean(), 1e-9))
    return {"value": value, "low": float(low), "high": float(high), "n": len(top)}

"""Frechet distance between what two sets of starts show, with intervals over starts.

Each start's features enter as their count, sum and sum of outer products, so that a resampling costs one small
eigenvalue problem whatever the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Cell = dict[str, float | int]


@dataclass(frozen=True)
class Moments:
    """Of n starts: counts [n], sums [n, d] and sums of outer products [n, d, d]."""

    count: np.ndarray
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Of features [n, m, d]."""
        x = features.astype(np.float64)
        count = np.full(len(x), x.shape[1], float)
        return cls(count, x.sum(1), np.einsum("nmi,nmj->nij", x, x))

    def gaussian(self, pick: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean [d] and covariance [d, d] of the starts in `pick`, which may repeat."""
        count = self.count[pick].sum()
        mean = self.total[pick].sum(0) / count
        covariance = self.outer[pick].sum(0) / count - np.outer(mean, mean)
        return mean, covariance * count / max(count - 1, 1)


def between(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Frechet distance of two Gaussians (mean, covariance): |ma - mb|^2 + tr(A + B - 2 (AB)^1/2)."""
    (mean_a, cov_a), (mean_b, cov_b) = a, b
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    gap = np.square(mean_a - mean_b).sum()
    return float(max(0.0, gap + np.trace(cov_a) + np.trace(cov_b) - 2 * cross))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to features [m, d] and [m', d]."""
    first = np.zeros(1, int)
    return between(Moments.of(a[None]).gaussian(first), Moments.of(b[None]).gaussian(first))


def paired(a: np.ndarray, b: np.ndarray, resamples: int = 60, seed: int = 0) -> Cell:
    """Frechet distance of features [n, m, d] from the same n starts, with an interval over starts.

    A resample holds some starts twice, which makes every distance larger; so the interval is the spread of the
    resamples put around the value itself.
    """
    one, two, rng, n = Moments.of(a), Moments.of(b), np.random.default_rng(seed), len(a)
    everyone = np.arange(n)
    value = between(one.gaussian(everyone), two.gaussian(everyone))
    picks = [rng.integers(n, size=n) for _ in range(resamples)]
    return around(value, np.array([between(one.gaussian(p), two.gaussian(p)) for p in picks]), n)


def unpaired(a: np.ndarray, b: np.ndarray, resamples: int = 30, seed: int = 0) -> np.ndarray:
    """Frechet distances of half the starts of `a` to the other half of `b`, over random halves.

    So a dream and the VAE's own frames are both held against real frames of other starts, the same number of them, and
    what few samples add to a distance is in both.

    Args:
        a: features [n, m, d].
        b: features [n, m, d] of the same starts.
        resamples: random halves.
        seed: of the halves; equal seeds give equal halves.

    Returns:
        [resamples].
    """
    one, two, rng, n = Moments.of(a), Moments.of(b), np.random.default_rng(seed), len(a)
    out = []
    for _ in range(resamples):
        order = rng.permutation(n)
        left, right = order[: n // 2], order[n // 2 : 2 * (n // 2)]
        out.append(between(one.gaussian(left), two.gaussian(right)))
    return np.array(out)


def around(value: float, samples: np.ndarray, n: int) -> Cell:
    """A value with the 95 % spread of its resamples, moved so that their mean lies on it; never below 0."""
    low, high = np.percentile(samples - samples.mean(), (2.5, 97.5))
    return {"value": value, "low": max(0.0, value + low), "high": value + high, "n": n}


def halves(samples: np.ndarray, n: int) -> Cell:
    """Mean over random halves, with the 95 % range of single halves."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return {"value": float(samples.mean()), "low": float(low), "high": float(high), "n": n}

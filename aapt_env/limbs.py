"""Pose control: keypoints -> a map of the limbs on the latent grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aapt_env.spec import ControlSpec

AXES = ("x", "y", "z")
WIDTH = 0.8  # of a drawn limb, in latent cells: the standard deviation across it
SPREAD = 4.0  # makes maps, of which most is empty, spread like latents
DEEP = 0.3  # units of depth that count as one


class PoseEncoder(nn.Module):
    """A pose -> two channels per limb: where it is, and how deep it lies there.

    Elements are coordinates of joints, by name: "hips x", "hips y", "hips z", "chest x", ...: x to the right, y up,
    z to the viewer, in units of half the frame's shorter side from its middle. settings["hips > chest"] is the greatest
    length of that limb; the limbs make a tree. A limb that is longer in a pose is cut there, and what hangs on it moves
    along: so no pose is ever far outside what the network was trained on. The k poses of a latent are averaged.

    A limb is drawn as a soft line: its cells know by their brightness how far it is, to a fraction of a cell.
    """

    longest: Tensor
    ancestry: Tensor
    parent: Tensor
    tip: Tensor

    def __init__(self, control: ControlSpec, dim: int, grid: tuple[int, int]):
        super().__init__()
        joints = joints_of(control)
        limbs = limbs_of(control, joints)
        parents = {child: parent for parent, child, _ in limbs}
        self.roots = [parents.get(j, j) for j in range(len(joints))]
        self.tips = [child for _, child, _ in limbs]
        self.map_channels = 2 * len(limbs)
        longest = torch.ones(len(joints))
        for _, child, length in limbs:
            longest[child] = length
        ancestry = torch.zeros(len(joints), len(joints))
        for child in self.tips:
            joint = child
            while joint in parents:
                ancestry[child, joint] = 1.0
                joint = parents[joint]
        h, w = grid
        scale = min(grid) / 2  # cells per unit
        self.width = WIDTH / scale
        self.register_buffer("longest", longest, persistent=False)
        self.register_buffer("parent", torch.tensor(self.roots), persistent=False)
        self.register_buffer("tip", torch.tensor(self.tips), persistent=False)
        self.register_buffer("ancestry", ancestry, persistent=False)
        self.register_buffer("x", (torch.arange(w) + 0.5 - w / 2) / scale, persistent=False)
        self.register_buffer(
            "y", ((h / 2 - torch.arange(h) - 0.5) / scale)[:, None], persistent=False
        )

    def forward(self, controls: Tensor) -> tuple[None, Tensor]:
        """[B, T, k, width] float -> (None, [B, T, 2 * limbs, h, w])."""
        rows = controls.to(torch.promote_types(controls.dtype, torch.float32)).mean(dim=2)
        pose = self.fit(rows.unflatten(-1, (-1, 3)))
        ends = pose[:, :, self.tip, :, None, None]  # [B, T, limbs, 3, 1, 1]
        starts = pose[:, :, self.parent][:, :, self.tip, :, None, None]
        way = ends - starts
        dx, dy = self.x.to(pose) - starts[..., 0, :, :], self.y.to(pose) - starts[..., 1, :, :]
        wx, wy, wz = way.unbind(dim=3)
        t = (dx * wx + dy * wy + 5e-5) / (wx * wx + wy * wy + 1e-4)  # its middle when seen end on
        t = t.clamp(0, 1)
        far = (dx - t * wx) ** 2 + (dy - t * wy) ** 2
        near = SPREAD * torch.exp(far * (-0.5 / self.width**2))  # [B, T, limbs, h, w]
        deep = near * ((starts[..., 2, :, :] + t * wz) / DEEP)
        return None, torch.cat([near, deep], dim=2).to(self.longest.dtype)

    def fit(self, pose: Tensor) -> Tensor:
        """Keypoints [B, T, J, 3] with no limb longer than it can be."""
        limbs = pose - pose[:, :, self.parent]
        length = limbs.norm(dim=-1, keepdim=True)
        longest = self.longest.to(pose)[:, None]
        limbs = limbs * (longest / length.clamp_min(1e-6)).clamp_max(1)
        root = next(j for j, parent in enumerate(self.roots) if j == parent)
        return pose[:, :, root, None] + self.ancestry.to(pose) @ limbs


def joints_of(control: ControlSpec) -> list[str]:
    """Names of the joints of a pose control.

    Raises:
        ValueError: it is no Box whose elements are named "JOINT x", "JOINT y", "JOINT z" in turn.
    """
    joints = [name.removesuffix(" x") for name in control.names[::3]]
    wanted = tuple(f"{joint} {axis}" for joint in joints for axis in AXES)
    if (
        control.space != "Box"
        or not joints
        or control.names != wanted
        or len(set(joints)) < len(joints)
    ):
        raise ValueError(
            f"a pose is a Box whose elements are named 'hips x', 'hips y', 'hips z', ... joint by joint; "
            f"got {control.space} {control.names[:6]}"
        )
    return joints


def limbs_of(control: ControlSpec, joints: list[str]) -> list[tuple[int, int, float]]:
    """(parent, child, greatest length) of each limb of a pose control.

    Raises:
        ValueError: settings are not "JOINT > JOINT": length above 0, or these make no tree of all joints.
    """
    limbs = []
    for name, length in control.settings.items():
        parent, _, child = name.partition(" > ")
        if parent not in joints or child not in joints or not length > 0:
            raise ValueError(
                f"pose setting {name!r}: {length}; expected 'JOINT > JOINT': greatest length, out of {joints}"
            )
        limbs.append((joints.index(parent), joints.index(child), float(length)))
    parents = {child: parent for parent, child, _ in limbs}
    roots = set(range(len(joints))) - set(parents)
    reached = set(roots)
    for _ in joints:
        reached |= {child for child, parent in parents.items() if parent in reached}
    if len(roots) != 1 or len(parents) != len(limbs) or len(reached) != len(joints):
        raise ValueError(f"the limbs {list(control.settings)} make no tree of the joints {joints}")
    return limbs

"""A steering wheel as a new kind of control: a game that asks for it, its encoder, its device."""

import gymnasium as gym
import numpy as np
import pygame
import torch
from torch import nn

from aapt_env import controls
from aapt_env.play import inputs
from aapt_games.driving import DrivingEnv


class WheelDriving(gym.ActionWrapper):
    """The driving game with a wheel and a pedal instead of four keys."""

    control_kind = "wheel"
    control_names = ("wheel", "pedal")
    control_settings = {"play": 0.25}  # numbers that travel with the world, for encoder and game
    keymap = [(("left",), 0, -1.0), (("right",), 0, 1.0), (("up",), 1, 1.0), (("down",), 1, -1.0)]

    def __init__(self, **settings):
        super().__init__(DrivingEnv(**settings))
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def action(self, action):
        """Wheel and pedal to keys."""
        wheel, pedal = action
        play = self.control_settings["play"]
        return np.array([wheel < -play, wheel > play, pedal > 0.1, pedal < -0.1], np.int8)


class WheelEncoder(nn.Module):
    """The pedal goes through adaLN; the wheel is a map, strongest where the road is far away."""

    map_channels = 1

    def __init__(self, control, dim, grid):
        super().__init__()
        self.embed = nn.Linear(control.size, dim)
        far = torch.linspace(1, 0, grid[0])[:, None].expand(*grid)
        self.register_buffer("far", far.clone(), persistent=False)

    def forward(self, rows):
        """[B, T, k, 2] -> ([B, T, dim], [B, T, 1, h, w])."""
        held = rows.mean(dim=2).to(self.far.dtype)
        return self.embed(held), held[..., :1, None, None] * self.far


class WheelDevice:
    """The first joystick: axis 0 is the wheel, axis 2 the pedals."""

    def __init__(self, control):
        pygame.joystick.init()
        self.stick = pygame.joystick.Joystick(0)

    def read(self):
        """Once per latent."""
        return self.stick.get_axis(0), -self.stick.get_axis(2)


gym.register("Wheel-v0", WheelDriving)
controls.register("wheel", WheelEncoder)
inputs.attach("wheel", WheelDevice)

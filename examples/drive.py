"""Drive a dream from Python: the world's own player for five seconds, then hard left from the very same moment.

Run `python examples/drive.py`; it writes drive.mp4.
"""

import av
import gymnasium as gym
import numpy as np

import aapt_env  # noqa: F401  registers AAPT-World-v0

env = gym.make("AAPT-World-v0", game="driving").unwrapped
observation, info = env.reset(seed=3)
player = env.policy()
frames = [info["frames"][-1:]]


def drive(choose, seconds):
    """Step the dream under the controls that `choose` gives."""
    global observation, info
    for _ in range(seconds * env.metadata["render_fps"]):
        observation, reward, terminated, truncated, info = env.step(choose(observation, info))
        frames.append(info["frames"])  # [4, H, W, 3]: a step is one latent of four frames


drive(player, 5)
fork = env.clone_state()  # cache, decoder, noise: everything that the future depends on
drive(player, 3)
env.restore_state(fork)
drive(lambda *_: np.array([1, 0, 1, 0], np.int8), 3)  # left and throttle

with av.open("drive.mp4", "w") as video:
    stream = video.add_stream("libx264", rate=env.frame_fps)
    stream.height, stream.width = (4 * side for side in observation.shape[:2])
    for frame in np.concatenate(frames):
        large = frame.repeat(4, axis=0).repeat(4, axis=1)
        video.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
    video.mux(stream.encode(None))
print(f"drive.mp4: {sum(map(len, frames))} frames, {env.world.passes} forward passes")

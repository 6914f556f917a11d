"""Episodes on disk: record any game, read the frames, controls and rewards back."""

from aapt_env.data.episodes import Episode, Episodes, load_frames
from aapt_env.data.files import DatasetWriteError
from aapt_env.data.writer import EpisodeWriter

__all__ = ["DatasetWriteError", "Episode", "EpisodeWriter", "Episodes", "load_frames"]

"""As in tests/fast: the bench that is imported here imports Triton, and what it runs on is decided then."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

"""Without a GPU, Triton's kernels run in its interpreter: it has to know when they are imported, and only then."""

import importlib.util
import os

import torch

if not torch.cuda.is_available() and importlib.util.find_spec("triton"):
    os.environ["TRITON_INTERPRET"] = "1"
    importlib.import_module("aapt_env.fast.fused")
    importlib.import_module("aapt_env.fast.kernels.noise")
    del os.environ["TRITON_INTERPRET"]

"""What a CUDA graph is, on a CPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Operations on addresses, run again without a line of the Python around them."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.ops.aten._local_scalar_dense.default,), "this waits for a GPU"
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self):
        with torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, out in self.calls:
                known = {id_of(each) for each in tensors((args, kwargs))}
                new = func(*args, **kwargs)
                for old, each in zip(tensors(out), tensors(new), strict=True):
                    if id_of(old) not in known:
                        old.copy_(each)


def tensors(values):
    return [each for each in tree_leaves(values) if isinstance(each, torch.Tensor)]


def id_of(tensor):
    return tensor.untyped_storage()._cdata

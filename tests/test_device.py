import pytest
import torch

from aapt_env.device import fast_bf16, fixed_shapes, pick


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick() == pick("cpu") == pick(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick() == torch.device("cuda:0")


def test_a_gpu_has_its_number_as_its_tensors_say(monkeypatch):
    """torch.cuda.set_device wants one, and a tensor's cuda:0 is not equal to cuda."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: pytest.fail("woken"))
    assert pick("cuda") == pick(torch.device("cuda")) == pick() == torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert pick("cuda") == pick("auto") == torch.device("cuda:1")
    assert pick("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("name", ["tpu", "mps", "meta", "", "cuda:x", None])
def test_what_is_no_device(name):
    with pytest.raises(ValueError, match="expected auto, cpu, cuda or cuda:N"):
        pick(name)


def test_cuda_where_there_is_none_or_not_that_many(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match="device cuda:1: torch .* sees no CUDA GPU; use cpu or auto"
    ):
        pick("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="device cuda:2: there are 2 GPUs, counted from cuda:0"):
        pick("cuda:2")


def test_a_torch_that_cannot_tell_is_taken_as_slow(monkeypatch):
    for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, probe, raising=False)
    assert fast_bf16(torch.device("cpu")) is False


def test_cudnn_looks_for_its_fastest_way_on_a_gpu_and_only_meanwhile():
    assert not torch.backends.cudnn.benchmark
    for device in ("cpu", "cuda"):
        with fixed_shapes(torch.device(device)):
            assert torch.backends.cudnn.benchmark == (device == "cuda")
        assert not torch.backends.cudnn.benchmark

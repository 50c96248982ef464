import pytest
import torch

from triton_models.modeling.engine import engine_hash


def test_the_same_engine_has_the_same_hash() -> None:
    assert engine_hash() == engine_hash()
    assert len(engine_hash()) == 64


def test_other_software_hardware_and_threads_have_another(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {engine_hash()}
    changes = [
        (torch, "__version__", "0.0"),
        (torch, "get_num_threads", lambda: 97),
        (torch.backends.cpu, "get_cpu_capability", lambda: "none"),
        (torch.cuda, "device_count", lambda: 1),
    ]
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    for module, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            hashes.add(engine_hash())
    assert len(hashes) == 1 + len(changes)

import pytest
import torch

from triton_models.modeling.engine import choose_device, engine_hash


def test_the_same_engine_has_the_same_hash() -> None:
    assert engine_hash() == engine_hash()
    assert len(engine_hash()) == 64


def test_other_software_hardware_and_threads_have_another(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {engine_hash(), engine_hash(torch.device("cuda"))}
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
    assert len(hashes) == 2 + len(changes)


def test_a_gpu_is_taken_where_there_is_one_and_missed_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == choose_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="there is no GPU"):
        choose_device("cuda")
    with pytest.raises(ValueError, match="auto, cpu or cuda, not tpu"):
        choose_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu").type == "cpu"

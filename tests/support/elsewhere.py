"""A second device in the process, which proves without a GPU that every tensor is where it should be.

Its tensors lie in main memory under another device's name. Operations on them are computed on the CPU in the precision
they come in, and refused where tensors of two devices meet, as a GPU would.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, fallthrough_kernel
from torch.utils import _pytree as pytree
from torch.utils import backend_registration

_NAME = "elsewhere"
_MOVES = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
_RANGES = {
    "arange.start_step": torch.ops.aten.arange.start_step,
    "linspace": torch.ops.aten.linspace.default,
    "logspace": torch.ops.aten.logspace.default,
}
"""What torch would make by resizing an empty tensor, which these cannot be."""

_libraries: dict[str, Any] = {}
"""Of kernels; what one registers is gone with it."""


class Elsewhere(Tensor):
    """A tensor on the second device."""

    here: Tensor
    """What it stands for."""

    @staticmethod
    def __new__(cls, here: Tensor) -> Elsewhere:
        """Returns one that shares the memory of `here`."""
        layout: dict[str, Any] = {"strides": here.stride(), "dtype": here.dtype, "device": torch.device(_NAME, 0)}
        # Views of parameters, which are none of inference mode, count versions with them.
        with torch.inference_mode(mode=False):
            made: Elsewhere = Tensor._make_wrapper_subclass(cls, here.size(), **layout)
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Computes an operation on tensors of which some are elsewhere."""
        return _compute(operation, *args, **(kwargs or {}))

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        """Says what it holds."""
        return f"elsewhere {self.here!r}"

    # What torch does not leave to the dispatcher.
    def tolist(self) -> Any:
        return self.here.tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:  # type: ignore[override]
        return Elsewhere(self.here.new_tensor(data, **options))

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


class _Module(backend_registration._DummyBackendModule):
    """What torch asks of a device."""

    def device_count(self) -> int:
        """None whose generators would have to be kept and restored: noise is drawn on the CPU."""
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


@cache
def second_device() -> torch.device:
    """Returns the device; torch knows it until the process ends.

    A parameter's memory cannot be exchanged for that of this device, so modules move there only with
    `torch.__future__.set_overwrite_module_params_on_conversion`.
    """
    backend_registration._setup_privateuseone_for_python_backend(_NAME, _Module())
    _libraries.update({namespace: Library(namespace, "IMPL") for namespace in ("_", "aten")})  # type: ignore[no-untyped-call]
    _libraries["_"].fallback(_compute, "PrivateUse1")
    _libraries["_"].fallback(fallthrough_kernel, "AutocastPrivateUse1")
    for name, operation in _RANGES.items():
        _libraries["aten"].impl(name, partial(_compute, operation), "PrivateUse1")
    return torch.device(_NAME, 0)


def _compute(operation: Any, *args: Any, **kwargs: Any) -> Any:
    given = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    if operation not in _MOVES and any(one.dim() and not isinstance(one, Elsewhere) for one in given):
        raise RuntimeError(f"{operation} is given tensors of two devices")
    target = kwargs.get("device") or given[0].device
    args, kwargs = pytree.tree_map_only(Elsewhere, lambda tensor: tensor.here, (args, kwargs))
    made = operation(*args, **(kwargs | {"device": "cpu"} if kwargs.get("device") else kwargs))
    return made if target == torch.device("cpu") else pytree.tree_map_only(Tensor, Elsewhere, made)

"""How much memory tensors hold. A storage counts once, however many views and owners it has."""

from collections.abc import Iterable

from torch import Tensor, nn


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the storages behind the tensors: a small view of a large tensor holds all of it."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def weights_bytes(*modules: nn.Module) -> int:
    """Bytes of the parameters and buffers of modules that may share some."""
    return held_bytes(tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))

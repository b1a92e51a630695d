"""What a library's error means: no memory, or a run that failed."""

from __future__ import annotations

from models.errors import InferenceFailed, OutOfMemory

# ONNX Runtime, OpenVINO, oneDNN, PyTorch, CUDA, cuBLAS, cuDNN and TensorRT say it with these;
# none has a type of its own for it but PyTorch.
_NO_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "outofmemory",
    "out_of_memory",
    "failed to allocate",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "smaller than requested bytes",
)
_LONGEST = 600


def means_no_memory(error: BaseException | str) -> bool:
    """Whether an error says that memory was short."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def in_short(error: BaseException | str) -> str:
    """One line of a library's message, which may be pages."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def inference_failure(where: str, error: BaseException) -> InferenceFailed:
    """The error to raise for one that a library raised while it ran a network.

    Args:
        where: the network's name or path.
    """
    kind = OutOfMemory if means_no_memory(error) else InferenceFailed
    return kind(f"{where}: {in_short(error)}")

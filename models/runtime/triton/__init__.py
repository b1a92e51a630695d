"""A Triton server as a runtime, and the model repository that such a server reads.

``client`` is the runtime; ``http`` and ``grpc`` carry its requests in the form that ``wire``
describes, ``shared_memory`` spares them the tensors; ``repository`` writes the server's side.
"""

from __future__ import annotations

from models.runtime.triton.client import TritonRuntime

__all__ = ["TritonRuntime"]

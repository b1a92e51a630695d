"""Which source image something stands on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ImageReference(BaseModel):
    """One source image, or one frame of it."""

    model_config = ConfigDict(frozen=True)

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None

"""The MONAI model zoo's own address of a bundle, asked of MONAI where it is installed."""

from __future__ import annotations


def zoo_address(name: str, version: str) -> str | None:
    """Where MONAI's ``monai.bundle.download`` would fetch a bundle from; None: no MONAI here.

    Source: ``monai.bundle.scripts`` (MONAI 1.5 and 1.6), default source ``monaihosting``.
    """
    try:
        from monai.bundle import scripts
    except ImportError:
        return None
    # Private, so it may go; then there is only the catalogue's address.
    build = getattr(scripts, "_get_monaihosting_bundle_url", None)
    return None if build is None else str(build(model_name=name, version=version))

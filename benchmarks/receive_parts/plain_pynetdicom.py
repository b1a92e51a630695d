"""A Storage SCP as pynetdicom's documentation writes one: nothing checked, nothing recorded.

``python -m benchmarks.receive_parts.plain_pynetdicom FOLDER KIND``; prints its port. ``default``
decodes and saves each object; ``tuned`` takes PDUs of any length and writes what came as it came.
"""

import sys
import threading
from pathlib import Path

from pynetdicom import AE, _config, evt
from pynetdicom.presentation import AllStoragePresentationContexts


def main(folder: Path, kind: str) -> None:
    """Listen until this process is ended."""

    def save(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)
        return 0x0000

    def write(event: evt.Event) -> int:
        name = f"{event.request.AffectedSOPInstanceUID}.dcm"
        (folder / name).write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE("BENCH")
    ae.maximum_associations = 400
    ae.supported_contexts = AllStoragePresentationContexts
    if kind == "tuned":
        _config.LOG_HANDLER_LEVEL = "none"
        ae.maximum_pdu_size = 0
    handlers = [(evt.EVT_C_STORE, write if kind == "tuned" else save)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    print(server.server_address[1], flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""Our listener as a process of its own: validation, atomic rename and recording, as served.

``python -m benchmarks.receive_parts.ours FOLDER DATA_PATH SYNC PROCESSES``; prints its port.
"""

import sys
import threading
from pathlib import Path

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import open_store


def main(folder: Path, data_path: str, sync: bool, processes: int) -> None:
    """Listen until this process is ended."""
    store = open_store(f"sqlite:///{folder / 'preread.sqlite'}")
    inbox = Inbox(folder / "inbox", store, minimum_free_gb=0, sync=sync)
    settings = ListenerSettings(
        host="127.0.0.1",
        port=0,
        data_path=data_path,
        maximum_associations=400,
        processes=processes,
    )
    with Listener(settings, inbox) as listener:
        print(listener.port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "sync", int(sys.argv[4]))

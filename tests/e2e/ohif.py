"""The OHIF viewer as others install it, served on a port of its own, calling our DICOMweb server.

Its files come from the npm package ``@ohif/app``, which `make test-all` fetches.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / ".ohif" / "package" / "dist"


def viewer_files() -> Path:
    """The folder of the viewer; skips where there is none."""
    folder = Path(os.environ.get("OHIF_DIST", HOME))
    if not (folder / "index.html").is_file():
        pytest.skip("no OHIF viewer here: `make ohif` fetches it (npm package @ohif/app)")
    return folder


def _configuration(dicomweb_url: str) -> str:
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "preread",
        "configuration": {
            "friendlyName": "Preread",
            "name": "Preread",
            "qidoRoot": dicomweb_url,
            "wadoRoot": dicomweb_url,
            "qidoSupportsIncludeField": True,
            "supportsFuzzyMatching": True,
            "supportsWildcard": True,
            "imageRendering": "wadors",
            "thumbnailRendering": "thumbnailDirect",
            "enableStudyLazyLoad": True,
            "singlepart": "bulkdata,video",
            "bulkDataURI": {"enabled": True},
            "omitQuotationForMultipartRequest": True,
        },
    }
    config = {
        "routerBasename": "/", "extensions": [], "modes": [], "showStudyList": True,
        "maxNumberOfWebWorkers": 2, "showCPUFallbackMessage": False,
        "investigationalUseDialog": {"option": "never"},
        "showWarningMessageForCrossOrigin": False, "showLoadingIndicator": True,
        "defaultDataSourceName": "preread", "dataSources": [source],
    }  # fmt: skip
    return f"window.config = {json.dumps(config)};"


@contextmanager
def running_ohif(dicomweb_url: list[str]) -> Iterator[str]:
    """Serve the viewer; gives its origin.

    Args:
        dicomweb_url: the address it is to call, put in before its first page is asked for.
    """
    folder = viewer_files()

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, directory=str(folder), **options)  # type: ignore[arg-type]

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/app-config.js":
                content = _configuration(dicomweb_url[0]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/javascript")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return
            if not (folder / path.lstrip("/")).is_file():  # its own routes
                self.path = "/index.html"
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

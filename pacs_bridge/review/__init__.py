"""The page where a radiologist reads, corrects and signs.

Rooms: ``app`` puts it together; ``guard`` watches requests from outside, ``room`` says what
every route can reach and who asks; ``pages`` shows, ``actions`` takes forms, ``api`` does
both as JSON, ``pictures`` hands out images and files, ``login`` lets people in, ``engine``
shows how workers and models stand, ``destinations`` where results go and which did not get there,
``pulls`` what is fetched from archives;
``editing``
holds the rules of a verdict and a signature; ``rows``, ``plan``, ``nodules``, ``pancreas``,
``present`` and ``labels`` prepare what is shown; ``studio`` is what the page needs from the rest
of the house; ``server`` runs it.
"""

from pacs_bridge.review.app import create_app
from pacs_bridge.review.server import RunningServer, serve_in_thread
from pacs_bridge.review.studio import ObjectKind, Studio

__all__ = ["ObjectKind", "RunningServer", "Studio", "create_app", "serve_in_thread"]

"""A service's address as the settings have it: where it is, and who we are there."""

from __future__ import annotations

import base64
import urllib.parse


def split_login(url: str) -> tuple[str, str]:
    """The address without user and password, and the two as HTTP Basic (RFC 7617) has them.

    Args:
        url: ``user:password@`` may stand before the host, percent-encoded.

    Returns:
        The address without a slash at its end; the value of Authorization, empty without a user.
    """
    split = urllib.parse.urlsplit(url.rstrip("/"))
    host = split.netloc.rpartition("@")[2]
    bare = urllib.parse.urlunsplit((split.scheme, host, split.path, "", ""))
    if split.username is None:
        return bare, ""
    words = [urllib.parse.unquote(word or "") for word in (split.username, split.password)]
    return bare, f"Basic {base64.b64encode(':'.join(words).encode()).decode()}"

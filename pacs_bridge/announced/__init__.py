"""What archives say can be fetched from them: Instance Availability Notification (PS3.4 R).

``service`` is the SCP that hears it, ``ledger`` what was said, and the questions about it.
"""

from pacs_bridge.announced.ledger import Announced, Announcements
from pacs_bridge.announced.service import availability_service

__all__ = ["Announced", "Announcements", "availability_service"]

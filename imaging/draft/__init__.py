"""What a report says of its findings, in a radiologist's words and both languages.

Rooms: ``terms`` names types, margins, places and changes and is the only place that formats
their numbers; ``facts`` makes the rows of a nodule's panel and of a comparison; ``sentences``
writes the structured draft, one sentence a nodule, and suggests an impression; ``pancreas``
words a pancreatic lesion with its vessels and blanks, ``gland`` the pancreas itself,
``pancreas_panel`` makes the rows of their panels. The SR, the HTML report, the
review page and its API all say what is written here.
"""

from imaging.draft.facts import Fact, changes_of, character, deciding, headline
from imaging.draft.sentences import Draft, draft_of, sentence_of

__all__ = [
    "Draft",
    "Fact",
    "changes_of",
    "character",
    "deciding",
    "draft_of",
    "headline",
    "sentence_of",
]

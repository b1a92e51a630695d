"""What the look of a nodule tells beyond its measurements: how readers would rate it.

``features`` measures it the same way in training and in reading, ``rating`` runs the shipped
networks, ``hints`` says it in words; ``CARD.md`` describes data, figures and limits.
"""

from models.character.hints import hints

__all__ = ["hints"]

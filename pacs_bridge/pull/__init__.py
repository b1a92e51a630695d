"""Studies that are fetched from archives by rules, on a schedule or by hand.

``matching`` compares an archive's answers with what a rule wants, ``thickness`` says how thick a
series' slices are, ``search`` finds what there is to fetch; ``ledger`` remembers what was found
and fetched, ``standing`` what of that a study's reading has to know; ``courier`` brings one study
after another at the ``pace`` that the rule allows; ``puller`` does all of it for one rule,
``schedule`` for all of them inside the server, in their ``hours``, ``by_hand`` for `preread pull`;
``archives`` opens what a rule names, ``state`` is what the page shows, ``values`` are what these
rooms hand to one another.
"""

from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.schedule import PullSchedule
from pacs_bridge.pull.standing import Standing, standing_of

__all__ = ["PullLedger", "PullSchedule", "Standing", "standing_of"]

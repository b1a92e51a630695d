"""Around the courier (``pacs_bridge.deliver``): each concept of delivering in a file of its own.

Rooms: ``routing`` says which destination a reading's results go to and why not to the others, by
where the images come from (``origin``) and what was found; ``circuit`` whether a destination is
tried at all; ``senders`` opens one, by C-STORE or STOW-RS, and ``wording`` puts the text of an
object into characters that it can read; ``commitments`` asks it to commit itself to what it took;
``outcomes`` keeps what became of an attempt; ``ledger`` asks the database about many, among them
what is due, in its turn; ``standing`` is where each destination stands, for the page and the API,
and what is in trouble, for every page's head.
"""

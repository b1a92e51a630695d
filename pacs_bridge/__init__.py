"""Sockets, database, people: the only place with state.

Rooms: ``cli`` puts everything together; ``settings`` is the one configuration object;
``inbox`` keeps received files, ``tables`` and ``store`` what is known of them, ``states`` the
states of a reading; ``dimse/`` speaks DICOM (``listener`` in, ``peer`` out); ``workflow`` is
the main path, read top to bottom, over the ``steps``; ``deliver`` sends results to every
destination; ``review/`` is the page where a radiologist reads and signs, ``auth`` who that
is; ``analyse`` runs the same steps on a folder without a server; ``demo`` shows everything
on one machine; ``doctor`` says what is missing; ``errors`` draws what can go wrong.
"""

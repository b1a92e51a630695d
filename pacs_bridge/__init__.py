"""Sockets, database, people: the only place with state.

Rooms: ``cli`` takes arguments, ``console`` prints, ``server`` puts everything together;
``settings`` is the one configuration object (``sections/`` its tables, ``settings_template``
prints it); ``inbox`` keeps received files (``arriving`` is one while it comes, ``shelves`` their
folders, ``digests`` how they are known again, ``identify`` and ``part10`` read and write their
heads), ``arrivals`` says what becomes of them, ``arrival_groups`` records many at a time;
``tables``, ``database``, ``records``, ``worklist``, ``audit`` and ``store`` hold what is known of
them, ``states`` the states of a reading; ``dimse/`` speaks DICOM (``listener`` in, ``peer`` and
``retrieve`` out), ``dicomweb/`` DICOMweb; ``custody/`` answers for what senders gave us (storage
commitment), ``announced/`` keeps what archives say they have, ``conformance/`` writes down what we
speak; ``ups/`` is the worklist that others order analyses by (``ordered`` what that says of a
study); ``archive`` asks and fetches over either; ``priors/`` finds and fetches what a study is
compared with, ``pull/`` what is to be read; ``workflow`` is the main path, read top to bottom,
over the ``steps``; ``completeness`` judges whether a study is whole (``waits``: what it waits for,
``withdrawals``: readings whose order was cancelled, ``late``: pictures that make no revision),
``revisions`` lists its readings; ``workers/`` are the processes that read studies, one a GPU;
``results`` is what an analysis leaves on disk, ``shadow`` what a model that only runs leaves
there; ``deliver`` sends results to every destination; ``review/`` is the page where a radiologist
reads and signs, ``auth`` who that is, ``studio`` what it needs of the rest; ``analyse`` runs the
same steps on a folder without a server, ``plan_command`` only says what they would read; ``demo``
shows everything on one machine; ``doctor`` says what is missing; ``errors`` draws what can go
wrong.
"""

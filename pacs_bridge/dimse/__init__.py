"""DICOM's own network protocol.

In: ``listener`` takes objects by one of two data paths, ``receiver/`` (our own) or ``library``
(pynetdicom's), from the sockets of ``ports``; ``house`` is what both work with, ``accepted`` says
what is taken and from whom, ``answers`` how a C-STORE is answered; ``services`` are the values of
DIMSE-N, ``normalised`` offers them.
Out: ``peer`` calls other nodes, ``retrieve`` fetches from them, ``outgoing`` is an object on its
way, ``status`` judges what they answer. ``commitment`` is storage commitment both ways, ``tls``
and ``handshake`` what protects the wire.
"""

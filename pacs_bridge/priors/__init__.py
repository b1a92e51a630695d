"""Earlier chest CTs of a patient, found and fetched before a study is read.

Rooms: ``person`` decides whether two studies are one patient's; ``choice`` which earlier studies
and which of their series are worth fetching, pure; ``held`` looks in our own store, ``archive``
asks a PACS (DIMSE or DICOMweb); ``ledger`` keeps what was asked for, so that it begins no reading
when it comes; ``gather`` is the step itself, bounded in time, that never fails a study;
``named`` takes what a person names on the command line instead.

Images that come because we asked are stored like any others, but no reading takes them up. Sent
by somebody else afterwards, or asked for by a person on the page, the study is read.
"""

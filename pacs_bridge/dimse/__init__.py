"""DICOM's own network protocol: ``listener`` takes objects in, ``peer`` calls other nodes."""

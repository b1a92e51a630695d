"""DICOMweb (PS3.18): ``client`` asks another server (QIDO-RS, WADO-RS), ``stow`` sends to one
(STOW-RS), ``multipart`` takes answers apart as they come; ``server/`` is our own.
"""

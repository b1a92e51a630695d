"""DICOMweb (PS3.18): ``client`` asks another server (QIDO-RS, WADO-RS); ``multipart`` takes its
answers apart as they come.
"""

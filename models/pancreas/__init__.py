"""The pancreas model that ships.

``find`` is its way from a volume to the gland; ``slices`` makes the net's input and ``organ`` one
gland of what the net says of each slice. ``gland``, ``darkness``, ``heat`` and ``places`` are the
research map.
"""

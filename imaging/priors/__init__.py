"""Earlier examinations: which nodule is which, and how each changed.

``compare.compare`` takes two :class:`examination.Examination` and gives a
:class:`values.Comparison`. On its way: ``register`` (with ``alignment``, the map, and ``quality``,
how good it is), ``match`` (one to one), ``growth`` (change against noise), ``lookup`` (what is at
the place where nothing was marked), ``wording`` (what people are told).

Nothing is re-exported: a report needs the values only, and must not load the registration.
"""

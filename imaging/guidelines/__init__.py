"""Guidelines as pure functions: a category, what to do, and exactly what decided it.

Rooms: ``values`` is what a report carries (Clinical, Guidance, Override); ``lesion`` is one
nodule as the rules see it, ``follow_up`` how it stands in time, ``rounding`` how sizes round.
``lung_rads_table`` and ``fleischner_table`` are the published tables in our words,
``lung_rads_rows`` picks a row for one lesion, ``lung_rads`` and ``fleischner`` decide for an
examination, ``assessment`` is the wording they share. ``brock`` is the published formula,
``risk`` gives it to every nodule,
``patient`` reads age and sex from the header.

Of the pancreas, ``pancreas_values`` is the reader's own part, ``pancreas_tumour`` a lesion with
what was measured and what the reader says, ``pancreas_table`` the NCCN's criteria in our words,
``pancreas_rows`` the rows a vessel may come to, ``pancreas_resectability`` the category,
``pancreas_template`` the SAR/APA structured report; ``pancreas_words`` puts contact into bands,
``pancreas_facts`` words what is known and what is asked.

``apply`` brings it to a report; no module here
imports ``imaging.report`` at run time, because the report carries these values.
"""

from imaging.guidelines.apply import (
    guidance_of,
    guided,
    overridden,
    pancreatic_lesions,
    staged_lesion,
    with_clinical,
    with_override,
    with_pancreas_reading,
    without_override,
)
from imaging.guidelines.patient import clinical_from
from imaging.guidelines.values import (
    FLEISCHNER,
    LUNG_RADS,
    NCCN,
    SAR_APA,
    Clinical,
    Guidance,
    Input,
    Override,
)

__all__ = [
    "FLEISCHNER",
    "LUNG_RADS",
    "NCCN",
    "SAR_APA",
    "Clinical",
    "Guidance",
    "Input",
    "Override",
    "clinical_from",
    "guidance_of",
    "guided",
    "overridden",
    "pancreatic_lesions",
    "staged_lesion",
    "with_clinical",
    "with_override",
    "with_pancreas_reading",
    "without_override",
]

"""The coded concepts of a measured pancreas and of a lesion in it.

SNOMED CT and DICOM's context groups come first (PS3.16: CID 7469 and 7470 for lengths, 7464 for
derivations, 3827 for vessels). What no context group names, such as a lesion's density against
the patient's own parenchyma or the contact with a vessel in degrees, stands under our own scheme.
"""

from __future__ import annotations

from typing import Final

from pydicom.sr.coding import Code

from imaging.objects.nodule_codes import OWN_SCHEME
from imaging.pancreatic import Attenuation, Part, Phase, Vessel

# lengths
LENGTH = Code("410668003", "SCT", "Length")
WIDTH = Code("103355008", "SCT", "Width")
DEPTH = Code("131197000", "SCT", "Depth")
"""A lesion's three axes, the longest first."""
MAXIMUM = Code("56851009", "SCT", "Maximum")
MINIMUM = Code("255605001", "SCT", "Minimum")

# places
PANCREAS = Code("15776009", "SCT", "Pancreas")
DUCT = Code("69930009", "SCT", "Pancreatic duct")
PARTS: Final = {
    Part.HEAD: Code("64163001", "SCT", "Head of pancreas"),
    Part.BODY: Code("40133006", "SCT", "Body of pancreas"),
    Part.TAIL: Code("73239005", "SCT", "Tail of pancreas"),
}
MODIFIERS: Final = {
    Part.NECK: Code("PNECK", OWN_SCHEME, "Neck of pancreas"),
    Part.UNCINATE: Code("PUNC", OWN_SCHEME, "Uncinate process of pancreas"),
}
"""Parts that stand as a modifier of the pancreas."""
VESSELS: Final = {
    Vessel.SMA: Code("42258001", "SCT", "Superior mesenteric artery"),
    Vessel.COELIAC: Code("57850000", "SCT", "Celiac Axis"),
    Vessel.CHA: Code("66559000", "SCT", "Common Hepatic Artery"),
    Vessel.SMV: Code("90771006", "SCT", "Superior Mesenteric Vein"),
    Vessel.PV: Code("32764006", "SCT", "Portal vein"),
}

# our own
THICKNESS = Code("GTHICK", OWN_SCHEME, "Thickness across the centre line")
DELTA = Code("DATT", OWN_SCHEME, "Attenuation less that of the parenchyma")
ANGLE = Code("VCONTACT", OWN_SCHEME, "Contact with the circumference of a vessel")
CONTACT_LENGTH = Code("VCONTLEN", OWN_SCHEME, "Length of contact along a vessel")
ATTENUATION_KIND = Code("ATTKIND", OWN_SCHEME, "Attenuation against the parenchyma")
ATTENUATIONS: Final = {
    Attenuation.HYPO: Code("ATTHYPO", OWN_SCHEME, "Hypoattenuating"),
    Attenuation.ISO: Code("ATTISO", OWN_SCHEME, "Isoattenuating"),
    Attenuation.HYPER: Code("ATTHYPER", OWN_SCHEME, "Hyperattenuating"),
    # Measured as fluid is; a necrosis measures alike, so that it names no cyst.
    Attenuation.CYSTIC: Code("ATTFLUID", OWN_SCHEME, "Attenuation of fluid"),
}
PHASE = Code("CPHASE", OWN_SCHEME, "Phase of contrast, estimated from densities")
PHASES: Final = {
    Phase.PLAIN: Code("CPLAIN", OWN_SCHEME, "Unenhanced"),
    Phase.ARTERIAL: Code("CARTERIAL", OWN_SCHEME, "Arterial or pancreatic phase"),
    Phase.PORTAL: Code("CPORTAL", OWN_SCHEME, "Portal-venous phase"),
}
"""A phase that is not known has no value."""

# units
DEGREES = Code("deg", "UCUM", "degree")

CHINESE: dict[tuple[str, str], str] = {
    (code.value, code.scheme_designator): meaning
    for code, meaning in (
        (LENGTH, "长度"),
        (WIDTH, "宽度"),
        (DEPTH, "厚度"),
        (MAXIMUM, "最大值"),
        (MINIMUM, "最小值"),
        (PANCREAS, "胰腺"),
        (DUCT, "胰管"),
        (PARTS[Part.HEAD], "胰头"),
        (PARTS[Part.BODY], "胰体"),
        (PARTS[Part.TAIL], "胰尾"),
        (MODIFIERS[Part.NECK], "胰颈"),
        (MODIFIERS[Part.UNCINATE], "胰腺钩突"),
        (VESSELS[Vessel.SMA], "肠系膜上动脉"),
        (VESSELS[Vessel.COELIAC], "腹腔干"),
        (VESSELS[Vessel.CHA], "肝总动脉"),
        (VESSELS[Vessel.SMV], "肠系膜上静脉"),
        (VESSELS[Vessel.PV], "门静脉"),
        (THICKNESS, "垂直于中心线的厚度"),
        (DELTA, "与胰腺实质的 CT 值差"),
        (ANGLE, "与血管周径的接触角度"),
        (CONTACT_LENGTH, "沿血管的接触长度"),
        (ATTENUATION_KIND, "相对于胰腺实质的密度"),
        (ATTENUATIONS[Attenuation.HYPO], "低密度"),
        (ATTENUATIONS[Attenuation.ISO], "等密度"),
        (ATTENUATIONS[Attenuation.HYPER], "高密度"),
        (ATTENUATIONS[Attenuation.CYSTIC], "液体密度"),
        (PHASE, "增强期相（依密度估计）"),
        (PHASES[Phase.PLAIN], "平扫"),
        (PHASES[Phase.ARTERIAL], "动脉期或胰腺期"),
        (PHASES[Phase.PORTAL], "门静脉期"),
    )
}
"""Chinese meanings, by value and scheme."""

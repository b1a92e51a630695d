"""What the parts, vessels, phases and densities of a pancreas are called, in both languages.

The one place for these names: measurements, guidelines, the draft and the pages take them here.
"""

from __future__ import annotations

from typing import Final

from imaging.language import Text
from imaging.pancreatic import Attenuation, Part, Phase, Vessel

PARTS: Final[dict[Part, Text]] = {
    Part.HEAD: Text(en="head", zh="胰头"),
    Part.UNCINATE: Text(en="uncinate process", zh="胰腺钩突"),
    Part.NECK: Text(en="neck", zh="胰颈"),
    Part.BODY: Text(en="body", zh="胰体"),
    Part.TAIL: Text(en="tail", zh="胰尾"),
}
VESSELS: Final[dict[Vessel, Text]] = {
    Vessel.SMA: Text(en="superior mesenteric artery", zh="肠系膜上动脉"),
    Vessel.COELIAC: Text(en="coeliac axis", zh="腹腔干"),
    Vessel.CHA: Text(en="common hepatic artery", zh="肝总动脉"),
    Vessel.SMV: Text(en="superior mesenteric vein", zh="肠系膜上静脉"),
    Vessel.PV: Text(en="portal vein", zh="门静脉"),
}
PHASES: Final[dict[Phase, Text]] = {
    Phase.PLAIN: Text(en="unenhanced", zh="平扫"),
    Phase.ARTERIAL: Text(en="arterial or pancreatic phase", zh="动脉期或胰腺期"),
    Phase.PORTAL: Text(en="portal-venous phase", zh="门静脉期"),
    Phase.UNKNOWN: Text(en="phase not known", zh="期相不明"),
}
ATTENUATIONS: Final[dict[Attenuation, Text]] = {
    Attenuation.HYPO: Text(en="hypoattenuating", zh="低密度"),
    Attenuation.ISO: Text(en="isoattenuating", zh="等密度"),
    Attenuation.HYPER: Text(en="hyperattenuating", zh="高密度"),
    Attenuation.CYSTIC: Text(en="cystic", zh="囊性"),
}
MEASURED_ATTENUATIONS: Final = ATTENUATIONS | {
    Attenuation.CYSTIC: Text(en="fluid-attenuation", zh="液体密度"),
}
"""As a measurement may say it: a necrosis measures like a cyst, so only a reader says cystic."""

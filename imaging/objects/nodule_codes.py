"""The coded concepts of a lung nodule's character, its change and a guideline's category.

DICOM's own context groups come first (PS3.16: CID 6126 and 6170 for places, 6133 and 6134 for
change, 6141 for attenuation, 7464 for derivations, 225 for uncertainty, 7470 for lengths);
RadLex where DICOM has no term (composition and margin of a nodule, Lung-RADS categories);
SNOMED CT's lobes, which name their side. Two figures of a comparison have no standard term, and
a margin that may be spiculated is not RadLex' spiculated one: these stand under our own scheme.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from imaging.nodule import Lobe, Margin, NoduleType, Side, Third
from imaging.priors.values import Change

OWN_SCHEME = "99PREREAD"

# lengths, volume, mass, shape
DIAMETER = Code("81827009", "SCT", "Diameter")
MAJOR_AXIS = Code("131187009", "SCT", "Major Axis")
MINOR_AXIS = Code("131188004", "SCT", "Minor Axis")
DISTANCE = Code("121206", "DCM", "Distance")
MASS = Code("118538004", "SCT", "Mass")
SPHERICITY = Code("QCFX", "IBSI", "Sphericity")
UPPER_UNCERTAINTY = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
LOWER_UNCERTAINTY = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
PLANES = {
    "axial": Code("62824007", "SCT", "Transverse"),
    "coronal": Code("81654009", "SCT", "Coronal"),
    "sagittal": Code("30730003", "SCT", "Sagittal"),
}

# derivations
MEDIAN = Code("373099004", "SCT", "Median")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
FIFTH_PERCENTILE = Code("371888009", "SCT", "5th Percentile Value of population")
NINETY_FIFTH_PERCENTILE = Code("371889001", "SCT", "95th Percentile Value of population")
"""Of the mask's voxels."""

# places
LUNG = Code("39607008", "SCT", "Lung")
SIDES = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.LEFT: Code("7771000", "SCT", "Left"),
}
ZONES = {
    Third.UPPER: Code("281392002", "SCT", "Upper zone of lung"),
    Third.MIDDLE: Code("281393007", "SCT", "Middle zone of lung"),
    Third.LOWER: Code("281394001", "SCT", "Lower zone of lung"),
}
LOBES = {
    Lobe.RIGHT_UPPER: Code("42400003", "SCT", "Upper lobe of right lung"),
    Lobe.RIGHT_MIDDLE: Code("72481006", "SCT", "Middle lobe of right lung"),
    Lobe.RIGHT_LOWER: Code("266005", "SCT", "Lower lobe of right lung"),
    Lobe.LEFT_UPPER: Code("44714003", "SCT", "Upper lobe of left lung"),
    Lobe.LEFT_LOWER: Code("41224006", "SCT", "Lower lobe of left lung"),
}
SUBPLEURAL = Code("68599007", "SCT", "Subpleural")
PLEURA = Code("3120008", "SCT", "Pleura")
FISSURE = Code("278983006", "SCT", "Fissure of lung")
SOLID_COMPONENT = Code("RID50154", "RADLEX", "solid component of part-solid pulmonary nodule")

# character
COMPOSITION = Code("RID39409", "RADLEX", "composition")
TYPES = {
    NoduleType.SOLID: Code("RID50151", "RADLEX", "solid pulmonary nodule"),
    NoduleType.PART_SOLID: Code("RID50152", "RADLEX", "part-solid pulmonary nodule"),
    NoduleType.GROUND_GLASS: Code("RID50153", "RADLEX", "non-solid pulmonary nodule"),
    NoduleType.CALCIFIED: Code("RID5747", "RADLEX", "calcified"),
    NoduleType.FAT: Code("RID5878", "RADLEX", "fatty"),
}
MARGIN = Code("RID5972", "RADLEX", "margin")
MARGINS = {
    Margin.SMOOTH: Code("RID5714", "RADLEX", "smooth margin"),
    Margin.LOBULATED: Code("RID5711", "RADLEX", "lobular margin"),
    # The measure calls too many: RID5713, spiculated margin, is for a reader to say.
    Margin.SPICULATED: Code("MIRREG", OWN_SCHEME, "irregular, possibly spiculated margin"),
    Margin.ILL_DEFINED: Code("RID5709", "RADLEX", "indistinct margin"),
}

# how likely malignancy is
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")
PROBABILITY = Code("122157", "DCM", "Probability")
"""Of what its method says, which is not cancer."""
CANCER_METHODS = ("brock",)
"""Methods whose number is a probability of cancer; the others' is that of a rating."""

# change
QUALITATIVE_DIFFERENCE = Code("111049", "DCM", "Qualitative Difference")
CHANGES = {
    Change.GROWN: Code("15454001", "SCT", "Increase in size"),
    Change.SHRUNK: Code("19776001", "SCT", "Decrease in size"),
    Change.STABLE: Code("129723006", "SCT", "No significant changes in the finding"),
    Change.NEW: Code("129721008", "SCT", "New finding"),
}
"""CID 6134 and, for what is new, CID 6002. What can't be compared has no value."""
DIFFERENCE_IN_SIZE = Code("442714003", "SCT", "Difference in size")
VOLUME_CHANGE = Code("RVC", OWN_SCHEME, "Relative change of volume")
DOUBLING_TIME = Code("VDT", OWN_SCHEME, "Volume doubling time")
PREVIOUS_FINDING = Code("121069", "DCM", "Previous Finding")

# guidelines
LUNG_RADS = Code("RID50134", "RADLEX", "Lung-RADS assessment")
LUNG_RADS_CATEGORIES = {
    "0": Code("RID50135", "RADLEX", "Lung-RADS 0"),
    "1": Code("RID50136", "RADLEX", "Lung-RADS 1"),
    "2": Code("RID50137", "RADLEX", "Lung-RADS 2"),
    "3": Code("RID50138", "RADLEX", "Lung-RADS 3"),
    "4A": Code("RID50139", "RADLEX", "Lung-RADS 4A"),
    "4B": Code("RID50140", "RADLEX", "Lung-RADS 4B"),
    "4X": Code("RID50141", "RADLEX", "Lung-RADS 4X"),
}
RECOMMENDATION = Code("121075", "DCM", "Recommendation")

# units
DAYS = Code("d", "UCUM", "day")
MG = Code("mg", "UCUM", "mg")
NO_UNITS = Code("1", "UCUM", "no units")

CHINESE: dict[tuple[str, str], str] = {
    (code.value, code.scheme_designator): meaning
    for code, meaning in (
        (DIAMETER, "径线"),
        (MAJOR_AXIS, "长轴"),
        (MINOR_AXIS, "短轴"),
        (DISTANCE, "距离"),
        (MASS, "质量"),
        (SPHERICITY, "球形度"),
        (UPPER_UNCERTAINTY, "测量不确定度上界"),
        (LOWER_UNCERTAINTY, "测量不确定度下界"),
        (PLANES["axial"], "横断面"),
        (PLANES["coronal"], "冠状面"),
        (PLANES["sagittal"], "矢状面"),
        (MEDIAN, "中位数"),
        (STANDARD_DEVIATION, "标准差"),
        (FIFTH_PERCENTILE, "第 5 百分位"),
        (NINETY_FIFTH_PERCENTILE, "第 95 百分位"),
        (LUNG, "肺"),
        (SIDES[Side.RIGHT], "右"),
        (SIDES[Side.LEFT], "左"),
        (ZONES[Third.UPPER], "肺上部"),
        (ZONES[Third.MIDDLE], "肺中部"),
        (ZONES[Third.LOWER], "肺下部"),
        (LOBES[Lobe.RIGHT_UPPER], "右肺上叶"),
        (LOBES[Lobe.RIGHT_MIDDLE], "右肺中叶"),
        (LOBES[Lobe.RIGHT_LOWER], "右肺下叶"),
        (LOBES[Lobe.LEFT_UPPER], "左肺上叶"),
        (LOBES[Lobe.LEFT_LOWER], "左肺下叶"),
        (SUBPLEURAL, "胸膜下"),
        (PLEURA, "胸膜"),
        (FISSURE, "叶间裂"),
        (SOLID_COMPONENT, "部分实性结节的实性成分"),
        (COMPOSITION, "成分"),
        (TYPES[NoduleType.SOLID], "实性肺结节"),
        (TYPES[NoduleType.PART_SOLID], "部分实性肺结节"),
        (TYPES[NoduleType.GROUND_GLASS], "磨玻璃肺结节"),
        (TYPES[NoduleType.CALCIFIED], "钙化"),
        (TYPES[NoduleType.FAT], "含脂肪"),
        (MARGIN, "边缘"),
        (MARGINS[Margin.SMOOTH], "边缘光滑"),
        (MARGINS[Margin.LOBULATED], "边缘分叶"),
        (MARGINS[Margin.SPICULATED], "边缘不规则，可能有毛刺"),
        (MARGINS[Margin.ILL_DEFINED], "边缘模糊"),
        (PROBABILITY_OF_CANCER, "癌症概率"),
        (PROBABILITY, "概率"),
        (QUALITATIVE_DIFFERENCE, "定性变化"),
        (CHANGES[Change.GROWN], "增大"),
        (CHANGES[Change.SHRUNK], "缩小"),
        (CHANGES[Change.STABLE], "无明显变化"),
        (CHANGES[Change.NEW], "新发"),
        (DIFFERENCE_IN_SIZE, "大小变化"),
        (VOLUME_CHANGE, "体积相对变化"),
        (DOUBLING_TIME, "体积倍增时间"),
        (PREVIOUS_FINDING, "既往所见"),
        (LUNG_RADS, "Lung-RADS 分类"),
        (RECOMMENDATION, "建议"),
        (Code("272741003", "SCT", "Laterality"), "侧别"),
        (Code("106233006", "SCT", "Topographical modifier"), "位置修饰"),
        (Code("370129005", "SCT", "Measurement Method"), "测量方法"),
        (Code("111002", "DCM", "Algorithm Parameters"), "算法参数"),
    )
}
"""Chinese meanings, by value and scheme."""

"""The coded concepts of our SR and SEG, with their Chinese meanings.

Value and scheme identify a concept and never change; the meaning is for people and follows
the language of the document (PS3.3 8.3: Code Meaning is not used as a key).
"""

from __future__ import annotations

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from imaging import finding
from imaging.language import Language
from imaging.objects import nodule_codes, pancreas_codes

ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMICAL_STRUCTURE = Code("123037004", "SCT", "Anatomical Structure")
"""CID 7150, Segmentation Property Categories: of a lesion, of an organ."""
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
"""CID 7162, Surface Processing Algorithm Families."""

VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
"""How certain the device is of a finding, 0 to 100 (PS3.16 annex D); no probability of cancer."""

MM = Code("mm", "UCUM", "mm")
MM3 = Code("mm3", "UCUM", "mm3")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "Percent")

FINDINGS_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
COMMENT = Code("121106", "DCM", "Comment")
IMPRESSION = Code("121073", "DCM", "Impression")
PATH = Code("121055", "DCM", "Path")
PRIORITY = Code("260870009", "SCT", "Priority")
URGENT = Code("103391001", "SCT", "Urgent")
"""Of a document whose study is flagged, and its value (SNOMED CT attribute and qualifier)."""

PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
}
"""CID 100, by Modality."""
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")

_CHINESE: dict[tuple[str, str], str] = (
    {
        ("126000", "DCM"): "影像测量报告",
        ("121049", "DCM"): "内容语言",
        ("121005", "DCM"): "观察者类型",
        ("121006", "DCM"): "人员",
        ("121007", "DCM"): "设备",
        ("121008", "DCM"): "观察者姓名",
        ("121009", "DCM"): "观察者所属机构",
        ("121012", "DCM"): "设备 UID",
        ("121013", "DCM"): "设备名称",
        ("121014", "DCM"): "设备制造商",
        ("121015", "DCM"): "设备型号",
        ("121016", "DCM"): "设备序列号",
        ("121058", "DCM"): "检查项目",
        ("25045-6", "LN"): "CT，部位未指定",
        ("25056-3", "LN"): "MRI，部位未指定",
        ("363679005", "SCT"): "影像检查",
        ("126010", "DCM"): "影像测量",
        ("125007", "DCM"): "测量组",
        ("112039", "DCM"): "追踪标识",
        ("112040", "DCM"): "追踪唯一标识",
        ("121071", "DCM"): "所见",
        ("363698007", "SCT"): "部位",
        ("111001", "DCM"): "算法名称",
        ("111003", "DCM"): "算法版本",
        ("111000", "DCM"): "算法类别",
        ("123110", "DCM"): "人工智能",
        ("49755003", "SCT"): "形态异常结构",
        ("123037004", "SCT"): "解剖结构",
        ("276214006", "SCT"): "所见类别",
        ("118565006", "SCT"): "体积",
        ("112031", "DCM"): "CT 值",
        ("121401", "DCM"): "计算方式",
        ("373098007", "SCT"): "平均",
        ("103339001", "SCT"): "长径",
        ("103340004", "SCT"): "短径",
        ("111012", "DCM"): "所见的可信度",
        ("111030", "DCM"): "图像区域",
        ("121055", "DCM"): "路径",
        ("121191", "DCM"): "所引用的分割",
        ("121232", "DCM"): "分割的来源序列",
        ("121233", "DCM"): "分割的来源图像",
        ("260753009", "SCT"): "来源",
        ("C0034375", "UMLS"): "定性评价",
        ("111017", "DCM"): "CAD 处理与所见汇总",
        ("111241", "DCM"): "全部算法成功；无所见",
        ("111242", "DCM"): "全部算法成功；有所见",
        ("121106", "DCM"): "备注",
        ("121073", "DCM"): "印象",
        ("260870009", "SCT"): "优先级",
        ("103391001", "SCT"): "紧急",
    }
    | nodule_codes.CHINESE
    | pancreas_codes.CHINESE
)


def language_code(language: Language) -> CodedConcept:
    """TID 1204's value: the RFC 5646 tag and its name in the language itself."""
    meaning = "中文" if language is Language.ZH else "English"
    return CodedConcept(language.value, "RFC5646", meaning)


def concept(code: finding.Code, language: Language) -> CodedConcept:
    """A finding's code as highdicom wants it, its meaning in ``language``."""
    return CodedConcept(code.value, code.scheme, code.meaning.in_(language))


def translate_meanings(item: Dataset) -> None:
    """Give every code in a content tree its Chinese meaning, where there is one; in place."""
    for element in item:
        if element.VR != "SQ":
            continue
        for child in element.value:
            key = (child.get("CodeValue", ""), child.get("CodingSchemeDesignator", ""))
            if key in _CHINESE:
                child.CodeMeaning = _CHINESE[key]
            translate_meanings(child)

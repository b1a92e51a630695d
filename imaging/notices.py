"""What a reader of a result must know about its input: the warnings and refusals.

A notice is no error: the work went on (warning), or a series or study was left alone for a
stated reason (refusal). Every one has a stable code, which the JSON contract, the page, the
log and the report share.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from imaging.language import Language, Text


class Severity(StrEnum):
    """How far a notice reaches."""

    WARNING = "warning"
    """A result exists; the reader should weigh it with this in mind."""
    REFUSAL = "refusal"
    """This file, series or study was not used."""


class Notice(BaseModel):
    """One statement about the input, in both languages.

    Attributes:
        code: stable, kebab-case, from :data:`WORDING`.
        severity: see :class:`Severity`.
        text: the filled-in sentence.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Severity
    text: Text


WORDING: dict[str, tuple[Severity, str, str]] = {
    # files
    "not-dicom": (
        Severity.WARNING,
        "{count} file(s) are not DICOM and were passed over, first: {first}",
        "{count} 个文件不是 DICOM 文件，已跳过，首个：{first}",
    ),
    "unreadable-file": (
        Severity.WARNING,
        "{file} was not used: {problem}",
        "未使用文件 {file}：{problem}",
    ),
    "same-instance-twice": (
        Severity.WARNING,
        "{count} file(s) repeat a SOP Instance UID already read and were passed over",
        "{count} 个文件的 SOP Instance UID 重复，已跳过",
    ),
    # series, refused
    "no-images": (Severity.REFUSAL, "no images in it", "没有图像"),
    "wrong-modality": (
        Severity.REFUSAL,
        "Modality is {found}, the model takes {wanted}",
        "Modality 为 {found}，模型要求 {wanted}",
    ),
    "localizer": (
        Severity.REFUSAL,
        "a localizer (scout), not a volume: ImageType {found}",
        "定位像，不是容积数据：ImageType {found}",
    ),
    "derived-image": (
        Severity.REFUSAL,
        "not a primary axial acquisition: ImageType {found}",
        "不是原始轴位采集：ImageType {found}",
    ),
    "too-few-slices": (
        Severity.REFUSAL,
        "{found} slices, at least {wanted} are needed",
        "仅 {found} 层，至少需要 {wanted} 层",
    ),
    "too-thick": (
        Severity.REFUSAL,
        "slices are {found:g} mm apart or thick, at most {wanted:g} mm can be analysed",
        "层厚或层距 {found:g} mm，最大可分析 {wanted:g} mm",
    ),
    "wrong-orientation": (
        Severity.REFUSAL,
        "slices are {found:.0f} degrees from axial, at most {wanted:.0f} can be analysed",
        "与轴位夹角 {found:.0f} 度，最大允许 {wanted:.0f} 度",
    ),
    "not-coronal": (
        Severity.REFUSAL,
        "slices are {found:.0f} degrees from coronal, at most {wanted:.0f} can be analysed",
        "与冠状位夹角 {found:.0f} 度，最大允许 {wanted:.0f} 度",
    ),
    "not-sagittal": (
        Severity.REFUSAL,
        "slices are {found:.0f} degrees from sagittal, at most {wanted:.0f} can be analysed",
        "与矢状位夹角 {found:.0f} 度，最大允许 {wanted:.0f} 度",
    ),
    "too-thin": (
        Severity.REFUSAL,
        "slices are {found:g} mm apart or thick, the model takes {wanted:g} mm and more",
        "层厚或层距 {found:g} mm，模型要求至少 {wanted:g} mm",
    ),
    "wrong-body-part": (
        Severity.REFUSAL,
        "body part and descriptions say {found}, the model takes {wanted}",
        "部位及描述为 {found}，模型要求 {wanted}",
    ),
    "description-not-wanted": (
        Severity.REFUSAL,
        "SeriesDescription is {found}, the model takes {wanted}",
        "SeriesDescription 为 {found}，模型要求 {wanted}",
    ),
    "description-excluded": (
        Severity.REFUSAL,
        "SeriesDescription is {found}, the model leaves out {unwanted}",
        "SeriesDescription 为 {found}，模型排除 {unwanted}",
    ),
    "contrast-wanted": (
        Severity.REFUSAL,
        "without contrast agent by its header ({found}), the model takes enhanced series only",
        "据头信息为平扫（{found}），模型仅接受增强序列",
    ),
    "contrast-unwanted": (
        Severity.REFUSAL,
        "with contrast agent by its header ({found}), the model takes unenhanced series only",
        "据头信息为增强（{found}），模型仅接受平扫序列",
    ),
    "kernel-too-sharp": (
        Severity.REFUSAL,
        "kernel {found} is sharp, the model takes soft kernels only",
        "重建核 {found} 为锐利核，模型仅接受软组织核",
    ),
    "kernel-too-soft": (
        Severity.REFUSAL,
        "kernel {found} is not known as a sharp one, the model takes sharp kernels only",
        "重建核 {found} 并非已知锐利核，模型仅接受锐利核",
    ),
    "missing-series-role": (
        Severity.REFUSAL,
        "no series serves as {role}, which model {model} needs",
        "没有序列可作为 {role}，而模型 {model} 需要该序列",
    ),
    "other-frame-of-reference": (
        Severity.REFUSAL,
        "its positions belong to another frame of reference than those of {chosen}",
        "其坐标系（Frame of Reference）与 {chosen} 不同",
    ),
    "no-geometry": (
        Severity.REFUSAL,
        "{tag} is missing or unusable in {file}",
        "文件 {file} 缺少或无法使用 {tag}",
    ),
    "irregular-geometry": (
        Severity.REFUSAL,
        "the slices make no regular volume: {problem}",
        "各层无法构成规则容积：{problem}",
    ),
    "inconsistent-series": (
        Severity.REFUSAL,
        "the images of the series do not belong together: {problem}",
        "该序列的图像不一致：{problem}",
    ),
    "undecodable-series": (
        Severity.REFUSAL,
        "the pixels could not be decoded: {problem}",
        "像素数据无法解码：{problem}",
    ),
    "no-lung": (
        Severity.REFUSAL,
        "{found:.0f} ml of lung in view, at least {wanted:.0f} ml are needed",
        "视野内肺容积 {found:.0f} ml，至少需要 {wanted:.0f} ml",
    ),
    "better-series": (
        Severity.REFUSAL,
        "suitable, but series {chosen} suits better ({why})",
        "可用，但序列 {chosen} 更合适（{why}）",
    ),
    # volume, warned
    "missing-slices": (
        Severity.WARNING,
        "{count} slice(s) are missing and were interpolated between {where} mm; "
        "a small lesion there can be missed",
        "缺少 {count} 层，已在 {where} mm 处插值；该处小病灶可能漏检",
    ),
    "duplicate-positions": (
        Severity.WARNING,
        "{count} image(s) lie at the position of another; {kept} of {of} images were used ({how})",
        "{count} 幅图像位置重复；使用了 {of} 幅中的 {kept} 幅（{how}）",
    ),
    "inconsistent-images": (
        Severity.WARNING,
        "{count} image(s) differ in size, spacing or orientation and were left out; {kept} of "
        "{of} were used ({how})",
        "{count} 幅图像的尺寸、间距或方向不同，已排除；使用了 {of} 幅中的 {kept} 幅（{how}）",
    ),
    "thick-slices": (
        Severity.WARNING,
        "slices are {found:g} mm; lesions under {limit:g} mm can be missed",
        "层厚 {found:g} mm；小于 {limit:g} mm 的病灶可能漏检",
    ),
    "thickness-differs": (
        Severity.WARNING,
        "SliceThickness says {said:g} mm, positions say {found:g} mm; positions were used",
        "SliceThickness 为 {said:g} mm，位置计算为 {found:g} mm；采用位置值",
    ),
    "several-series": (
        Severity.WARNING,
        "the study has {count} series; one was analysed: {chosen}",
        "检查含 {count} 个序列；仅分析其中一个：{chosen}",
    ),
    "series-left": (
        Severity.WARNING,
        "the study has {count} series; {read} were analysed: {chosen}",
        "检查含 {count} 个序列；分析了其中 {read} 个：{chosen}",
    ),
    "partial-lung": (
        Severity.WARNING,
        "the lungs reach the first or last slice; parts outside the scan were not seen",
        "肺部延伸至首层或末层；扫描范围外的部分未见",
    ),
    "implausible-values": (
        Severity.WARNING,
        "the values do not look like Hounsfield units ({found})",
        "像素值不像 HU 值（{found}）",
    ),
    "finding-between-slices": (
        Severity.WARNING,
        "a possible lesion (score {score:.2f}) lies on interpolated slices only and could not be "
        "marked; send the missing slices",
        "疑似病灶（评分 {score:.2f}）仅位于插值层，无法标记；请补传缺失层",
    ),
    # model
    "reference-weights": (
        Severity.WARNING,
        "reference weights for research; not a medical device, not validated for diagnosis",
        "参考权重，仅供研究；非医疗器械，未经诊断验证",
    ),
    "boxes-only": (
        Severity.WARNING,
        "the model gives boxes, not outlines; outline, size and density of its findings are those "
        "of the ellipsoid that fills each box",
        "模型仅给出定位框，不给出轮廓；其病灶的轮廓、大小和密度取自框内接椭球",
    ),
    "fake-model": (
        Severity.WARNING,
        "NOT FOR CLINICAL USE: made by a stand-in model",
        "禁止临床使用：由替身模型生成",
    ),
    "device-memory-batch": (
        Severity.WARNING,
        "the device was short of memory; the network ran in smaller batches, which is slower and "
        "changes nothing else",
        "设备内存不足，网络以较小批量运行；速度变慢，结果不受影响",
    ),
    "device-memory-patch": (
        Severity.WARNING,
        "the device was short of memory; the network ran on halved patches, and values close to a "
        "cut can differ slightly",
        "设备内存不足，网络在减半的图像块上运行；切分处附近的数值可能略有差异",
    ),
    "device-memory-cpu": (
        Severity.WARNING,
        "the device was short of memory; the network ran on the CPU, which is slower",
        "设备内存不足，网络改在 CPU 上运行；速度变慢",
    ),
    "study-too-large": (
        Severity.REFUSAL,
        "the study needs about {needed:.1f} GB of memory, this machine has {held:.1f} GB",
        "该检查约需 {needed:.1f} GB 内存，本机仅有 {held:.1f} GB",
    ),
    "not-run": (
        Severity.WARNING,
        "model {model} did not read this study: it takes series {own}, and this report stands on "
        "series {series}, which model {first} takes",
        "模型 {model} 未分析该检查：其适用序列为 {own}，"
        "而本报告基于模型 {first} 选用的序列 {series}",
    ),
    "read-on-shared-series": (
        Severity.WARNING,
        "model {model} read the series that model {first} takes; series {own} would suit it better",
        "模型 {model} 使用了模型 {first} 选用的序列；序列 {own} 更适合该模型",
    ),
    "shared-series": (
        Severity.REFUSAL,
        "suitable, but the report stands on series {series}, which model {first} takes",
        "可用，但本报告基于模型 {first} 选用的序列 {series}",
    ),
    "model-refused": (
        Severity.WARNING,
        "model {model} did not read this study: {problem}",
        "模型 {model} 未分析该检查：{problem}",
    ),
    "model-failed": (
        Severity.WARNING,
        "model {model} failed on this study and its findings are missing: {problem}",
        "模型 {model} 分析失败，缺少其结果：{problem}",
    ),
    "no-lobes": (
        Severity.WARNING,
        "no aerated lung was found to tell places in; nodules were measured but not described",
        "未找到含气肺组织，无法定位；结节仅测量，未作特征描述",
    ),
    "nodule-not-described": (
        Severity.WARNING,
        "nodule {number} was measured but could not be described",
        "结节 {number} 已测量，但无法作特征描述",
    ),
    "no-hint": (
        Severity.WARNING,
        "nodule {number} has no suspicion estimate: its model can't be read",
        "结节 {number} 无可疑程度估计：模型文件无法读取",
    ),
    # earlier examinations
    "no-prior": (
        Severity.WARNING,
        "no earlier chest CT to compare with: none of the last {years:g} years in {where}",
        "无既往胸部 CT 可供对比：{where}中近 {years:g} 年未找到",
    ),
    "prior-not-sought": (
        Severity.WARNING,
        "earlier chest CTs could not be looked for in {where}: {problem}",
        "无法在{where}中查找既往胸部 CT：{problem}",
    ),
    "prior-refused": (
        Severity.WARNING,
        "the examination of {date} was not taken for comparison: {problem}",
        "未采用 {date} 的检查作对比：{problem}",
    ),
    "prior-not-fetched": (
        Severity.WARNING,
        "the examination of {date} could not be fetched for comparison: {problem}",
        "无法调取 {date} 的检查作对比：{problem}",
    ),
    "prior-not-compared": (
        Severity.WARNING,
        "the examination of {date} could not be compared: {problem}",
        "无法与 {date} 的检查对比：{problem}",
    ),
    "prior-left-out": (
        Severity.WARNING,
        "nothing was compared with earlier examinations: the worker process ended while it did",
        "未与既往检查对比：对比过程中工作进程意外终止",
    ),
    "nothing-suits": (
        Severity.REFUSAL,
        "no series of the study suits model {model}",
        "检查中没有适合模型 {model} 的序列",
    ),
}


def notice(code: str, **values: object) -> Notice:
    """Fill in the wording of ``code``; a value that is a ``Text`` stands in its own language.

    Raises:
        KeyError: the code, or a value its wording needs, is unknown (a mistake in our code).
    """
    severity, en, zh = WORDING[code]
    text = Text(en=en.format(**_in(Language.EN, values)), zh=zh.format(**_in(Language.ZH, values)))
    return Notice(code=code, severity=severity, text=text)


def _in(language: Language, values: dict[str, object]) -> dict[str, object]:
    return {k: v.in_(language) if isinstance(v, Text) else v for k, v in values.items()}

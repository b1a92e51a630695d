"""What is said of files, series and studies that are not used.

Code to (severity, English, Chinese); :func:`imaging.notices.notice` fills them in.
"""

from __future__ import annotations

from typing import Final

from imaging.severity import Severity

REFUSALS: Final[dict[str, tuple[Severity, str, str]]] = {
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
    "described-otherwise": (
        Severity.REFUSAL,
        "{found} by its description ({said}); no model reads such images",
        "据描述（{said}）为{found}，不供模型分析",
    ),
    "site-never": (
        Severity.REFUSAL,
        "left alone by the site's rule {rule!r}",
        "按本院规则“{rule}”不予分析",
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
    "wrong-weighting": (
        Severity.REFUSAL,
        "weighted for {found} by its descriptions and times ({said}), the model takes {wanted}",
        "据描述及扫描参数，加权类型为 {found}（{said}），模型要求 {wanted}",
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
    "not-aligned": (
        Severity.REFUSAL,
        "{role} could not be laid over {first}: {found} of {of} places were found again, too few "
        "to tell how well the two agree",
        "{role} 无法与 {first} 配准：{of} 处中仅 {found} 处可重新找到，不足以判断两者是否吻合",
    ),
    "badly-aligned": (
        Severity.REFUSAL,
        "{role} stays {left:.1f} mm off {first} after registration, at most {wanted:g} mm can be "
        "analysed",
        "配准后 {role} 与 {first} 仍相差 {left:.1f} mm，最大允许 {wanted:g} mm",
    ),
    "no-brain": (
        Severity.REFUSAL,
        "the brain could not be told from the skull: {found:.0f} ml were found, {least:.0f} to "
        "{most:.0f} ml are plausible",
        "无法区分脑与颅骨：所得脑容积 {found:.0f} ml，合理范围为 {least:.0f} 至 {most:.0f} ml",
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
    "shared-series": (
        Severity.REFUSAL,
        "suitable, but the report stands on series {series}, which model {first} takes",
        "可用，但本报告基于模型 {first} 选用的序列 {series}",
    ),
    # studies
    "nothing-suits": (
        Severity.REFUSAL,
        "no series of the study suits model {model}",
        "检查中没有适合模型 {model} 的序列",
    ),
    "study-too-large": (
        Severity.REFUSAL,
        "the study needs about {needed:.1f} GB of memory, this machine has {held:.1f} GB",
        "该检查约需 {needed:.1f} GB 内存，本机仅有 {held:.1f} GB",
    ),
}

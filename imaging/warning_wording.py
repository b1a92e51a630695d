"""What a reader must know of a result: of its images, its models, what was measured.

Code to (severity, English, Chinese); :func:`imaging.notices.notice` fills them in.
"""

from __future__ import annotations

from typing import Final

from imaging.severity import Severity

WARNINGS: Final[dict[str, tuple[Severity, str, str]]] = {
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
    "gantry-tilt": (
        Severity.WARNING,
        "the slices are tilted by {angle:.1f} degrees (gantry tilt); they were moved by up to "
        "{moved:.0f} mm within their planes into a straight volume",
        "层面倾斜 {angle:.1f} 度（机架倾斜）；已在层面内平移最多 {moved:.0f} mm，校正为正交容积",
    ),
    "uneven-spacing": (
        Severity.WARNING,
        "slice distances are uneven ({low:.2f} to {high:.2f} mm) and were brought to "
        "{step:.2f} mm; {between} slice(s) are interpolated, small lesions there can be missed",
        "层距不均（{low:.2f} 至 {high:.2f} mm），已重采样为 {step:.2f} mm；"
        "其中 {between} 层为插值，该处小病灶可能漏检",
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
    "described-so": (
        Severity.WARNING,
        "{found} by its description ({said}); check that it is the one to read",
        "据描述（{said}）为{found}；请核对是否应分析该序列",
    ),
    "scan-goes-on": (
        Severity.WARNING,
        "series {other} continues this scan ({low:.0f} to {high:.0f} mm) and was not analysed",
        "序列 {other} 为该扫描的延续（{low:.0f} 至 {high:.0f} mm），未予分析",
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
    "other-frame-aligned": (
        Severity.WARNING,
        "its positions belong to another frame of reference than those of {chosen}; it is laid "
        "over it by its image",
        "其坐标系（Frame of Reference）与 {chosen} 不同，按图像内容与其配准",
    ),
    "moved-series": (
        Severity.WARNING,
        "{role} was moved by up to {moved:.1f} mm ({angle:.1f} degrees) to lie over {first}; "
        "about {left:.1f} mm are left over",
        "为与 {first} 配准，{role} 最大移动 {moved:.1f} mm（旋转 {angle:.1f} 度）；"
        "残余误差约 {left:.1f} mm",
    ),
    "coarsely-aligned": (
        Severity.WARNING,
        "{role} lies only coarsely over {first}: about {left:.1f} mm are left over after it was "
        "moved by up to {moved:.1f} mm; outlines of small lesions can be wrong",
        "{role} 与 {first} 仅大致配准：最大移动 {moved:.1f} mm 后残余误差约 {left:.1f} mm；"
        "小病灶的轮廓可能有误",
    ),
    "skull-stripped": (
        Severity.WARNING,
        "the skull was taken off by a classical method before the analysis; a lesion at the "
        "brain's surface can be cut, and eyes or dura can be left in",
        "分析前已用传统算法去除颅骨；脑表面的病灶可能被截断，眼球或硬脑膜可能残留",
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
    # pancreas
    "no-pancreas": (
        Severity.WARNING,
        "no pancreas was found in this series",
        "该序列中未找到胰腺",
    ),
    "no-pancreas-here": (
        Severity.WARNING,
        "no pancreas was looked for: {why}",
        "未寻找胰腺：{why}",
    ),
    "pancreas-volume": (
        Severity.WARNING,
        "the pancreas found measures {found:.0f} ml, outside the usual {least:.0f} to "
        "{most:.0f} ml; check its outline",
        "所分割胰腺体积为 {found:.0f} ml，超出通常范围 {least:.0f} 至 {most:.0f} ml；请核对轮廓",
    ),
    "pancreas-cut": (
        Severity.WARNING,
        "the pancreas reaches the first or last slice; parts outside the scan were not seen",
        "胰腺延伸至首层或末层；扫描范围外的部分未见",
    ),
    "pancreas-pieces": (
        Severity.WARNING,
        "the pancreas was found in {count} separate pieces; parts between them may be missing",
        "胰腺被分割为 {count} 个不相连的部分；其间可能有遗漏",
    ),
    "pancreas-not-measured": (
        Severity.WARNING,
        "the pancreas was marked but could not be measured: {problem}",
        "已标出胰腺，但无法测量：{problem}",
    ),
    "lesion-not-described": (
        Severity.WARNING,
        "lesion {number} of the pancreas was marked but could not be described",
        "胰腺病灶 {number} 已标出，但无法作特征描述",
    ),
    # the study, as it came
    "begun-incomplete": (
        Severity.WARNING,
        "begun although images may be missing: {why}; what lies on them was not seen. Images that "
        "come later make a new revision",
        "图像可能不全即已开始处理：{why}；缺失图像上的内容未被分析。后到的图像将生成新版本",
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
}

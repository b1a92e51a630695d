"""The page's words on nodules, guidelines, clinical facts and comparisons."""

from __future__ import annotations

from imaging.language import Text

NODULE_LABELS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        # a nodule
        ("mean-diameter", "mean {mm}", "平均 {mm}"),
        ("solid-part", "Solid part", "实性成分"),
        ("margin", "Margin", "边缘"),
        ("character", "Character", "结节特征"),
        ("hints", "Likelihood of malignancy, by method", "恶性可能性（按方法）"),
        ("hint-inputs", "from ", "依据："),
        ("and-then", "; ", "；"),
        ("hints-note", "A hint for the reader; no diagnosis.", "仅供参考，并非诊断。"),
        ("why-picture",
         "Why it was flagged. Left: the place and its score. Middle: what the score hangs on; the "
         "score without the most telling part. Right: the place drawn without the lesion, and its "
         "score.",
         "标记依据。左：病灶及分值；中：影响分值的区域，去除影响最大的部分后的分值；"
         "右：去除病灶后的图像及分值。"),
        ("why-alt", "What made the model mark finding {n}", "模型标记病灶 {n} 的依据"),
        ("decides", "decides {guideline}", "决定 {guideline}"),
        # guidelines
        ("guidelines", "Guidelines", "指南"),
        ("guidance-none", "No guideline was applied.", "未应用指南。"),
        ("not-assigned", "not assigned", "未能分类"),
        ("refines", "Would refine it", "补充以下信息可进一步明确"),
        ("by-finding", "by finding {n}", "依据病灶 {n}"),
        ("rule", "Rule", "适用条目"),
        ("why-this", "What decided it", "判定依据"),
        ("source", "Source", "出处"),
        ("own-category", "Changed to {category} ({name}). Computed: {computed}",
         "已改为 {category}（{name}）。软件计算：{computed}"),
        ("computed-advice", "For the computed category", "针对软件计算的分类"),
        ("computed-none", "none", "无"),
        ("override", "Set another category", "更改分类"),
        ("guideline", "Guideline", "指南"),
        ("category", "Category", "分类"),
        ("reason-for", "Reason", "理由"),
        ("override-set", "Set", "确定"),
        ("override-remove", "Back to the computed one", "恢复软件计算结果"),
        ("override-note", "The computed category stays beside yours in the report and the audit "
         "trail.", "软件计算的分类将与您的判定一并保留在报告和审计记录中。"),
        # clinical facts
        ("clinical", "Clinical facts", "临床信息"),
        ("clinical-unknown", "{n} unknown", "{n} 项未知"),
        ("clinical-note", "Unknown is never taken for no. Saving applies the guidelines again.",
         "“未知”不会视为“否”。保存后将重新应用指南。"),
        ("clinical-save", "Save and apply", "保存并应用"),
        ("unknown", "unknown", "未知"),
        ("yes", "yes", "是"),
        ("no", "no", "否"),
        ("years", "{n} years", "{n} 岁"),
        ("fact-age_years", "Age, years", "年龄（岁）"),
        ("fact-sex", "Sex", "性别"),
        ("fact-screening", "Screening examination", "肺癌筛查"),
        ("fact-high_risk", "High risk of lung cancer", "肺癌高危"),
        ("fact-known_cancer", "Known cancer", "已知恶性肿瘤"),
        ("fact-immunosuppressed", "Immunosuppressed", "免疫抑制"),
        ("fact-family_history", "Lung cancer in the family", "肺癌家族史"),
        ("fact-emphysema", "Emphysema", "肺气肿"),
        ("fact-prior_cancer_resected", "Lung cancer resected earlier", "既往肺癌切除术后"),
        ("fact-earlier_ct", "Earlier chest CT exists", "有既往胸部 CT"),
        ("fact-prior_lung_rads", "Previous Lung-RADS", "上次 Lung-RADS"),
        ("fact-lungs_incomplete", "Part of the lungs not assessable", "部分肺野无法评估"),
        ("fact-infection_suspected", "Infection or inflammation suspected", "疑似感染或炎症"),
        ("fact-suspicious_features", "Suspicious features confirmed (4X)", "已确认可疑征象（4X）"),
        ("fact-significant_other", "Other significant finding (S)", "其他有临床意义的发现（S）"),
        # comparison
        ("comparison", "Compared with {date}", "与 {date} 比较"),
        ("days-before", "{n} days before", "{n} 天前"),
        ("change", "Change", "变化"),
        ("then", "Then", "既往"),
        ("now", "Now", "本次"),
        ("difference", "Difference", "差异"),
        ("registration-error", "median error {mm}", "中位误差 {mm}"),
        # draft
        ("draft", "Draft", "报告草稿"),
        ("draft-findings", "Findings", "影像所见"),
        ("draft-impression", "Impression", "印象"),
        ("take-draft", "Take the draft", "采用草稿"),
        ("take-all", "With the findings", "连同所见"),
        ("draft-note", "Written from the measurements and your verdicts; edit it.",
         "根据测量结果与您的判定生成，请核对修改。"),
        ("key-draft", "take the draft into the impression", "将草稿填入诊断印象"),
        ("key-character", "show or hide the nodule's character", "显示或隐藏结节特征"),
        # refusals
        ("bad-age", "Not saved: the age is a whole number of years.",
         "未保存：年龄须为整数（岁）。"),
        ("bad-guideline", "Not saved: that guideline was not applied to this study.",
         "未保存：该指南未应用于本检查。"),
        ("bad-category", "Not saved: the guideline has no such category.",
         "未保存：该指南没有此分类。"),
    )
}  # fmt: skip

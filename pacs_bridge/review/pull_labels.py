"""The page's words on fetching from archives."""

from __future__ import annotations

from imaging.language import Text

PULL_LABELS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        ("pulls-title", "Fetching", "调取"),
        ("pulls-rules", "Rules", "规则"),
        ("pulls-studies", "Studies", "检查"),
        ("pulls-none", "No rule is set up; see [[pull]] in the settings.",
         "未设置调取规则，请参阅配置中的 [[pull]]。"),
        ("pulls-no-study", "Nothing was found yet.", "尚未找到检查。"),
        ("pulls-rule", "Rule", "规则"),
        ("pulls-archive", "Archive", "归档"),
        ("pulls-when", "When", "时间安排"),
        ("pulls-every", "every {minutes} min", "每 {minutes} 分钟"),
        ("pulls-by-hand", "by hand", "手动"),
        ("pulls-announced", "when announced", "收到通知时"),
        ("pulls-closed", "not at this hour", "当前不在时段内"),
        ("pulls-looked", "Last look", "上次查询"),
        ("pulls-looking", "looking now", "正在查询"),
        ("pulls-asked", "asked for", "已请求"),
        ("pulls-found", "{found} found, {taken} to fetch", "找到 {found}，待调取 {taken}"),
        ("pulls-run", "Look now", "立即查询"),
        ("pulls-again", "Try again", "重试"),
        ("pulls-images", "{came} of {wanted}", "{came}/{wanted}"),
        ("pull-settling", "May still grow", "可能仍在增加"),
        ("pull-waiting", "Waiting", "等待中"),
        ("pull-fetching", "Being fetched", "调取中"),
        ("pull-fetched", "Fetched", "已调取"),
        ("pull-given-up", "Given up", "已放弃"),
    )
}  # fmt: skip

PULL_EVENTS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        ("pulled", "Fetched from the archive", "已从归档调取"),
        ("pull-failed", "Fetching failed", "调取失败"),
        ("pull-given-up", "Fetching given up", "放弃调取"),
        ("pull-retried", "Fetching tried again", "重试调取"),
        ("pull-asked", "Archive to be looked at", "请求查询归档"),
        ("pulls-viewed", "Fetching viewed", "查看调取"),
    )
}

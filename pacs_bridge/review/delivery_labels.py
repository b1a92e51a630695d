"""The page's words on destinations and what was not delivered."""

from __future__ import annotations

from imaging.language import Text

DELIVERY_LABELS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        ("delivery-sent", "Sent, not yet committed to", "已发送，待存储承诺"),
        ("destinations-title", "Destinations", "发送目的地"),
        ("destinations-none", "No destination is configured; results stay here.",
         "未配置目的地，结果仅保存在本机。"),
        ("destination-how", "How", "方式"),
        ("destination-takes", "Takes", "接收对象"),
        ("destination-tls", "TLS", "TLS 加密"),
        ("destination-commitment", "storage commitment", "存储承诺"),
        ("destination-all", "all results", "全部结果"),
        ("destination-positive", "positive results", "仅阳性结果"),
        ("destination-urgent", "urgent results", "仅紧急结果"),
        ("destination-last", "Last delivered", "最近送达"),
        ("destination-down", "not found since {when}, {n} tries; next try {next}",
         "自 {when} 起无法连接，已尝试 {n} 次；下次尝试 {next}"),
        ("destination-shaky", "not found at the last try", "最近一次未能连接"),
        ("circuit-closed", "In use", "正常"),
        ("circuit-open", "Left alone", "暂停发送"),
        ("circuit-half-open", "Being tried", "试探中"),
        ("retry-destination", "Try all again", "全部重试"),
        ("dead-letters", "Not delivered", "未送达"),
        ("dead-letters-none", "Nothing was given up on.", "没有放弃发送的对象。"),
        ("dead-letters-cut", "The first {n} of {total}.", "显示前 {n} 项，共 {total} 项。"),
        ("delivery-set-aside", "Set aside", "已搁置"),
        ("set-aside", "Set aside …", "搁置……"),
        ("set-aside-why", "Why it need not get there", "无需送达的原因"),
        ("set-aside-all", "everything given up on at {destination}",
         "{destination} 的全部未送达对象"),
        ("set-aside-do", "Set aside", "搁置"),
        ("set-aside-count", "{n} set aside", "已搁置 {n} 项"),
        ("trouble-given-up", "Results not delivered: {n}.", "未送达的结果：{n} 项。"),
        ("trouble-down", "Destinations not found: {names}.", "无法连接的目的地：{names}。"),
        ("destination-gone", "no longer in the settings", "已不在配置中"),
    )
}  # fmt: skip

DELIVERY_EVENTS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        ("delivered", "Delivered", "已送达"),
        ("delivery-sent", "Sent, commitment asked for", "已发送，请求存储承诺"),
        ("commitment-not-asked", "Commitment could not be asked for", "未能请求存储承诺"),
        ("delivery-set-aside", "Delivery set aside", "搁置发送"),
        ("not-routed", "Not for these destinations", "不发送至以下目的地"),
        ("destination-down", "Destination not found", "目的地无法连接"),
        ("destination-back", "Destination is back", "目的地已恢复"),
        ("deliveries-viewed", "Deliveries viewed", "查看发送情况"),
    )
}

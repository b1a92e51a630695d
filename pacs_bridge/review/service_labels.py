"""The page's words on what other services of ours did with a study."""

from __future__ import annotations

from imaging.language import Text

SERVICE_EVENTS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        ("storage-committed", "Storage committed to its sender", "已向发送方作出存储承诺"),
        ("commitment-not-reported", "Storage commitment not reported", "存储承诺结果未能通知对方"),
        ("object-damaged", "Stored object found damaged", "发现已存对象损坏"),
        ("available", "An archive has the study", "归档系统通知该检查可调取"),
        ("workitem-created", "Work ordered", "收到工作项"),
        ("workitem-changed", "Order changed", "工作项已修改"),
        ("workitem-claimed", "Order taken", "工作项已认领"),
        ("workitem-completed", "Order completed", "工作项已完成"),
        ("workitem-canceled", "Order cancelled", "工作项已取消"),
        ("reading-withdrawn", "Analysis stopped, order cancelled", "工作项已取消，分析中止"),
    )
}

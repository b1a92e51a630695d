"""Why a study is to be read before others.

Only a model whose ``preread.toml`` names a validated operating point may ask for it. It is a
priority for the worklist, no diagnosis: the ACR's categories of actionable findings (RadLex
RID49480 to RID49482, CID 7035) are a radiologist's to give and are never written by software.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from imaging.language import Text


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class RaisedBy(_Value):
    """A model that raised the flag, and the validation that lets it."""

    model: str
    version: str
    findings: tuple[int, ...] = Field(description="numbers of its findings that reached the point")
    score_threshold: float = Field(description="of the operating point that was validated")
    validated_by: str
    date: str = Field(description="of the validation, YYYY-MM-DD")
    patients: int = Field(description="in the validation")
    sensitivity: float = Field(description="of patients, at the threshold, 0 to 1")
    specificity: float = Field(description="of patients, at the threshold, 0 to 1")
    reference: str = Field(description="where the validation is reported")


class Urgency(_Value):
    """Why a study is to be read before others."""

    raised_by: tuple[RaisedBy, ...] = Field(min_length=1)
    taken_back: bool = Field(
        default=False, description="the reader rejected every finding that raised it"
    )

    @property
    def findings(self) -> tuple[int, ...]:
        """Numbers of the findings that raised it, ascending."""
        return tuple(sorted({number for one in self.raised_by for number in one.findings}))

    @property
    def models(self) -> str:
        """Name and version of every model that raised it, for people."""
        return ", ".join(f"{one.model} {one.version}" for one in self.raised_by)

    @property
    def why(self) -> Text:
        """What raised it, a sentence a model, and whether it still stands."""
        told = [_sentence(one) for one in self.raised_by]
        if self.taken_back:
            told.append(
                Text(
                    en="The reader rejected every finding that raised it: the flag is taken back.",
                    zh="医师已拒绝触发该标记的全部病灶，紧急标记已撤销。",
                )
            )
        return Text(en=" ".join(t.en for t in told), zh="".join(t.zh for t in told))

    def judged(self, rejected: frozenset[int]) -> Urgency:
        """The same after the reader's verdicts; ``rejected`` are numbers of findings."""
        return self.model_copy(update={"taken_back": rejected.issuperset(self.findings)})


def _sentence(one: RaisedBy) -> Text:
    numbers = [str(number) for number in one.findings]
    many = "findings" if len(one.findings) > 1 else "finding"
    reached = "reach" if len(one.findings) > 1 else "reaches"
    figures = f"{one.sensitivity:.1%}", f"{one.specificity:.1%}"
    return Text(
        en=f"{many.capitalize()} {', '.join(numbers)} {reached} the operating point of {one.model} "
        f"{one.version} (score {one.score_threshold:g}), validated by {one.validated_by} on "
        f"{one.patients} patients, {one.date}: sensitivity {figures[0]}, specificity "
        f"{figures[1]} ({one.reference}). A priority for reading, no diagnosis.",
        zh=f"病灶 {'、'.join(numbers)} 达到 {one.model} {one.version} 的工作点（分值 "
        f"{one.score_threshold:g}）；该工作点由 {one.validated_by} 于 {one.date} 在 "
        f"{one.patients} 例患者中验证：灵敏度 {figures[0]}，特异度 {figures[1]}"
        f"（{one.reference}）。仅提示优先阅片，并非诊断。",
    )

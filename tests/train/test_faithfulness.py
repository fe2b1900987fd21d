"""The table of methods: agreement with evidence by hand, and the job from reports to the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbertde.settings import ROOT
from medbertde.types import AttributedWord, Attribution, Rationale
from train import faithfulness
from train.faithfulness import BEGIN, END, Row, agreement, table
from train.intervals import Interval

TEXT = "Kein Pneu. Kleiner Erguss links."


def attribution(scores: list[float]) -> Attribution:
    starts = [0, 5, 11, 19, 26]
    words = [
        AttributedWord(TEXT[start:end].strip(), start, end, score)
        for start, end, score in zip(starts, [4, 10, 18, 25, 32], scores, strict=True)
    ]
    return Attribution(TEXT, "Erguss", tuple(words), "lime", "", 1, 0.0, 0.0, "m@1")


@pytest.mark.parametrize(
    ("scores", "f1", "iou", "auprc"),
    [
        ([0.0, 0.0, 2.0, 3.0, 1.0], 1.0, 1.0, 1.0),
        ([0.0, 4.0, 2.0, 3.0, 1.0], 2 / 3, 0.5, (1 / 2 + 2 / 3 + 3 / 4) / 3),
        ([5.0, 4.0, 0.0, 0.1, 0.2], 1 / 3, 0.2, (1 / 3 + 2 / 4 + 3 / 5) / 3),
    ],
)
def test_agreement_with_marked_spans(scores: list[float], f1: float, iou: float, auprc: float) -> None:
    found = agreement(attribution(scores), (Rationale("Erguss", 11, 32),))
    assert found == {"f1": pytest.approx(f1), "iou": pytest.approx(iou), "auprc": pytest.approx(auprc)}


def row(method: str, value: float) -> Row:
    return Row(method, "pad", dict.fromkeys(faithfulness.COLUMNS, Interval(value, value, value)))


def test_the_best_value_of_each_column_is_bold() -> None:
    _, _, first, second = table([row("lime", 0.2), row("occlusion", 0.4)]).splitlines()
    assert first.split(" | ")[2:5] == ["0.20 (0.20–0.20)", "**0.20 (0.20–0.20)**", "**0.20 (0.20–0.20)**"]
    assert second.split(" | ")[2] == "**0.40 (0.40–0.40)**"


def test_the_job_measures_a_shipped_model_and_keeps_what_was_written_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "explanations.md"
    out.write_text(f"by hand\n\n{BEGIN}\nold\n{END}\n\nalso by hand\n", encoding="utf-8")
    name = "test_chest_xray.jsonl"
    first = (ROOT / "data" / "reports" / name).read_text(encoding="utf-8").splitlines(keepends=True)[:15]
    (tmp_path / name).write_text("".join(first), encoding="utf-8")
    monkeypatch.setattr(faithfulness, "METHODS", (("occlusion", "mask"),))
    monkeypatch.setattr(faithfulness, "RESAMPLES", 20)
    words = ["--model", "mini-chest-xray", "--findings", "2", "--workers", "1", "--reports", str(tmp_path)]
    faithfulness.main([*words, "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert text.startswith("by hand\n")
    assert text.endswith("also by hand\n")
    assert "old" not in text
    assert "2 findings" in text
    assert "| `occlusion` | mask |" in text
    assert out.with_suffix(".svg").stat().st_size < 100_000


def test_a_document_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "other.md"
    out.write_text("by hand", encoding="utf-8")
    with pytest.raises(SystemExit, match="needs the lines"):
        faithfulness.main(["--out", str(out)])
    assert out.read_text(encoding="utf-8") == "by hand"

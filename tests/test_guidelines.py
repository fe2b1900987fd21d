"""Guidelines: one for every shipped schema, a section for every label, a version that follows the content."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbertde.guidelines import load_guideline, parse_guideline
from medbertde.schema import ALL_KINDS, load_schema, schema_ids


@pytest.mark.parametrize("schema_id", schema_ids(kinds=ALL_KINDS))
def test_every_label_of_a_shipped_schema_has_its_rules_and_nothing_else_has(schema_id: str) -> None:
    guideline = load_guideline(schema_id)
    assert guideline is not None
    assert set(guideline.sections) == set(load_schema(schema_id).label_ids)
    assert all(len(rules) > 40 for rules in guideline.sections.values())
    assert "Zur Klärung" in guideline.general


def test_the_version_follows_the_content_and_not_the_layout() -> None:
    text = "# T\nRegeln.\n\n## Erguss {#Erguss}\nAuch klein.\n"
    assert parse_guideline(text).version == parse_guideline(text.replace("\n", " \r\n") + "\n\n").version
    assert parse_guideline(text).version != parse_guideline(text.replace("klein", "groß")).version


def test_a_schema_of_ones_own_may_have_no_guideline(tmp_path: Path) -> None:
    assert load_guideline("eigen", tmp_path) is None


def test_a_changed_guideline_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "eigen.md"
    versions = set()
    for rule in ("Eins.", "Zwei."):
        path.write_text(f"# Eigen\n{rule}\n", encoding="utf-8")
        guideline = load_guideline("eigen", tmp_path)
        assert guideline is not None
        assert guideline.general == rule
        versions.add(guideline.version)
    assert len(versions) == 2

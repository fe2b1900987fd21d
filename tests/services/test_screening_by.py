"""Who is asked about a text: the rules, beside them a small model for what is entered, and for files where set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medbertde.privacy.kinds import Dates, Replace
from medbertde.services.access import Access
from medbertde.services.deidentification import Gate
from medbertde.services.screening import Screener, classifier_for, screener_of_files
from medbertde.settings import Settings
from medbertde.store.session import Database
from medbertde.types import User, UserError

LETTER = "Qualtinger lehnt die Untersuchung ab."  # the rules find nothing here


def settings_by(settings: Settings, way: str) -> Settings:
    return replace(settings, deidentification_by=way)


@pytest.mark.parametrize("way", ["rules", "both", "always"])
def test_the_model_is_asked_as_the_setting_says(settings: Settings, way: str) -> None:
    by = settings_by(settings, way)
    assert (classifier_for(by) is None) == (way == "rules")
    assert bool(screener_of_files(by).screen(LETTER).spans) == (way == "always")


def test_what_somebody_enters_is_screened_and_replaced_with_the_model(
    database: Database, access: Access, settings: Settings, anna: User
) -> None:
    texts = {}
    for way in ("rules", "both"):
        by = replace(settings_by(settings, way), deidentification="confirm")
        gate = Gate(database, access, by, Screener(classifier=classifier_for(by)))
        texts[way] = gate.deidentify(anna, LETTER, Dates.ALL, Replace.PLACEHOLDER).text
    assert texts["rules"] == LETTER
    assert texts["both"].count("[") >= 1


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UserError, match="MEDBERTDE_DEIDENTIFICATION_BY is “model”, allowed: rules, both, always"):
        Settings(deidentification_by="model")

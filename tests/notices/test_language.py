"""German or not: other languages and nonsense are told, telegraphic German and the shipped reports pass."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from data.german_words import REPORTS, common_words
from medbertde.notices.language import WORDS_FILE, ends_like_german, is_foreign, letters_only

FOREIGN = """
No evidence of pneumothorax. The heart is normal in size.
Small left pleural effusion, otherwise clear lungs.
There is a new consolidation in the right lower lobe, most likely pneumonia.
Endotracheal tube in good position above the carina.
Stable cardiomegaly without overt edema.
Unchanged appearance of the chest compared with the previous examination.
Multiple pulmonary nodules, suspicious for metastatic disease.
Patient denies chest pain, shortness of breath or fever.
CHEST X-RAY: LUNGS CLEAR. NO ACUTE CARDIOPULMONARY PROCESS.
Old rib fractures on both sides, no acute bony abnormality.
Pas d'épanchement pleural ni de pneumothorax visible.
Opacité du lobe inférieur droit évoquant une pneumopathie infectieuse.
Le cœur est de taille normale, les poumons sont clairs.
Cathéter central en place, extrémité dans la veine cave supérieure.
Fracture de la sixième côte gauche sans déplacement.
Absence d'embolie pulmonaire au scanner thoracique.
Patient hospitalisé pour une toux fébrile depuis trois jours.
Silhouette cardiaque élargie, surcharge vasculaire modérée.
Geen aanwijzingen voor een pneumothorax of pleuravocht.
Het hart is niet vergroot, de longen zijn helder.
Infiltraat in de rechter onderkwab, passend bij een pneumonie.
Kleine hoeveelheid vocht links, verder geen bijzonderheden.
De tip van de lijn ligt in de vena cava superior.
Ten opzichte van het vorige onderzoek is het beeld onveranderd.
Patiënt met hoesten en koorts sinds drie dagen.
Oude ribfracturen aan de linkerzijde, geen verse fractuur zichtbaar.
No se observa derrame pleural ni neumotórax.
Consolidación en el lóbulo inferior derecho compatible con neumonía.
El corazón es de tamaño normal y los pulmones están libres.
Non si osservano versamento pleurico né pneumotorace.
Addensamento del lobo inferiore destro, compatibile con polmonite.
Nie stwierdza się odmy ani płynu w jamach opłucnowych.
Serce prawidłowej wielkości, pola płucne bez zmian ogniskowych.
Akciğerlerde infiltrasyon veya plevral efüzyon izlenmedi.
Ingen pneumothorax eller pleuravätska, hjärtat är normalstort.
Очаговых и инфильтративных изменений в лёгких не выявлено.
لا يوجد انصباب جنبي ولا استرواح صدري.
asdf jklö qwertz uiop yxcv bnm asdfgh
Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.
def main(argv): return int(argv[1]) if argv else None; import sys, os
blubb fnord xyzzy plugh grault waldo
""".strip().splitlines()
GERMAN = """
Hz gr.-normal, kein PE, ZVK reg.
Cor o.B., Sin. frei, kein Inf.
Pulmo: bds. seitengl. VAG
Z.n. TEP re., Mat. intakt
St.p. CABG, LVAD in situ, Pleuradrain. bds.
Hypodense Areale, a. e. emphysematös.
Unauffällig.
V. a. NSCLC, cT2a cN1 cM0, PET-CT?
Uebersicht im Liegen: groessenregredienter Pleuraerguss links, uebrige Lunge unauffaellig.
KEIN PNEUMOTHORAX, KLEINER PLEURAERGUSS LINKS BASAL.
In a.p.-Technik im Liegen. Im Seitbild am Hilus kein Befund.
Ramipril 5 mg 1-0-0, Bisoprolol 2,5 mg 1-0-0.
DLP 245 mGy*cm, CTDIvol 7,2 mGy.
""".strip().splitlines()


def report_texts(pattern: str = "*.jsonl") -> Iterator[str]:
    """The texts of the shipped report files."""
    for path in sorted(REPORTS.glob(pattern)):
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        yield from (row["text"] for row in rows if "text" in row)


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages_and_nonsense_are_told(text: str) -> None:
    assert is_foreign(letters_only(text))


@pytest.mark.parametrize("text", GERMAN)
def test_german_passes_also_in_telegraphic_style(text: str) -> None:
    assert not is_foreign(letters_only(text))


def test_hardly_a_shipped_text_is_taken_for_foreign() -> None:
    told = [is_foreign(letters_only(text)) for text in report_texts()]
    assert sum(told) / len(told) < 0.005


def test_texts_that_the_list_was_not_made_from_pass_too() -> None:
    told = [
        text for pattern in ("test_*", "queue_*") for text in report_texts(pattern) if is_foreign(letters_only(text))
    ]
    assert told == []


def test_the_list_is_the_one_that_the_reports_give() -> None:
    assert WORDS_FILE.read_text(encoding="utf-8").split() == common_words()


def test_an_ending_that_german_does_not_have_is_told() -> None:
    assert [ends_like_german(word) for word in ("Blutungen", "Erguß", "Blutungn")] == [True, True, False]

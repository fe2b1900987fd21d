"""The corpus job: every kind of source in, clean and different documents out, and figures that add up."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medbertde.settings import ROOT
from medbertde.types import InvalidFile, NotFound, TrainingRefused, UserError
from train import corpus
from train.corpus import CorpusConfig, build, main
from train.corpus_duplicates import band_layout, near_duplicates, signatures
from train.corpus_formats import Reading, hub_rows
from train.corpus_sources import parse_source
from train.corpus_statistics import SourceStatistics, table

WORDS = (ROOT / "data" / "lexicon.yaml").read_text(encoding="utf-8").split()
TEXTS = ["Kein Erguss, kein Pneumothorax.", "Herz nicht verbreitert. ZVK rechts jugulär.", "Lungenödem."]


def report(seed: int, words: int = 60) -> str:
    """A text of its own for each seed."""
    rng = random.Random(seed)
    return f"Bericht {' '.join(rng.choice(WORDS) for _ in range(words))}."


def edited(text: str, words: int) -> str:
    """The text with its last `words` words exchanged."""
    return " ".join([*text.split()[:-words], *(f"neu{number}" for number in range(words))])


def kind(name: str, text: str) -> str:
    """The text with a word before each of its words."""
    return " ".join(f"{name} {word}" for word in text.split())


def jsonl(path: Path, texts: Sequence[Any], column: str = "text") -> str:
    path.write_text("".join(json.dumps({column: text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


def run(out: Path, *sources: str, **settings: Any) -> tuple[list[SourceStatistics], list[dict[str, str]]]:
    """Statistics and documents of a run in this process."""
    settings = {"processes": 1, "boilerplate": 0.0, **settings}
    statistics = build(CorpusConfig(list(sources), out, **settings))
    return list(statistics), documents(out)


def documents(out: Path) -> list[dict[str, str]]:
    return [row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def texts_of(rows: list[dict[str, str]]) -> list[str]:
    return [row["text"] for row in rows]


# ---------------------------------------------------------------------------------------------------- formats


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(TEXTS[0], encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for number, text in enumerate(TEXTS):
            archive.writestr(f"letters/{number}.txt", kind("zip", text))
    jsonl(tmp_path / "three.jsonl", [kind("jsonl", text) for text in TEXTS])
    (tmp_path / "four.csv").write_text('id;text\n1;"csv; Kein Erguss\nund kein Pneu."\n', encoding="utf-8-sig")
    pq.write_table(pa.table({"text": [kind("parquet", text) for text in TEXTS]}), tmp_path / "five.parquet")
    names = ("one.txt", "two.zip", "three.jsonl", "four.csv", "five.parquet")
    statistics, rows = run(tmp_path / "out", *(str(tmp_path / name) for name in names))
    assert [found.documents for found in statistics] == [1, 3, 3, 1, 3]
    assert list(dict.fromkeys(row["source"] for row in rows)) == ["one", "two", "three", "four", "five"]
    assert "csv; Kein Erguss\nund kein Pneu." in texts_of(rows)


def test_a_folder_is_one_source_and_a_name_can_be_given(tmp_path: Path) -> None:
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    (tmp_path / ".hidden.txt").write_text("versteckt", encoding="utf-8")
    statistics, rows = run(tmp_path / "out", f"briefe={tmp_path}")
    assert [(found.name, found.documents) for found in statistics] == [("briefe", 3)]
    assert texts_of(rows) == TEXTS


def test_a_data_set_of_the_hub_library_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    jsonl(folder / "train.jsonl", TEXTS)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert [text for _, text in hub_rows(str(folder), "train", Reading())] == TEXTS
    with pytest.raises(InvalidFile, match="no column “body”"):
        list(hub_rows(str(folder), "train", Reading(column="body")))
    with pytest.raises(NotFound, match="split test"):
        list(hub_rows(str(folder), "test", Reading()))


def test_a_hub_id_may_name_a_split() -> None:
    source = parse_source("wiki=owner/data-set:validation")
    assert (source.name, source.hub_id, source.split) == ("wiki", "owner/data-set", "validation")


@pytest.mark.parametrize(("txt", "expected"), [("file", 1), ("paragraph", 2), ("line", 3)])
def test_a_text_file_is_divided_as_asked(tmp_path: Path, txt: str, expected: int) -> None:
    path = tmp_path / "buch.txt"
    path.write_text("Kein Erguss.\nKein Pneu.\n\n\nHerz normal.\n", encoding="utf-8")
    (found,), _ = run(tmp_path / "out", str(path), txt=txt)
    assert found.documents == expected


def test_another_column_and_jsonl_output(tmp_path: Path) -> None:
    run(tmp_path / "out", jsonl(tmp_path / "a.jsonl", TEXTS, column="body"), text_column="body", format="jsonl")
    lines = (tmp_path / "out" / "part-00000.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"text": text, "source": "a"} for text in TEXTS]


# --------------------------------------------------------------------------------------------------- cleaning


def test_text_comes_out_in_nfc_and_with_plain_line_ends(tmp_path: Path) -> None:
    _, rows = run(tmp_path / "out", jsonl(tmp_path / "a.jsonl", ["Lungeno\u0308dem.\r\nKein Pneu.\u200b "]))
    assert texts_of(rows) == ["Lungenödem.\nKein Pneu."]


def test_lines_that_many_documents_share_at_their_edges_are_cut(tmp_path: Path) -> None:
    pages = [
        f"Klinikum am Berg\nBefund vom {10 + seed}.03.2024\nBeurteilung:\n{report(seed)}\nSeite 1 von 2\n"
        f"Klinikum am Berg\n{report(100 + seed)}\nMit freundlichen Grüßen\nDr. {'ABCDEFGHIJKL'[seed]}uber"
        for seed in range(12)
    ]
    (found,), rows = run(tmp_path / "out", jsonl(tmp_path / "a.jsonl", pages), boilerplate=0.5)
    assert texts_of(rows) == [f"Beurteilung:\n{report(seed)}\n{report(100 + seed)}" for seed in range(12)]
    lines = ["befund vom 00.00.0000", "dr. name", "klinikum am berg", "mit freundlichen grüßen"]
    assert found.boilerplate == dict.fromkeys(lines, 12)


def test_a_line_of_few_documents_or_of_another_source_stays(tmp_path: Path) -> None:
    pages = [f"Klinikum am Berg\n{report(seed)}" for seed in range(12)]
    first, second = jsonl(tmp_path / "a.jsonl", pages), jsonl(tmp_path / "b.jsonl", ["Klinikum am Berg\nKein Erguss."])
    _, rows = run(tmp_path / "out", first, second, boilerplate=0.5)
    assert [text.startswith("Klinikum") for text in texts_of(rows)] == [False] * 12 + [True]


def test_names_are_masked_unless_they_shall_stay(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", ["Frau Dr. Anna Huber dankt Herrn Maier."])
    (found,), rows = run(tmp_path / "out", source)
    assert texts_of(rows) == ["Frau Dr. NAME dankt Herrn NAME."]
    assert found.names == 2
    assert texts_of(run(tmp_path / "named", source, keep_names=True)[1]) == ["Frau Dr. Anna Huber dankt Herrn Maier."]


def test_sentences_can_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", ["Z. n. ZVK-Anlage re. Kein Pneu. V. a. Infiltrat bds. basal."])
    (found,), rows = run(tmp_path / "out", source, sentence_lines=True)
    assert texts_of(rows) == ["Z. n. ZVK-Anlage re.\nKein Pneu.\nV. a. Infiltrat bds. basal."]
    assert (found.sentences, found.words) == (3, 11)


# ------------------------------------------------------------------------------------------------- duplicates


def test_copies_go_within_and_across_sources_and_the_first_source_keeps_its_text(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", [report(1), report(2), report(1).replace(" ", "\n"), edited(report(2), 3)])
    second = jsonl(tmp_path / "b.jsonl", [report(3), edited(report(1), 2), report(2), edited(report(3), 30)])
    statistics, rows = run(tmp_path / "out", first, second)
    assert texts_of(rows) == [report(1), report(2), report(3), edited(report(3), 30)]
    assert [(found.exact, found.near, found.documents) for found in statistics] == [(1, 1, 2), (1, 1, 2)]
    _, turned = run(tmp_path / "turned", second, first)
    assert texts_of(turned) == [report(3), edited(report(1), 2), report(2), edited(report(3), 30)]


def test_a_higher_threshold_keeps_more(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [report(1), edited(report(1), 4)])
    assert [run(tmp_path / str(value), source, threshold=value)[0][0].near for value in (0.7, 0.98)] == [1, 0]


def test_short_texts_that_differ_in_one_word_both_stay(tmp_path: Path) -> None:
    texts = [
        "Kein Erguss.",
        "Kein Pneu.",
        "–",
        "…",
        "Kein Erguss rechts nachweisbar.",
        "Kein Erguss links nachweisbar.",
    ]
    assert texts_of(run(tmp_path / "out", jsonl(tmp_path / "a.jsonl", texts))[1]) == texts


def test_a_chain_of_small_changes_is_not_followed() -> None:
    texts = [report(1)]
    for _ in range(6):
        texts.append(" ".join(["anders", *texts[-1].split()[5:], *(f"w{len(texts)}{place}" for place in range(4))]))
    signed = signatures(texts, 3, 42)
    removed = near_duplicates(signed, signed[:, 0] >= 0, 0.72)
    assert removed.tolist()[:2] == [False, True]
    assert 2 <= (~removed).sum() < len(texts)


@pytest.mark.parametrize("threshold", [0.5, 0.72, 0.9, 1.0])
def test_bands_bring_pairs_at_the_threshold_together(threshold: float) -> None:
    bands, rows = band_layout(threshold)
    assert bands * rows <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.95


# ----------------------------------------------------------------------------------- figures and reproducibility


def test_figures_add_up_and_stand_in_the_folder(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", [report(1), report(1), "", edited(report(1), 2), *map(report, range(2, 40))])
    statistics, rows = run(tmp_path / "out", first, jsonl(tmp_path / "b.jsonl", [report(5), report(99)]))
    for found in statistics:
        assert found.read == found.skipped.total() + found.exact + found.near + found.documents
        own = [row["text"] for row in rows if row["source"] == found.name]
        assert found.documents == len(own)
        assert found.words == sum(len(text.split()) for text in own)
        assert found.bytes == sum(len(text.encode()) for text in own)
    stored = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert [source["documents"] for source in stored["sources"]] == [39, 1]
    assert stored["settings"]["threshold"] == 0.72
    assert table(statistics).splitlines()[-1].startswith("| sum | 40 | ")
    assert "| 42 | 1 | 1 (2.4%) | 1 (2.4%) |" in table(statistics)


def test_the_result_is_the_same_with_one_and_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.corpus_sources.BATCH_ROWS", 20)
    pages = [f"Klinikum am Berg\n{report(seed // 2)}\nDr. Huber" for seed in range(90)]
    sources = jsonl(tmp_path / "a.jsonl", pages), jsonl(tmp_path / "b.jsonl", [edited(report(1), 1), report(2)])
    for processes in (1, 2):
        run(tmp_path / str(processes), *sources, boilerplate=0.2, processes=processes)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "12")
    assert one == two
    assert len(documents(tmp_path / "1")) == 45


# ----------------------------------------------------------------------------------------------- interruptions


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    source = jsonl(tmp_path / "a.jsonl", TEXTS)
    monkeypatch.setattr(corpus, "near_duplicates", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "results" / "out", source)
    assert list((tmp_path / "results").iterdir()) == []


def test_a_job_that_the_batch_system_ends_leaves_nothing(tmp_path: Path) -> None:
    text = report(1, words=300)
    source = jsonl(tmp_path / "many.jsonl", [f"{number} {text}" for number in range(10_000)])
    out = tmp_path / "results" / "out"
    command = [sys.executable, "-m", "train.corpus", source, "--out", str(out), "--processes", "1"]
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("results/.out.partial-*/part-*")) and job.poll() is None:
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 143
    assert list((tmp_path / "results").iterdir()) == []


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("alt")
    with pytest.raises(TrainingRefused, match="already there"):
        run(tmp_path / "out", jsonl(tmp_path / "a.jsonl", TEXTS))
    assert (tmp_path / "out" / "kept.txt").read_text() == "alt"


# -------------------------------------------------------------------------------------------------- bad input


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("leer.txt", b"", "holds no text"),
        ("leer.jsonl", b"\n", "holds no text"),
        ("nul.txt", b"Kein\0 Pneu.", "null byte"),
        ("latin.txt", "Lungenödem".encode("latin-1"), "not UTF-8"),
        ("latin.csv", "text\nLungenödem\n".encode("latin-1"), "not UTF-8"),
        ("nul.csv", b"text\nKein\0 Pneu.\n", "null byte"),
        ("quote.csv", b'text\n"Kein Pneu.\n', "quote is not closed"),
        ("column.csv", b"id,body\n1,Kein Pneu.\n", "no column “text” in .*Found: id, body"),
        ("column.jsonl", b'{"body": "Kein Pneu."}\n', "1× no text in the column"),
        ("list.jsonl", b"[1]\n{broken\n", "2× not a JSON object"),
        ("broken.parquet", b"PAR1", "not a readable Parquet file"),
        ("broken.zip", b"PK", "not a ZIP archive"),
        ("report.docx", b"PK", "not read. Possible are .txt"),
    ],
)
def test_a_bad_file_gets_a_clear_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    with pytest.raises(InvalidFile, match=sentence):
        run(tmp_path / "results" / "out", str(write(tmp_path / name, data)))
    assert {path.name for path in tmp_path.rglob("*")} <= {name, "results"}


def archive(path: Path, *, method: int | None = None, cut: bool = False) -> Path:
    """An archive of one text: said to be packed by another method, or with its content cut off."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", " ".join(TEXTS))
    data = bytearray(path.read_bytes())
    if cut:
        start = 30 + len("a.txt")
        data[start : start + 4] = b"\xff\xff\xff\xff"
    if method is not None:
        listed = data.index(b"PK\x01\x02")
        data[8], data[listed + 10] = method, method
    return write(path, bytes(data))


def test_an_archive_packed_otherwise_or_damaged_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="packed by a method that is not read"):
        run(tmp_path / "out", str(archive(tmp_path / "deflate64.zip", method=9)))
    with pytest.raises(InvalidFile, match="is damaged"):
        run(tmp_path / "out", str(archive(tmp_path / "kaputt.zip", cut=True)))


@pytest.mark.parametrize("place", ["fehlt.jsonl", "no such place", "a/b/c"])
def test_a_missing_source_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(NotFound, match=place):
        run(tmp_path / "out", place)


def test_a_parquet_column_without_text_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(InvalidFile, match="holds int64 and no text"):
        run(tmp_path / "out", str(tmp_path / "a.parquet"))


def test_an_empty_folder_and_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "nichts").mkdir()
    with pytest.raises(InvalidFile, match="holds no file of the kinds"):
        run(tmp_path / "out", str(tmp_path / "nichts"))
    source = jsonl(tmp_path / "a.jsonl", TEXTS)
    with pytest.raises(InvalidFile, match="Two sources are called “a”"):
        run(tmp_path / "out", source, source)


def test_a_few_bad_rows_are_counted_and_many_are_refused(tmp_path: Path) -> None:
    rows: list[Any] = [*(report(seed) for seed in range(37)), "Kein\0 Pneu.", None, " "]
    source = jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(InvalidFile, match="Of the 40 documents of the source a, 2 cannot be read"):
        run(tmp_path / "strict", source, max_skipped=0.04)
    (found,), _ = run(tmp_path / "out", source)
    assert found.skipped == {"not UTF-8, or with a null byte": 1, "no text in the column": 1, "empty": 1}


def test_a_document_that_is_too_long_is_skipped(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [report(1), "lang " * 2000])
    (found,), _ = run(tmp_path / "out", source, max_chars=5000, max_skipped=0.5)
    assert found.skipped == {"too long": 1}


def test_other_files_in_an_archive_are_counted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "Kein Erguss.")
        archive.writestr("a.pdf", b"%PDF")
    (found,), _ = run(tmp_path / "out", str(tmp_path / "a.zip"), max_skipped=0.5)
    assert found.skipped == {"not a .txt file": 1}


@pytest.mark.parametrize(("name", "value"), [("threshold", 0), ("boilerplate", 2), ("processes", 0), ("shingle", 0)])
def test_an_impossible_setting_is_named(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(TrainingRefused, match=f"--{name} {value}"):
        run(tmp_path / "out", jsonl(tmp_path / "a.jsonl", TEXTS), **{name: value})


def test_every_sentence_is_there_in_german(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path / "out", str(write(tmp_path / "column.csv", b"id,body\n1,Kein Pneu.\n")))
    assert "keine Spalte „text“" in caught.value.de


# ----------------------------------------------------------------------------------------------- command line


def test_the_command_prints_the_table_and_what_it_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    source = jsonl(tmp_path / "a.jsonl", [*TEXTS, ""])
    monkeypatch.setattr(sys, "argv", ["corpus", source, "--out", str(tmp_path / "out"), "--processes", "1"])
    main()
    signal.signal(signal.SIGTERM, before)
    printed = capsys.readouterr().out
    assert printed.startswith("| source | documents | sentences | words | MB |")
    assert "a: 1 skipped, empty" in printed


def test_the_command_ends_with_the_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["corpus", "fehlt.csv", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"There is no file fehlt\.csv"):
        main()
    signal.signal(signal.SIGTERM, before)

"""How long an annotator waits: from the key to the next text on the screen, and to the server's yes, in a real browser.

    python -m tests.bench_annotate --reports 200

Full stack: the page with permissions, leases, validation and the shipped model's suggestions, over a SQLite file in a
temporary folder. Per report a finding is set by keyboard, then Enter is pressed; the page itself takes the times, so
that the remote control is not measured. `key → next text` ends with the frame after the text has changed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from medbertde.report_file import read_records
from medbertde.services import EMBEDDED, Services
from medbertde.services.access import Caller
from medbertde.settings import ROOT
from tests.launch import CHROMIUM, FLAGS, XRAY, launched

REPORTS = ROOT / "data" / "reports" / "queue_chest_xray.jsonl"
OUT = ROOT / "build" / "bench_annotate.json"
# Notes the time of each Enter, of the frame after the next text, and of the moment the status says "saved" again.
WATCH = """() => {
    const text = document.querySelector('.ma-text'), status = document.querySelector('.ma-status');
    window.bench = { next: [], saved: [] };
    let pressed = 0, waiting = false, sent = 0;
    addEventListener('keydown', (event) => {
        if (event.key === 'Enter') { pressed = sent = event.timeStamp; waiting = true; }
    }, true);
    new MutationObserver(() => {
        if (!waiting) return;
        waiting = false;
        requestAnimationFrame(() => bench.next.push(performance.now() - pressed));
    }).observe(text, { childList: true });
    new MutationObserver(() => {
        if (!sent || status.textContent !== 'Gespeichert') return;
        bench.saved.push(performance.now() - sent);
        sent = 0;
    }).observe(status, { childList: true, characterData: true, subtree: true });
}"""


def bring(services: Services, count: int) -> None:
    """Import so many different reports."""
    texts = [record.text for record in read_records(REPORTS)]
    lines = [
        json.dumps({"text": f"{texts[number % len(texts)]} Nr. {number}.", "modality": "xray"})
        for number in range(count)
    ]
    user = services.access.identify(Caller(None, None))
    services.annotate.import_reports(user, XRAY, "bench.jsonl", "\n".join(lines).encode())


def label(page: Page, count: int) -> dict[str, list[float]]:
    """Label so many reports and return the times in ms. The first few fill caches and do not count."""
    page.evaluate(WATCH)
    for number in range(count):
        page.wait_for_selector(".ma-save:not([data-fresh])")
        page.keyboard.press("e")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.wait_for_function("(n) => bench.next.length > n && bench.saved.length > n", arg=number)
    times: dict[str, list[float]] = page.evaluate("bench")
    return times


def measure(reports: int) -> dict[str, list[float]]:
    """The times of one annotator through `reports` reports."""
    with (
        tempfile.TemporaryDirectory() as folder,
        launched(Path(folder), EMBEDDED, deidentification="off") as (services, url),
        sync_playwright() as pw,
    ):
        bring(services, reports + 10)
        browser = pw.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.get_by_role("tab", name="Annotation").click()
        page.wait_for_selector(".ma-text:visible")
        times = label(page, reports)
        browser.close()
    return {"key → next text": times["next"][5:], "key → saved": times["saved"][5:]}


def main() -> None:
    """Print a table and store it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reports", type=int, default=200, help="how many reports to label")
    figures = {}
    print(f"{'':18}{'n':>6}{'p50, ms':>10}{'p95, ms':>10}{'p99, ms':>10}")
    for name, times in measure(parser.parse_args().reports).items():
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        figures[name] = {"n": len(times), "p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}
        print(f"{name:18}{len(times):6}{cuts[49]:10.1f}{cuts[94]:10.1f}{cuts[98]:10.1f}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

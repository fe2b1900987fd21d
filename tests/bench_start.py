"""How long from `python app.py` to the first answer, and what it is spent on: `python -m tests.bench_start`.

Not a test. A process of its own does what `app.py` does and says when each part was done; then the server is asked,
as a browser does, until it is ready, and for the classification of one report. The first start has an empty folder (a
new database), the others find what the first one left. Files are in the system's cache after the first one.
"""

from __future__ import annotations

import argparse
import http.client
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import torch
from gradio_client import Client

from medbertde.report_file import read_records
from medbertde.settings import ROOT
from tests.bench_runtime import row
from tests.launch import free_port

REPORT = ROOT / "data" / "reports" / "test_chest_xray.jsonl"
AS_APP = """
import sys, time
def done(part):
    print(part, time.time(), flush=True)
done("the interpreter")
from medbertde.services import open_services
from medbertde.settings import load_settings
done("importing what computes")
from medbertde.ui.layout import build_page
from medbertde.ui.server import launch
done("importing the page")
services = open_services(load_settings())
services.access.accept_terms(services.access.operator())
done("database and models")
demo = build_page(services)
done("building the page")
launch(demo, services)
"""
PARTS = 5


@contextmanager
def started(folder: Path, port: int) -> Iterator[tuple[float, list[tuple[str, float]]]]:
    """The app as a process, from when its page is built: when it was started, and when each part was done."""
    environment = os.environ | {
        "MEDBERTDE_VAR": str(folder),
        "MEDBERTDE_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "0",
    }
    begun = time.time()
    with subprocess.Popen(
        [sys.executable, "-c", AS_APP],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        try:
            said = [process.stdout.readline().rsplit(" ", 1) for _ in range(PARTS)]
            yield begun, [(part, float(moment)) for part, moment in said]
        finally:
            process.terminate()


def wait_until_ready(port: int) -> None:
    """Until the server says that all its models answer."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with suppress(OSError):
            connection.request("GET", "/ready")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        connection.close()
        time.sleep(0.02)


def first_answer(port: int, text: str) -> None:
    """Classify one report through the public API, which is read first."""
    client = Client(f"http://127.0.0.1:{port}", verbose=False)
    assert client.predict(text, api_name="/classify")["scores"]
    client.close()


def measure(folder: Path, text: str) -> dict[str, float]:
    """Seconds of each part, and of all."""
    port = free_port()
    with started(folder, port) as (begun, parts):
        wait_until_ready(port)
        moments = [("", begun), *parts, ("until the server is ready", time.time())]
        first_answer(port, text)
        moments.append(("the first answer", time.time()))
    taken = {name: at - before for (_, before), (name, at) in pairwise(moments)}
    return {**taken, "**all**": moments[-1][1] - begun}


def main() -> None:
    """Print a table: parts by starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3)
    args = parser.parse_args()
    text = max((record.text for record in read_records(REPORT)), key=len)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, load {load}\n")
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(Path(folder), text) for _ in range(args.starts)]
    row("seconds", "first start", *[f"start {number}" for number in range(2, args.starts + 1)])
    row(*["---"] * (args.starts + 1))
    for part in found[0]:
        row(part, *[one[part] for one in found])


if __name__ == "__main__":
    main()

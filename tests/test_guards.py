"""Two guards: the import arrows of the design hold, and everything that the README names exists.

Imports are read with `ast`, also those inside functions and under `TYPE_CHECKING`. What the README must look like for
the second guard: settings and tabs as tables, commands in fenced blocks, one path per pair of backticks.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import yaml
from anyio.from_thread import start_blocking_portal
from gradio import Blocks, Tab

from medbertde import terms
from medbertde.__main__ import parser as command_line
from medbertde.inference.catalogue import CATALOGUE
from medbertde.services import open_services
from medbertde.settings import PREFIX, ROOT, Settings
from medbertde.ui import layout

# ------------------------------------------------------------------------------------------------ arrows

ARROWS = {
    "app": {"ui", "services", "core"},
    "ui": {"services", "core"},
    "main": {"services", "privacy", "api", "core"},
    "services": {"inference", "store", "privacy", "core"},
    "api": {"inference", "privacy"},
    "train": {"inference", "privacy", "core"},
    "privacy": {"core"},
    "inference": {"notices", "core"},
    "notices": {"privacy", "core"},
    "store": {"core"},
    "data": {"notices", "core"},
    "core": set(),
}
OPTIONAL = {"onnxruntime"}  # asked for when it is needed (`medbertde export-model --onnx`); pinned for the tests
BUNDLED = {"huggingface_hub", "tqdm", "anyio", "fastapi", "starlette", "uvicorn"}  # come with transformers and gradio
LIBRARIES = {
    "gradio": {"ui", "app"},
    "anyio": {"ui"},
    "fastapi": {"ui"},
    "starlette": {"ui"},
    "uvicorn": {"ui"},
    "httptools": set(),  # taken by uvicorn where they are installed, with uvloop
    "uvloop": set(),
    "prometheus_client": {"ui"},
    "argon2": {"services"},
    "pandas": {"ui"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "psycopg": {"store"},
    "pysqlite3": {"store"},
    "psutil": {"services", "store", "inference"},
    "sentencepiece": set(),  # read by transformers, with protobuf: tokenizers that are only a `*.model` file
    "protobuf": set(),
    "torch": {"inference", "train"},
    "transformers": {"inference", "train"},
    "tokenizers": {"inference", "train"},
    "safetensors": {"inference", "train"},
    "accelerate": {"inference", "train"},
    "captum": {"inference", "train"},
    "huggingface_hub": {"inference"},
    "onnxruntime": {"inference"},
    "tqdm": {"main"},
    "peft": {"train"},
    "optuna": {"train"},
    "matplotlib": {"train"},
    "sklearn": {"train"},
    "scipy": {"train"},
    "cleanlab": {"train"},
    "datasets": {"train"},
    "pyarrow": {"services", "train"},
    "openpyxl": {"services"},
    "rensa": {"train"},
    "numpy": {"core", "services", "train"},
    "yaml": {"core", "services", "train"},
}
MODULES_FOR_TRAINING = {
    f"medbertde.inference.{name}"
    for name in ("catalogue", "checkpoint", "checkpoint_labels", "facts", "identify", "tokens")
}
# These jobs judge a model through the public Python API, as users meet it.
MEASURING = {"train.cloze", "train.faithfulness", "train.quality"}
SOURCES = [ROOT / "app.py", *(path for top in ("medbertde", "train", "data") for path in (ROOT / top).rglob("*.py"))]


def layer(module: str) -> str | None:
    """The layer of one of our modules, None for a library.

    >>> layer("medbertde.store.labels"), layer("medbertde.text"), layer("torch.nn")
    ('store', 'core', None)
    """
    top, *rest = module.split(".")
    if top != "medbertde":
        return top if top in ("app", "train", "data") else None
    special = {"": "api", "__main__": "main", "commands": "main"}
    name = rest[0] if rest else ""
    return special.get(name, name if name in ARROWS else "core")


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports; ``from a import b`` gives ``a.b`` where that is a module of ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                file = ROOT / module.replace(".", "/")
                yield module if file.with_suffix(".py").exists() or file.is_dir() else str(node.module)


def source_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", SOURCES, ids=source_name)
def test_imports_follow_the_arrows(path: Path) -> None:
    own = layer(source_name(path))
    assert own
    for module in imports(path):
        imported, top = layer(module), module.split(".")[0]
        if imported:
            allowed = ARROWS[own] | ({"api"} if source_name(path) in MEASURING else set())
            assert imported == own or imported in allowed, f"{own} must not import {module}"
        elif top not in sys.stdlib_module_names:
            assert own in LIBRARIES.get(top, set()), f"{own} must not import {top}"
        if own == "train" and imported == "inference":
            assert module in MODULES_FOR_TRAINING, f"training must not import {module}"


def test_the_libraries_are_the_pinned_ones() -> None:
    packages = {"yaml": "pyyaml", "sklearn": "scikit-learn", "psycopg": "psycopg[binary]"}
    packages |= {"argon2": "argon2-cffi", "prometheus_client": "prometheus-client"}
    assert {packages.get(name, name) for name in LIBRARIES.keys() - BUNDLED - OPTIONAL} == {
        line.split("==")[0] for line in requirements()
    }


def requirements() -> list[str]:
    """The pins of `requirements.txt`."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# ------------------------------------------------------------------------------------------------ documentation

MADE_AT_RUN_TIME = {"var/", "/data"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocks]:
    """The page, over services without a model."""
    services = open_services(Settings(var=tmp_path_factory.mktemp("var")), shipped={})

    async def build() -> Blocks:  # outside of a running event loop Gradio makes some of its own and leaves them open
        return layout.build_page(services)

    with start_blocking_portal() as portal:
        yield portal.call(build)
    services.database.close()


@cache
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    """The contents of the fenced blocks."""
    return re.findall(r"^```\w*\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)


def inline() -> set[str]:
    """What stands in backticks outside of fenced blocks."""
    prose = re.sub(r"^```.*?^```", "", readme(), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", prose))


def table_rows(header: str) -> list[list[str]]:
    """The cells of the table whose header row begins with `header`."""
    found = re.search(rf"^\| {header} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", readme(), re.MULTILINE)
    assert found, f"no table that begins with | {header} |"
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in found.group(1).splitlines()]


def commands(program: str) -> list[list[str]]:
    """The words after `program` in each command line of the fenced blocks, comments cut."""
    lines = [line.partition("#")[0] for block in blocks() for line in block.splitlines()]
    return [line.split(program, 1)[1].split() for line in lines if program in line]


def test_the_readme_lists_exactly_the_settings_there_are_with_their_defaults() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in table_rows("variable")}
    assert list(documented) == [PREFIX + item.name.upper() for item in fields(Settings)]
    for item in fields(Settings):
        if item.default not in ("", ...) and isinstance(item.default, str | int):
            assert documented[PREFIX + item.name.upper()] == str(item.default)


def test_no_other_setting_is_named_in_the_readme() -> None:
    known = {PREFIX + item.name.upper() for item in fields(Settings)}
    assert set(re.findall(rf"\b{PREFIX}\w+", readme())) <= known


def test_every_path_in_the_readme_exists() -> None:
    hub_ids = {entry.hub_id for entry in CATALOGUE}
    paths = {text for text in inline() if re.fullmatch(r"[\w.*-]+/[\w./*-]*", text)} - hub_ids - MADE_AT_RUN_TIME
    links = {link for link in re.findall(r"\]\(([^)]+)\)", readme()) if "://" not in link and not link.startswith("#")}
    assert not {path for path in paths | links if not any(ROOT.glob(path.rstrip("/")))}


def test_the_tree_in_the_readme_is_the_one_on_disk() -> None:
    (tree,) = [block for block in blocks() if block.startswith("app.py ")]
    folder = ""
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        path = f"{folder}{name}" if indent else name
        folder = folder if indent else name
        assert (ROOT / path).exists(), path


def test_the_readme_names_the_tabs_of_the_page_in_their_order(page: Blocks) -> None:
    tabs = [tab.label for tab in page.blocks.values() if isinstance(tab, Tab) and tab.parent.elem_id == "mb-tabs"]  # type: ignore[union-attr]
    assert [row[0].strip("*") for row in table_rows("tab")] == tabs


def test_the_endpoints_in_the_readme_are_the_public_ones(page: Blocks) -> None:
    named = {text for text in inline() if re.fullmatch(r"/\w+", text)} - MADE_AT_RUN_TIME
    assert named == set(page.get_api_info()["named_endpoints"])


def test_the_commands_in_the_readme_are_the_ones_there_are() -> None:
    parser = command_line()
    (subcommands,) = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    named = commands("python -m medbertde ")
    assert {words[0] for words in named} == set(subcommands)
    for name, *words in named:
        subcommands[name].parse_args(words)  # ends the test when an option is not there


def test_the_jobs_and_targets_in_the_readme_exist() -> None:
    for top in ("train", "data"):
        for words in commands(f"python -m {top}."):
            assert (ROOT / top / f"{words[0]}.py").is_file()
            source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / top).glob(f"{words[0]}*.py"))
            assert all(f'"{word}"' in source for word in words if word.startswith("--"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for text in {*inline(), *(line for block in blocks() for line in block.splitlines())}:
        for target in re.findall(r"\bmake (\w+)", text):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_space_runs_the_version_that_is_tested() -> None:
    head = yaml.safe_load(readme().split("---\n")[1])
    assert f"gradio=={head['sdk_version']}" in requirements()
    assert head["sdk"] == "gradio"
    assert (ROOT / head["app_file"]).is_file()
    assert len(head["short_description"]) <= 60, "the Hub refuses a longer one"


def test_page_and_command_line_show_the_same_terms() -> None:
    assert (layout.TERMS.de, layout.TERMS.en) == (terms.DE, terms.EN)

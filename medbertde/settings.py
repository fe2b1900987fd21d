"""Settings of the app, read once from `MEDBERTDE_*` environment variables.

Core: no third-party library. The README's settings table lists exactly these (a test compares).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from medbertde.types import UserError
from medbertde.user_names import RULE_DE, RULE_EN, is_free_to_choose

ROOT = Path(__file__).parent.parent
PREFIX = "MEDBERTDE_"
_YEAR_HOURS = 366 * 24  # what lasts longer than a year was mistyped, and time would run over
_YEAR_MINUTES = _YEAR_HOURS * 60


def _default_var() -> Path:
    """The folder for what the app writes: the Space's persistent disk where there is one, else `var/` in the repo."""
    return Path("/data") if os.environ.get("SPACE_ID") and os.access("/data", os.W_OK) else ROOT / "var"


def _default_host() -> str:
    """Only this machine; on a Space the container's proxy has to reach the server."""
    return "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"


class Profile(StrEnum):
    """Where the app runs, which decides who has to sign in and what a browser is told."""

    LOCAL = "local"  # one user without a password on their own machine
    SERVER = "server"  # accounts, for instance in the network of a hospital
    SPACE = "space"  # visitors of a Hugging Face Space


class Policy(StrEnum):
    """What happens to a text that may show who a person is, before a model reads it or it is stored."""

    OFF = "off"  # it is not looked at
    WARN = "warn"  # it is said
    CONFIRM = "confirm"  # not without replacing what was found, or saying that it is to stay
    REFUSE = "refuse"  # not without replacing what was found


@dataclass(frozen=True)
class Settings:
    """One value per setting; `database_url` is derived from `var` when it is not given."""

    host: str = field(default_factory=_default_host, metadata={"help": "address the server listens on"})
    port: int = field(default=7860, metadata={"help": "port of the server"})
    var: Path = field(default_factory=_default_var, metadata={"help": "folder for database, runs and models"})
    database_url: str = field(default="", metadata={"help": "database; default: a SQLite file in the var folder"})
    language: str = field(default="de", metadata={"help": "language of the page at first: de or en"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or mps"})
    precision: str = field(default="auto", metadata={"help": "auto, fp32 or bf16; auto: fast and close to fp32"})
    threads: int = field(default=0, metadata={"help": "CPU threads of the model; 0: all cores"})
    max_chars: int = field(default=20_000, metadata={"help": "longest report in characters"})
    max_upload_mb: int = field(default=50, metadata={"help": "largest upload in MB"})
    max_import_rows: int = field(default=200_000, metadata={"help": "most reports in one import"})
    lease_minutes: int = field(default=15, metadata={"help": "how long a report stays with one annotator"})
    annotator: str = field(default="lokal", metadata={"help": "name of the one local user"})
    profile: str = field(default="auto", metadata={"help": "auto, local, server or space"})
    hosts: str = field(default="", metadata={"help": "names the server may be called by, separated by commas"})
    proxies: str = field(default="127.0.0.1", metadata={"help": "reverse proxies whose forwarded addresses count"})
    session_idle_minutes: int = field(default=60, metadata={"help": "a session ends after so long without a request"})
    session_hours: int = field(default=12, metadata={"help": "a session ends after so long in any case"})
    max_queue: int = field(default=100, metadata={"help": "most questions that wait for an answer"})
    metrics_token: str = field(default="", metadata={"help": "bearer token that may read /metrics"})
    deidentification: str = field(
        default="auto", metadata={"help": "auto, off, warn, confirm or refuse names in texts"}
    )
    deidentification_dates: str = field(default="birth", metadata={"help": "dates that count: birth, all or shift"})
    deidentification_by: str = field(
        default="both", metadata={"help": "rules, both (with a model), or always (files too)"}
    )

    def __post_init__(self) -> None:
        """Derive the database address and refuse values that cannot work."""
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.var.resolve() / 'medbertde.sqlite'}")
        _require("language", self.language, self.language in ("de", "en"), "de, en")
        _require("device", self.device, self.device in ("auto", "cpu", "cuda", "mps"), "auto, cpu, cuda, mps")
        _require("precision", self.precision, self.precision in ("auto", "fp32", "bf16"), "auto, fp32, bf16")
        _require("port", self.port, 0 <= self.port <= 65_535, "0 … 65535")
        _require("threads", self.threads, self.threads >= 0, "≥ 0")
        _require("profile", self.profile, self.profile in ("auto", *Profile), "auto, local, server, space")
        policies, dates = ("auto", *Policy), ("birth", "all", "shift")
        _require("deidentification", self.deidentification, self.deidentification in policies, ", ".join(policies))
        _require(
            "deidentification_dates",
            self.deidentification_dates,
            self.deidentification_dates in dates,
            ", ".join(dates),
        )
        ways = ("rules", "both", "always")
        _require("deidentification_by", self.deidentification_by, self.deidentification_by in ways, ", ".join(ways))
        for name in ("max_chars", "max_upload_mb", "max_import_rows", "max_queue"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "> 0")
        if not is_free_to_choose(self.annotator):
            found = self.annotator[:40]
            raise UserError(
                f"Die Einstellung {PREFIX}ANNOTATOR ist „{found}“. {RULE_DE}",
                f"The setting {PREFIX}ANNOTATOR is “{found}”. {RULE_EN}",
            )
        longest = {"lease_minutes": _YEAR_MINUTES, "session_idle_minutes": _YEAR_MINUTES, "session_hours": _YEAR_HOURS}
        for name, most in longest.items():
            _require(name, getattr(self, name), 1 <= getattr(self, name) <= most, f"1 … {most}")

    @property
    def served_as(self) -> Profile:
        """The profile, found out where it is left to us: a Space, this machine only, or an address others can reach."""
        if self.profile != "auto":
            return Profile(self.profile)
        if os.environ.get("SPACE_ID"):
            return Profile.SPACE
        return Profile.LOCAL if self.is_loopback else Profile.SERVER

    @property
    def reading_policy(self) -> Policy:
        """How texts are gated before a model reads them; a model on the user's own machine discloses nothing."""
        if self.deidentification != "auto":
            return Policy(self.deidentification)
        return Policy.WARN if self.served_as is Profile.LOCAL else Policy.CONFIRM

    @property
    def storing_policy(self) -> Policy:
        """How texts are gated before they are stored."""
        return Policy.CONFIRM if self.deidentification == "auto" else Policy(self.deidentification)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the address the server listens on."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def uploads(self) -> Path:
        """The folder of the files that browsers bring and fetch."""
        return self.var / "uploads"

    @property
    def runs(self) -> Path:
        """The folder of the training runs."""
        return self.var / "runs"


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `environ`; `UserError` names the variable, what was expected and what was found.

    A plain `PORT` is honoured too when `MEDBERTDE_PORT` is not set, as hosting platforms set it.
    """
    known = {PREFIX + item.name.upper(): item for item in fields(Settings)}
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in known]
    if unknown:
        raise UserError(
            f"Unbekannte Einstellung {', '.join(unknown)}. Bekannt sind: {', '.join(known)}.",
            f"Unknown setting {', '.join(unknown)}. Known are: {', '.join(known)}.",
        )
    values: dict[str, object] = {}
    if environ.get("PORT"):
        values["port"] = _convert("PORT", environ["PORT"], "int")
    for name, item in known.items():
        if environ.get(name):
            values[item.name] = _convert(name, environ[name], str(item.type))
    return Settings(**values)  # type: ignore[arg-type]  # names and types come from the dataclass itself


def _convert(name: str, value: str, kind: str) -> object:
    if kind == "Path":
        return Path(os.path.expanduser(value))  # unlike Path.expanduser it leaves an unknown "~user" as it is
    if kind != "int":
        return value
    try:
        return int(value)
    except ValueError:
        raise UserError(
            f"Die Einstellung {name} muss eine ganze Zahl sein, gefunden: „{value}“.",
            f"The setting {name} must be a whole number, found: “{value}”.",
        ) from None


def _require(name: str, value: object, ok: bool, allowed: str) -> None:
    if not ok:
        raise UserError(
            f"Die Einstellung {PREFIX}{name.upper()} ist „{value}“, erlaubt ist: {allowed}.",
            f"The setting {PREFIX}{name.upper()} is “{value}”, allowed: {allowed}.",
        )

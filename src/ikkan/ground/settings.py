"""Settings: one dial first (`profile`), everything else derived, and every value knows why it is what it is.

`load_settings` is handed the environment once, by `bootstrap.py`; no other module reads it.

>>> from pathlib import Path
>>> small = Machine(cores=2, cores_reason="2 cores", memory_bytes=24 * GIB, memory_reason="24 GiB of memory")
>>> settings = load_settings({"IKKAN_HOME": "/srv/ikkan", "IKKAN_PORT": "9000"}, machine=small)
>>> settings.port, settings.kv_bytes
(9000, 3221225472)
>>> [why.reason for why in explain(settings) if why.name in ("port", "kv_bytes")]
['IKKAN_PORT', 'profile laptop: 1/8 of 24 GiB of memory']
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from ikkan.ground.errors import UnknownSetting

GIB: Final = 1 << 30
MIB: Final = 1 << 20

Profile = Literal["laptop", "server"]
Language = Literal["ja", "en", "zh", "auto"]


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use of the machine, and how we know."""

    cores: int
    cores_reason: str
    memory_bytes: int
    memory_reason: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One line of `ikkan config explain`."""

    name: str
    value: object
    reason: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, decided once at start. Made by `load_settings`."""

    home: Path
    """Where this installation keeps all it knows: databases, models, artifacts, keys, logs."""
    profile: Profile
    """The one dial: `laptop` shares the machine with a person, `server` has it to itself."""
    host: str
    """The address the gateway listens on. Loopback unless told otherwise."""
    port: int
    """The gateway's port."""
    database_url: str
    """Where rows and events live."""
    erasures: Path
    """The list of erased people (keyed hashes, no names): outside the home, so that no backup holds it."""
    jobs_database_url: str
    """Where durable jobs keep their state, apart from the rows because it is written at another rhythm."""
    engine_url: str
    """Where our own engine listens."""
    engine_threads: int
    """Threads the engine computes with."""
    kv_bytes: int
    """Memory the engine may hold for conversations (its KV cache)."""
    kv_cache: Literal["bfloat16", "int8"]
    """How the engine keeps keys and values: `int8` takes half the memory, for answers a little less exact."""
    max_batch: int
    """Conversations the engine answers at the same time."""
    context_tokens: int
    """Longest conversation, prompt and answer together."""
    upload_bytes: int
    """The largest file that may be uploaded to learn from."""
    transcript_bytes: int
    """The largest transcript of a meeting that is read."""
    hooks_private: bool
    """Whether messages to other systems may go to addresses inside this network, and without encryption."""
    meetings_meaning: bool
    """Whether English meetings are also searched by meaning, with this home's embedding model."""
    sound_bytes: int
    """The largest recording of a meeting that is taken."""
    hearing: str
    """What recognises speech: `auto` (the best that is set up), `off`, or one of the recognisers that meetings know."""
    hearing_url: str
    """Where a recogniser speaks OpenAI's wire (`…/v1`); empty: nowhere."""
    hearing_model: str
    """What that recogniser is asked for."""
    hearing_key_env: str
    """The environment variable with that recogniser's key; empty: it wants none."""
    guess_ahead: bool
    """Whether the engine guesses what answers copy from their texts. It changes no answer, only how fast it comes."""
    hf_endpoint: str
    """Where `hf:` models are pulled from."""
    modelscope_endpoint: str
    """Where `modelscope:` models are pulled from."""
    language: Language
    """Language of pages: fixed, or `auto` = what each browser asks for."""
    terminal_language: Literal["ja", "en"]
    """Language of the command line."""
    kernel_path: str
    """The instructions that kernels use: `auto`, or one that `ikkan silicon` names."""
    flywheel_policy: Literal["reversible", "regulated"]
    """Whether the wheel switches by itself and back (`reversible`), or waits for a person's signature (`regulated`)."""
    flywheel_canary: bool
    """Whether a candidate is tried on a growing share of people before it serves everyone."""
    flywheel_every_s: float
    """How often the worker looks whether something is to be learned, in seconds; 0: never."""
    power_watts: float
    """What the machine draws under load, for what we may use of it."""
    power_yen_kwh: float
    """What a kilowatt-hour costs."""
    machine_yen: float
    """What the machine cost, for what we may use of it."""
    machine_years: float
    """How long it will serve."""
    log_level: str
    """The least serious level that is logged."""
    scrub_training: bool
    """Whether personal data in people's words is replaced by placeholders before anything is learned from them."""
    allow_keyless_loopback: bool
    """Whether a caller on this machine may use the API without a key."""
    reasons: Mapping[str, str] = field(repr=False, compare=False)
    """Why each field has its value, by field name."""

    @property
    def yen_an_hour(self) -> float:
        """What the machine costs an hour under load: power, and its price over its life."""
        return self.power_watts / 1000 * self.power_yen_kwh + self.machine_yen / (self.machine_years * 365.25 * 24)

    @property
    def models_dir(self) -> Path:
        """Model files."""
        return self.home / "models"

    @property
    def artifacts_dir(self) -> Path:
        """What jobs made: datasets, trained models, evidence."""
        return self.home / "artifacts"

    @property
    def files_dir(self) -> Path:
        """Files that tenants uploaded, a folder for each."""
        return self.home / "files"

    @property
    def sound_dir(self) -> Path:
        """Recordings of meetings, sealed."""
        return self.home / "sound"

    @property
    def keys_dir(self) -> Path:
        """The master key and the key of sessions. With them and the database anyone reads everything."""
        return self.home / "keys"

    @property
    def run_dir(self) -> Path:
        """Locks, process ids and requests to the supervisor."""
        return self.home / "run"

    @property
    def logs_dir(self) -> Path:
        """One log a process."""
        return self.home / "logs"

    @property
    def base_url(self) -> str:
        """Where a person on this machine finds the gateway."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the gateway."""
        return _is_loopback(self.host)


def explain(settings: Settings) -> list[Explained]:
    """Every setting with its value and why it has it, in the order of the fields; passwords hidden."""
    return [
        Explained(name, _shown(name, getattr(settings, name)), settings.reasons[name])
        for name in Settings.__slots__
        if name != "reasons"
    ]


def load_settings(
    environ: Mapping[str, str], *, overrides: Mapping[str, object] | None = None, machine: Machine | None = None
) -> Settings:
    """Decide every setting: what the command line says, else the environment, else the profile.

    Args:
        environ: the process environment; names are `IKKAN_` and the field's name in capitals, and `HF_ENDPOINT`.
        overrides: values from the command line by field name; None values are ignored.
        machine: what may be used of the machine; looked up when not given.

    Raises:
        UnknownSetting: a name we do not know (with the nearest one that we do), or a value that cannot be.
    """
    asked = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name in asked:
        _refuse_unknown(name, _SETTABLE, spoken=name)
    for variable in environ:
        if variable.startswith("IKKAN_"):
            _refuse_unknown(variable, _VARIABLES.values(), spoken=variable)

    reasons: dict[str, str] = {}

    def decide(name: str, read: Callable[[object], Any], default: object, reason: str) -> Any:
        variable = _VARIABLES[name]
        raw: object
        if name in asked:
            raw, reasons[name] = asked[name], "command line"
        elif environ.get(variable, "") != "":
            raw, reasons[name] = environ[variable], variable
        else:
            raw, reasons[name] = default, reason
        try:
            return read(raw)
        except UnknownSetting:
            raise
        except (TypeError, ValueError) as exc:
            raise UnknownSetting(
                f"{name} cannot be {raw!r}: {exc}", hint=f"set by: {reasons[name]}", setting=name
            ) from exc

    home: Path = decide("home", _folder, "~/.ikkan", "default")
    profile: Profile = decide("profile", _one_of("laptop", "server"), "laptop", "default: shares the machine with you")
    dial = f"profile {profile}"
    server = profile == "server"
    machine = machine or look_at_machine()

    host: str = decide("host", _host, "127.0.0.1", "default: only this machine can reach it")
    port: int = decide("port", _integer(1, 65_535), 8700, "default")
    database_url: str = decide("database_url", _url, _sqlite_url(home / "ikkan.db"), "default: a file in home")
    if database_url.startswith("postgres"):
        jobs_default, jobs_reason = database_url, "beside database_url, in a schema of its own"
    else:
        jobs_default, jobs_reason = _sqlite_url(home / "jobs.db"), "default: a file in home, apart from database_url"
    share, share_shown = (0.5, "1/2") if server else (0.125, "1/8")
    keyless_default = not server and _is_loopback(host)
    language: Language = decide(
        "language", _one_of("ja", "en", "zh", "auto"), "auto", "default: what each browser asks for"
    )
    spoken, spoken_reason = _terminal_language(environ, language)

    settings = Settings(
        home=home,
        profile=profile,
        host=host,
        port=port,
        database_url=database_url,
        erasures=decide("erasures", _folder, home.parent / f"{home.name}.erased", "default: a file beside home"),
        jobs_database_url=decide("jobs_database_url", _url, jobs_default, jobs_reason),
        engine_url=decide(
            "engine_url", _http_url, f"http://127.0.0.1:{_next_port(port)}", "the port after the gateway's"
        ),
        engine_threads=decide("engine_threads", _integer(1, 1024), machine.cores, machine.cores_reason),
        kv_bytes=decide(
            "kv_bytes",
            _integer(MIB, 1 << 50),
            int(machine.memory_bytes * share),
            f"{dial}: {share_shown} of {machine.memory_reason}",
        ),
        kv_cache=decide("kv_cache", _one_of("bfloat16", "int8"), "bfloat16", "default: nothing is lost by it"),
        max_batch=decide("max_batch", _integer(1, 1024), 32 if server else 8, dial),
        context_tokens=decide("context_tokens", _integer(64, 1 << 20), 4096 if server else 2048, dial),
        upload_bytes=decide("upload_bytes", _integer(1, 1 << 40), (512 if server else 128) * MIB, dial),
        transcript_bytes=decide(
            "transcript_bytes", _integer(1, 1 << 32), 32 * MIB, "default: a day of talk as JSON, word by word"
        ),
        hooks_private=decide(
            "hooks_private", _boolean, False, "default: whoever sets an address must not reach this network by it"
        ),
        meetings_meaning=decide(
            "meetings_meaning", _boolean, False, "default: an hour of talk takes seconds to read, searches wait for it"
        ),
        sound_bytes=decide("sound_bytes", _integer(1, 1 << 40), (4 if server else 1) * GIB, f"{dial}: a day of speech"),
        hearing=decide("hearing", _word, "auto", "default: the best recogniser that is set up"),
        hearing_url=decide("hearing_url", _http_url_or_none, "", "default: no recogniser behind an address"),
        hearing_model=decide("hearing_model", _any_word, "whisper-1", "default: the name that most servers know"),
        hearing_key_env=decide("hearing_key_env", _variable, "", "default: no key is sent"),
        guess_ahead=decide("guess_ahead", _boolean, True, "copying comes faster, all else as fast"),
        hf_endpoint=decide("hf_endpoint", _http_url, "https://huggingface.co", "default"),
        modelscope_endpoint=decide("modelscope_endpoint", _http_url, "https://www.modelscope.cn", "default"),
        language=language,
        terminal_language=decide("terminal_language", _one_of("ja", "en"), spoken, spoken_reason),
        kernel_path=decide("kernel_path", _word, "auto", "default: the best this processor has"),
        flywheel_policy=decide(
            "flywheel_policy",
            _one_of("reversible", "regulated"),
            "reversible",
            "default: a better model serves at once, and one click takes it back; regulated waits for a signature",
        ),
        flywheel_canary=decide(
            "flywheel_canary",
            _boolean,
            False,
            "default: proof on later questions is enough; a trial on people needs hundreds of them to decide",
        ),
        flywheel_every_s=decide("flywheel_every_s", _pause, 3600.0, "default: once an hour; 0 turns it off"),
        power_watts=decide(
            "power_watts", _real(0, 1e6), 12.0 * machine.cores, f"12 watts a core under load; {machine.cores_reason}"
        ),
        power_yen_kwh=decide("power_yen_kwh", _real(0, 1e4), 31.0, "the unit price Japan's makers agreed to quote"),
        machine_yen=decide(
            "machine_yen", _real(0, 1e12), 30_000.0 * machine.cores, f"30,000 JPY a core; {machine.cores_reason}"
        ),
        machine_years=decide("machine_years", _real(0.1, 100), 5.0, "a server's statutory life in Japan"),
        log_level=decide("log_level", _level, "INFO", "default"),
        scrub_training=decide(
            "scrub_training", _boolean, True, "default: a model must not be able to repeat whose number it read"
        ),
        allow_keyless_loopback=decide(
            "allow_keyless_loopback",
            _boolean,
            keyless_default,
            f"{dial}, and {'only this machine can reach it' if _is_loopback(host) else 'others can reach it'}",
        ),
        reasons=reasons,
    )
    if settings.erasures.is_relative_to(home):
        raise UnknownSetting(
            "erasures lies in home, where every backup would hold it and every restore replace it",
            hint=f"a file outside {home}",
            setting="erasures",
        )
    if settings.allow_keyless_loopback and server:
        raise UnknownSetting(
            "a server does not answer callers without a key",
            hint="profile=laptop, or: ikkan key create",
            setting="allow_keyless_loopback",
        )
    return settings


def look_at_machine(root: Path = Path("/")) -> Machine:
    """Cores and memory this process may use: the smaller of the machine's and its control group's."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    cores_reason = f"{cores} cores may be used"
    quota = _cgroup_cores(root)
    if quota is not None and quota < cores:
        cores, cores_reason = max(1, math.floor(quota)), f"the control group grants {quota:g} cores"

    memory_bytes, memory_reason = 4 * GIB, "4 GiB of memory (assumed: it could not be read)"
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                memory_bytes = int(line.split()[1]) * 1024
                memory_reason = f"{memory_bytes / GIB:.3g} GiB of memory"
    except (OSError, ValueError):
        pass
    limit = _cgroup_memory(root)
    if limit is not None and limit < memory_bytes:
        memory_bytes, memory_reason = limit, f"the {limit / GIB:.3g} GiB the control group grants"
    return Machine(cores, cores_reason, memory_bytes, memory_reason)


_SETTABLE: Final = tuple(name for name in Settings.__slots__ if name != "reasons")
_VARIABLES: Final = {name: "HF_ENDPOINT" if name == "hf_endpoint" else f"IKKAN_{name.upper()}" for name in _SETTABLE}


def _refuse_unknown(name: str, known: Any, *, spoken: str) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, list(known), n=1)
    raise UnknownSetting(
        f"there is no setting {spoken!r}",
        hint=f"did you mean {near[0]}?" if near else "ikkan config explain lists them",
        setting=spoken,
    )


def _folder(raw: object) -> Path:
    text = str(raw).strip()
    if not text or "?" in text:
        raise ValueError("a folder without '?' in its name")
    return Path(text).expanduser().absolute()


def _one_of(*choices: str) -> Callable[[object], str]:
    def read(raw: object) -> str:
        text = str(raw).strip().lower()
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return read


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(raw: object) -> int:
        if isinstance(raw, bool):
            raise ValueError("a whole number")
        value = int(str(raw).replace("_", ""))
        if not low <= value <= high:
            raise ValueError(f"between {low:_} and {high:_}")
        return value

    return read


def _real(low: float, high: float) -> Callable[[object], float]:
    def read(raw: object) -> float:
        if isinstance(raw, bool):
            raise ValueError("a number")
        value = float(str(raw).replace("_", ""))
        if not low <= value <= high:
            raise ValueError(f"between {low:g} and {high:g}")
        return value

    return read


def _pause(raw: object) -> float:
    value = _real(0, 31 * 86_400)(raw)
    if 0 < value < 1:
        raise ValueError("0 for never, or at least 1 second")
    return value


def _word(raw: object) -> str:
    text = str(raw).strip().lower()
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise ValueError("a word")
    return text


def _boolean(raw: object) -> bool:
    text = str(raw).strip().lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError("true or false")
    return text in ("1", "true", "yes", "on")


def _level(raw: object) -> str:
    text = str(raw).strip().upper()
    if text not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError("one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return text


def _host(raw: object) -> str:
    text = str(raw).strip().strip("[]")
    if not text or "/" in text or " " in text:
        raise ValueError("an address such as 127.0.0.1")
    return text


def _url(raw: object) -> str:
    text = str(raw).strip()
    if "://" not in text:
        raise ValueError("a URL such as sqlite:////absolute/path/ikkan.db")
    return text


def _http_url(raw: object) -> str:
    text = str(raw).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL such as http://127.0.0.1:8701")
    return text


def _http_url_or_none(raw: object) -> str:
    return _http_url(raw) if str(raw).strip() else ""


def _any_word(raw: object) -> str:
    text = str(raw).strip()
    if not text.isprintable() or not 0 < len(text) <= 200 or " " in text:
        raise ValueError("a model's name")
    return text


def _variable(raw: object) -> str:
    text = str(raw).strip()
    if text and not (text.isascii() and text.isidentifier()):
        raise ValueError("the name of a variable, such as VENDOR_KEY")
    return text


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _next_port(port: int) -> int:
    return port + 1 if port < 65_535 else port - 1


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _terminal_language(environ: Mapping[str, str], language: Language) -> tuple[str, str]:
    if language != "auto":
        return ("ja" if language == "ja" else "en"), "as language"
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(variable):
            return ("ja" if environ[variable].startswith("ja") else "en"), f"{variable}={environ[variable]}"
    return "en", "default"


def _shown(name: str, value: object) -> object:
    if name.endswith("_url") and isinstance(value, str) and "@" in value:
        scheme, _, rest = value.partition("://")
        login, _, place = rest.rpartition("@")
        return f"{scheme}://{login.partition(':')[0]}:***@{place}" if ":" in login else value
    return value


def _cgroup_cores(root: Path) -> float | None:
    v2 = _read(root / "sys/fs/cgroup/cpu.max").split()
    if len(v2) == 2 and v2[0].isdigit() and v2[1].isdigit() and int(v2[1]):
        return int(v2[0]) / int(v2[1])
    quota = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
    period = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _cgroup_memory(root: Path) -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(root / "sys/fs/cgroup" / name).strip()
        if text.isdigit() and int(text) > 0:
            return int(text)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

"""What this machine can run: software, devices, memory and models, each a finding with what to do about it.

Checks only; `cli/doctor.py` prints them. torch is imported inside the functions that need it, so that a broken
installation is a finding and not a crash.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from extractor.chatglm3 import checkpoint_files
from extractor.chatglm3.hub import DEMO_FOLDER, cache_folder, find_cached
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.registry import KNOWN_MODELS, KnownModel
from extractor.errors import CheckpointError
from extractor.kernels import jit, processor
from extractor.precisions import load_precisions

Status = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. Only `fail` makes the machine unfit; `hint` is what to do about it."""

    topic: str
    status: Status
    value: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package, the oldest version that works, why older ones do not, and whether it is required at all."""

    package: str
    oldest: str
    why: str
    required: bool = True


REQUIREMENTS = (
    Requirement("torch", "2.11", "older ones are not tested with this transformers"),
    Requirement("transformers", "5.17", "before it GlmForCausalLM has another rotary embedding and configuration"),
    Requirement("sentencepiece", "0.2", "it reads tokenizer.model"),
    Requirement("safetensors", "0.5", "it reads .safetensors weights"),
    Requirement("llguidance", "1.7", "it constrains answers to schema and document"),
    Requirement("modelscope", "1.38", "before it downloads go to another cache", required=False),
)
OLDEST_PYTHON = (3, 11)
DISTRIBUTION = "chatglm3-extractor"
EXTRAS = ("docs", "ocr", "parquet", "zstd", "tune", "spacy", "s3", "ray", "openai", "vllm")
"""What people install for a use; the others put several of these together, or are for those who work on this."""
OFFICE = ("soffice", "libreoffice")
FEW_BYTES = 10**9
"""Of free disk space: what compiled kernels, temporary files and a day's rows may take."""


def examine() -> list[Finding]:
    """Run every check, in the order of the report."""
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        _software,
        _extras,
        _processor,
        _devices,
        _memory,
        _disks,
        _models,
        _first_addition,
    )
    return [finding for part in parts for finding in part()]


def is_fit(findings: list[Finding]) -> bool:
    """Tell whether nothing is wrong."""
    return all(finding.status != "fail" for finding in findings)


def check_requirement(requirement: Requirement, installed: str | None) -> Finding:
    """Compare the version of a package (None: not installed) with the oldest that works."""
    bad: Status = "fail" if requirement.required else "warn"
    install = f"pip install -U '{requirement.package}>={requirement.oldest}'"
    if installed is None:
        return Finding(requirement.package, bad, "not installed", f"{requirement.why}: {install}")
    if _numbers(installed) < _numbers(requirement.oldest):
        return Finding(requirement.package, bad, installed, f"too old, {requirement.why}: {install}")
    return Finding(requirement.package, "ok", installed)


def available_ram() -> int | None:
    """Return the bytes of memory that a new process can use, within the container's limit; None if unknown."""
    limits = [_meminfo("MemAvailable"), _cgroup_available()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _software() -> Iterator[Finding]:
    good = sys.version_info[:2] >= OLDEST_PYTHON
    oldest = ".".join(map(str, OLDEST_PYTHON))
    hint = "" if good else f"too old: install Python {oldest} or newer"
    yield Finding("Python", "ok" if good else "fail", f"{platform.python_version()} on {platform.platform()}", hint)
    for requirement in REQUIREMENTS:
        yield check_requirement(requirement, _installed(requirement.package))


def _extras() -> Iterator[Finding]:
    """Tell of each extra whether its packages are there and new enough, as the installed distribution asks for them."""
    try:
        asked = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        yield Finding("extras", "warn", "unknown: the package is not installed", "pip install .")
        return
    for extra in EXTRAS:
        yield check_extra(extra, packages_of(extra, asked), _installed)
    office = next(filter(None, map(shutil.which, OFFICE)), None)
    yield Finding("LibreOffice", "ok" if office else "info", office or "none: .doc and .ppt files cannot be read")


def packages_of(extra: str, asked: Iterable[str]) -> list[tuple[str, str]]:
    """Return the packages of an extra among the requirements of a distribution, each with its oldest version."""
    found = (re.match(r"([\w.-]+)(?:\[[^]]*\])?([^;]*)", each) for each in asked if _is_of(extra, each))
    return [(each[1], _oldest(each[2])) for each in found if each]


def _is_of(extra: str, requirement: str) -> bool:
    return re.search(rf"""extra\s*==\s*["']{extra}["']""", requirement) is not None


def _oldest(specifier: str) -> str:
    bound = re.search(r">=\s*([\w.]+)", specifier)
    return bound[1] if bound else "0"


def check_extra(extra: str, packages: Sequence[tuple[str, str]], installed: Callable[[str], str | None]) -> Finding:
    """Say whether an extra is installed whole, in part or not at all."""
    topic, install = f"extra {extra}", f"pip install '{DISTRIBUTION}[{extra}]'"
    there = {package: installed(package) for package, _ in packages}
    if not any(there.values()):
        return Finding(topic, "info", f"not installed: {install}")
    missing = [package for package, found in there.items() if found is None]
    old = [package for package, oldest in packages if _numbers(there[package] or oldest) < _numbers(oldest)]
    if missing or old:
        parts = [f"{', '.join(names)} {state}" for names, state in ((missing, "missing"), (old, "too old")) if names]
        return Finding(topic, "warn", "; ".join(parts), install)
    return Finding(topic, "ok", ", ".join(f"{package} {found}" for package, found in there.items()))


def _processor() -> Iterator[Finding]:
    """Tell what the processor computes fast, what our kernels make of it, and which precision it is slow in."""
    yield Finding("processor", "info", processor.describe())
    torch = _torch()
    if torch is None:
        return
    from extractor.kernels import tiled

    compiled = tiled.supports(tiled.MULTIPLE, tiled.MULTIPLE, torch.bfloat16, torch.device("cpu"))
    if compiled:
        yield Finding("kernels", "ok", f"compiled for {processor.level().shown}")
    elif platform.machine() != "x86_64":
        yield Finding("kernels", "info", "none: they are for x86-64")
    else:
        hint = f"install gcc and unset {jit.SWITCH}: `half` is slower without them"
        yield Finding("kernels", "warn", "none", hint)
    if processor.level() is processor.Level.AMX and not tiled.has_amx():
        yield Finding("AMX", "info", "this system does not let programs use it", "a kernel of 5.16 or newer does")
    if not compiled and not processor.has_any("avx512_vnni", "avx_vnni", "i8mm"):
        yield Finding("int8 on the CPU", "info", "slow: no kernels, and the processor has no VNNI", "use half")


def _devices() -> Iterator[Finding]:
    torch = _torch()
    if torch is None:
        return
    driver = _driver_version()
    yield Finding("CUDA of torch", "info", torch.version.cuda or "none (a CPU build)")
    yield Finding("cuDNN", "info", str(torch.backends.cudnn.version() or "none"))
    yield Finding("NVIDIA driver", "info", driver or "none")
    if not torch.cuda.is_available():
        yield _no_gpu(torch, driver)
        return
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        value = f"{torch.cuda.get_device_name(index)}, {_gb(free)} of {_gb(total)} free"
        yield Finding(f"cuda:{index}", "ok", value)


def _no_gpu(torch: Any, driver: str | None) -> Finding:
    if driver is None:
        return Finding("GPU", "info", "none: models run on the CPU")
    built_for = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
    return Finding("GPU", "warn", "there is a driver, but torch sees no device", f"{built_for}: install a matching one")


def _memory() -> Iterator[Finding]:
    free = available_ram()
    total = _meminfo("MemTotal")
    of_total = f" of {_gb(total)}" if total else ""
    yield Finding("free memory", "info", f"{_gb(free)}{of_total}" if free is not None else "unknown")


def _disks() -> Iterator[Finding]:
    """Tell how much room there is for rows, for what is kept between runs, for temporary files and for models."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "extractor"
    places = {"this folder": Path.cwd(), "cache": cache, "temporary": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        yield check_disk(f"disk: {name}", folder, FEW_BYTES)
    model = KNOWN_MODELS["chatglm3-6b"]
    download = 0 if find_cached(model) else 2 * model.dims.parameters
    yield check_disk("disk: models", cache_folder(), download)


def check_disk(topic: str, folder: Path, needed: int) -> Finding:
    """Say how much room is left where a folder is, or would be made; less than is needed is a warning."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    usage = shutil.disk_usage(there)
    value = f"{_gb(usage.free)} of {_gb(usage.total)} free: {folder}"
    if not os.access(there, os.W_OK):
        return Finding(topic, "warn", value, "nothing can be written there: change its owner, or use another folder")
    if usage.free < needed:
        return Finding(topic, "warn", value, f"less than the {_gb(needed)} that may be needed: free some space")
    return Finding(topic, "info", value)


def _models() -> Iterator[Finding]:
    demo = checkpoint_files.is_complete(DEMO_FOLDER)
    hint = "" if demo else "its files are missing: install the package again"
    yield Finding("demo model", "ok" if demo else "fail", "bundled" if demo else "missing", hint)
    yield Finding("model cache", "info", str(cache_folder()))
    available = _available_memory()
    for known in KNOWN_MODELS.values():
        cached = find_cached(known)
        yield Finding(known.name, "info", f"in the cache: {cached}" if cached else "not downloaded")
        yield from _fits(_dims_of(known, cached), available)


def _fits(dims: ModelDims, available: dict[str, int]) -> Iterator[Finding]:
    """Yield per precision what the model needs, and on which devices it fits."""
    for name, precision in load_precisions().items():
        needed = precision.needed_bytes(dims)
        devices = [device for device, free in available.items() if needed <= free]
        fit = f"fits on {', '.join(devices)}" if devices else "does not fit here"
        yield Finding(f"  {name}", "info", f"{_gb(needed)} with {dims.context:,} tokens: {fit}")


def _first_addition() -> Iterator[Finding]:
    """Compute the first lines of the book, torch.tensor(1) + torch.tensor(2.0), on every device."""
    torch = _torch()
    if torch is None:
        yield Finding("first check", "fail", "torch cannot be imported", "pip install -U torch")
        return
    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    for device in devices:
        yield _add_on(torch, device)


def _add_on(torch: Any, device: str) -> Finding:
    topic = f"1 + 2.0 on {device}"
    try:
        result = torch.tensor(1, device=device) + torch.tensor(2.0, device=device)
        right = result.item() == 3.0 and result.dtype == torch.float32
    except RuntimeError as error:
        return Finding(topic, "fail", str(error).splitlines()[0], "install a torch that matches the driver")
    return Finding(topic, "ok" if right else "fail", str(result), "" if right else "install torch again")


def _dims_of(known: KnownModel, cached: Path | None) -> ModelDims:
    try:
        return read_dims(cached) if cached else known.dims
    except CheckpointError:
        return known.dims


def _available_memory() -> dict[str, int]:
    """Return the free bytes of each device."""
    torch = _torch()
    gpus = range(torch.cuda.device_count()) if torch is not None and torch.cuda.is_available() else ()
    free = {f"cuda:{index}": int(torch.cuda.mem_get_info(index)[0]) for index in gpus} if torch is not None else {}
    return {"cpu": available_ram() or 0} | free


def _torch() -> Any | None:
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError):
        return None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version: (2, 13, 0) for `2.13.0+cpu`."""
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, release.group().split("."))) if release else ()


def _driver_version() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.stdout.split()
    return lines[0] if lines else None


def _meminfo(key: str) -> int | None:
    """Return bytes from Linux's /proc/meminfo; elsewhere the total memory."""
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return int(found.group(1)) * 1024 if found else None


def _cgroup_available() -> int | None:
    """Return the bytes left below the memory limit of this control group; None without a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"

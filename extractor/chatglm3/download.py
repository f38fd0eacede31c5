"""Download of one model with the ModelScope client: needed files only, resumed, retried with backoff, verified.

The client itself resumes a file at the byte where it broke off and verifies SHA-256 where the hub lists one; this
module selects the files, retries with growing delays and turns the client's errors into one that says what to do.
The endpoint is the client's: `MODELSCOPE_ENDPOINT`, else the public site.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from extractor.chatglm3 import checkpoint_files
from extractor.chatglm3.registry import THREE_WAYS, KnownModel
from extractor.errors import DownloadError

_log = logging.getLogger(__name__)

_WORKERS = 4
"""Files downloaded at a time."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before each retry of a download that broke off; each retry resumes the attempt before."""

    delays: tuple[float, ...] = (2.0, 8.0, 30.0)


DEFAULT_BACKOFF = Backoff()


def download(
    known: KnownModel,
    revision: str,
    folder: Path,
    *,
    backoff: Backoff = DEFAULT_BACKOFF,
    progress: bool | None = None,
) -> None:
    """Download the files of `known` that are missing in `folder` or differ from the hub's checksums.

    Raises DownloadError; what arrived is kept, so the same call resumes where it stopped.
    """
    failures = _client_errors()
    _log.info("downloading %s, revision %s", known.hub_id, revision)
    for delay in (*backoff.delays, None):
        try:
            with _client_output(sys.stderr.isatty() if progress is None else progress):
                return _download_once(known, revision, folder)
        except failures as error:
            if delay is None or not _is_transient(error):
                raise DownloadError(_message(known, revision, error)) from error
            _log.warning("download of %s broke off (%s); retrying in %g s", known.name, _brief(error), delay)
            time.sleep(delay)


def _download_once(known: KnownModel, revision: str, folder: Path) -> None:
    from modelscope.hub.api import HubApi
    from modelscope.hub.snapshot_download import snapshot_download

    listed = {entry["Path"]: int(entry["Size"] or 0) for entry in HubApi().get_model_files(known.hub_id, revision)}
    names = checkpoint_files.needed_names(listed)
    _check_free_space(folder, {name: listed[name] for name in names})
    snapshot_download(
        known.hub_id, revision=revision, local_dir=str(folder), allow_patterns=list(names), max_workers=_WORKERS
    )
    if not checkpoint_files.is_complete(folder):
        raise DownloadError(
            f"{known.hub_id}, revision {revision}, lacks files of a checkpoint (it has {', '.join(names) or 'none'}): "
            f"choose another --revision. {THREE_WAYS}"
        )


def _check_free_space(folder: Path, sizes: Mapping[str, int]) -> None:
    """Raise DownloadError before the first byte if the disk has too little space for the missing files."""
    missing = sum(size for name, size in sizes.items() if not (folder / name).is_file())
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise DownloadError(
            f"{folder} has {free / 1e9:.1f} GB free, the download takes {missing / 1e9:.1f} GB: "
            "free space or set MODELSCOPE_CACHE to a folder on a larger disk"
        )


@contextlib.contextmanager
def _client_output(progress: bool) -> Iterator[None]:
    """Let the client draw progress bars on stderr, or silence it; its own log lines are never shown."""
    client = logging.getLogger("modelscope_hub")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        with contextlib.nullcontext() if progress else contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        client.setLevel(level)


def _client_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that the client raises. Its transport errors are OSErrors."""
    try:
        from modelscope_hub.errors import HubError
    except ImportError as error:
        raise DownloadError(
            f"the ModelScope client is missing: pip install -U 'modelscope>=1.38'. {THREE_WAYS}"
        ) from error
    return HubError, OSError


def _is_transient(error: BaseException) -> bool:
    """Tell whether a retry can help: not for what the hub refuses, a wrong checksum or a full disk."""
    from modelscope_hub.errors import FileDownloadError, HubError, NetworkError
    from requests.exceptions import HTTPError

    if isinstance(error, FileDownloadError):
        return all(map(_is_transient, error.failed_files.values()))
    if isinstance(error, HubError):
        return bool(error.retryable) or isinstance(error, NetworkError)
    return isinstance(error, ConnectionError | TimeoutError) or (
        type(error).__module__.startswith("requests") and not isinstance(error, HTTPError)
    )


def _message(known: KnownModel, revision: str, error: BaseException) -> str:
    from modelscope_hub.errors import FileIntegrityError, NotExistError

    what = f"{known.hub_id}, revision {revision}"
    causes = _causes(error)
    damaged = [name for name, cause in causes.items() if isinstance(cause, FileIntegrityError)]
    if damaged:
        return (
            f"{what}: {damaged[0]} arrived with a wrong checksum: try again later, or another --revision. {THREE_WAYS}"
        )
    if any(isinstance(cause, NotExistError) for cause in causes.values()):
        return f"{what} does not exist on the hub: check --revision. {THREE_WAYS}"
    return (
        f"{what} could not be downloaded ({_brief(next(iter(causes.values())))}): check the connection and run the "
        f"same command again, it resumes where it stopped. {THREE_WAYS}"
    )


def _causes(error: BaseException) -> dict[str, BaseException]:
    """Return the causes of an error: those of single files by name, or what the client wrapped, or the error itself."""
    failed: dict[str, BaseException] = getattr(error, "failed_files", None) or {}
    return failed or {"": error.__cause__ or error}


def _brief(error: BaseException) -> str:
    lines = str(getattr(error, "message", None) or error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__

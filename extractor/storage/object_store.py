"""An output at an address (`s3://bucket/results.jsonl`): a file on this machine while the run is under way, uploaded at
its end.

Objects in a store cannot be appended to. So what is there is downloaded first, the local file is resumed as any other,
and uploaded whole. A run that is killed leaves the local file in the cache folder, and the same line on the same
machine resumes it, unless what is at the address has changed since. Runs on two machines do not see each other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from extractor.data import Record, Status
from extractor.errors import OutputError
from extractor.storage import atomic_files, manifest
from extractor.storage.addresses import as_os_errors, file_system
from extractor.storage.locks import locked
from extractor.storage.present import Present
from extractor.storage.resumable_file import files_of
from extractor.storage.sink import PrunableSink, Sink, SinkOptions


class RemoteSink:
    """A local sink whose file comes from an address and goes there. `open_local` opens it on a path; `beside` are the
    suffixes of what its format keeps beside the file."""

    def __init__(
        self, address: str, options: SinkOptions, open_local: Callable[[str], Sink], beside: Sequence[str] = ()
    ) -> None:
        self._address = address
        self._system, self._path = file_system(address)
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self._folder = _cache() / name
        self._local = str(self._folder / os.path.basename(self._path))
        self._all_local = files_of(self._local, beside)
        self._sink = open_local(self._local)
        self._overwrite = options.overwrite
        self._resources = ExitStack()
        self._changed = False

    def __enter__(self) -> RemoteSink:
        with ExitStack() as resources:
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                resources.enter_context(locked(str(self._folder / "fetched")))
                self._download()
            except OSError as error:
                raise OutputError(
                    f"{self._address} cannot be read: {error}. Check the address and the credentials."
                ) from error
            self._sink.__enter__()
            self._resources = resources.pop_all()
        return self

    def _download(self) -> None:
        """Make the local file what is at the address, unless it began as just that."""
        stamp, noted = self._stamp(), self._folder / "stamp"
        known = noted.read_text("utf-8") if noted.exists() else None
        if known == stamp or (self._overwrite and known is None):
            self._changed = any(map(os.path.exists, self._all_local))
            noted.write_text(stamp, encoding="utf-8")
            return
        for name in self._all_local:
            Path(name).unlink(missing_ok=True)
        for local, path in self._pairs():
            if self._exists(path):
                with as_os_errors():
                    self._system.get_file(path, local)
        noted.write_text(stamp, encoding="utf-8")

    def _pairs(self) -> list[tuple[str, str]]:
        """Return the output and its manifest: where each is on this machine and in the store."""
        noted = manifest.path_of(self._local)
        return [(self._local, self._path), (noted, manifest.path_of(self._path))]

    def _exists(self, path: str) -> bool:
        with as_os_errors():
            return bool(self._system.exists(path))

    def _stamp(self) -> str:
        """Return what tells versions of the file at the address apart; empty where there is none."""
        if not self._exists(self._path):
            return ""
        with as_os_errors():
            return str(self._system.checksum(self._path))

    def __exit__(self, *exc: object) -> None:
        """Upload the file. After an exception nothing is: the next start resumes what is on this machine."""
        with self._resources:
            self._sink.__exit__(*exc)
            if any(exc):
                return
            if self._changed or not self._exists(self._path):
                self._upload()
            shutil.rmtree(self._folder)

    def _upload(self) -> None:
        try:
            with as_os_errors():
                for local, path in self._pairs():
                    self._system.put_file(local, path)
        except OSError as error:
            safe = f"the rows are safe in {self._local}"
            raise atomic_files.output_error(self._address, error, safe) from error

    def done(self, id: str, sha256: str) -> Status | None:
        return self._sink.done(id, sha256)

    def count_stale(self, present: Present) -> int:
        return self._sink.count_stale(present) if isinstance(self._sink, PrunableSink) else 0

    def prune(self, present: Present) -> None:
        if isinstance(self._sink, PrunableSink):
            self._changed = True
            self._sink.prune(present)

    def write(self, record: Record) -> None:
        self._changed = True
        self._sink.write(record)


def _cache() -> Path:
    """Return where outputs are while a run is under way."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "extractor" / "outputs"

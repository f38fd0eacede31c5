"""An output at an address (`s3://bucket/results.jsonl`): a file on this machine while the run goes on, put there at its
end.

Stores of objects cannot be added to. So what is there is fetched first, the local file is gone on with as any other,
and put back whole. A run that is killed leaves the local file in the cache folder, and the same line on the same
machine goes on with it, unless what is at the address has changed since. Runs on two machines do not see each other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from extractor.data import Record
from extractor.errors import OutputError
from extractor.sinks import Sink, SinkOptions, Status, beside
from extractor.storage import atomic_files, manifest
from extractor.storage.addresses import as_os_errors, file_system
from extractor.storage.locks import locked


class RemoteSink:
    """A local sink whose file comes from an address and goes there."""

    def __init__(self, address: str, open_local: Callable[[str], Sink], options: SinkOptions) -> None:
        self._address = address
        self._system, self._path = file_system(address)
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self._folder = _cache() / name
        self._local = str(self._folder / os.path.basename(self._path))
        self._sink = open_local(self._local)
        self._overwrite = options.overwrite
        self._resources = ExitStack()
        self._changed = False

    def __enter__(self) -> RemoteSink:
        with ExitStack() as resources:
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                resources.enter_context(locked(str(self._folder / "fetched")))
                self._fetch()
            except OSError as error:
                raise OutputError(
                    f"{self._address} cannot be read: {error}. Check the address and the credentials."
                ) from error
            self._sink.__enter__()
            self._resources = resources.pop_all()
        return self

    def _fetch(self) -> None:
        """Have the local file be what is at the address, unless it goes on from just that."""
        stamp, noted = self._stamp(), self._folder / "stamp"
        known = noted.read_text("utf-8") if noted.exists() else None
        if known == stamp or (self._overwrite and known is None):
            self._changed = any(map(os.path.exists, beside(self._local)))
            noted.write_text(stamp, encoding="utf-8")
            return
        for name in beside(self._local):
            Path(name).unlink(missing_ok=True)
        for local, path in self._files():
            if self._there(path):
                with as_os_errors():
                    self._system.get_file(path, local)
        noted.write_text(stamp, encoding="utf-8")

    def _files(self) -> list[tuple[str, str]]:
        """The output and the file beside it: where they are here and there."""
        noted = manifest.path_of(self._local)
        return [(self._local, self._path), (noted, manifest.path_of(self._path))]

    def _there(self, path: str) -> bool:
        with as_os_errors():
            return bool(self._system.exists(path))

    def _stamp(self) -> str:
        """What tells versions of the file at the address apart; empty where there is none."""
        if not self._there(self._path):
            return ""
        with as_os_errors():
            return str(self._system.checksum(self._path))

    def __exit__(self, *exc: object) -> None:
        """After an exception nothing is put there: what is here is gone on with at the next start."""
        with self._resources:
            self._sink.__exit__(*exc)
            if any(exc):
                return
            if self._changed or not self._there(self._path):
                self._put()
            shutil.rmtree(self._folder)

    def _put(self) -> None:
        try:
            with as_os_errors():
                for local, path in self._files():
                    self._system.put_file(local, path)
        except OSError as error:
            safe = f"the rows are safe in {self._local}"
            raise atomic_files.output_error(self._address, error, safe) from error

    def done(self, id: str, sha256: str) -> Status | None:
        return self._sink.done(id, sha256)

    def write(self, record: Record) -> None:
        self._changed = True
        self._sink.write(record)


def _cache() -> Path:
    """Where outputs are while a run goes on."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "extractor" / "outputs"

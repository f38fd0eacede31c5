"""From a model's name to a folder with its files: a path, the bundled demo, the cache, or a download from ModelScope.

A published model has a pinned revision, so a cached one never causes a request, and `offline` needs no client at all.
The layout of the cache is the ModelScope client's own: what either downloads, the other finds. How a download is
resumed and retried is in `download`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from extractor.chatglm3 import checkpoint_files
from extractor.chatglm3.adapter_files import digest
from extractor.chatglm3.download import DEFAULT_BACKOFF, Backoff, download
from extractor.chatglm3.folder_check import check_file, check_folder
from extractor.chatglm3.registry import KNOWN_MODELS, THREE_WAYS, KnownModel
from extractor.errors import DownloadError, ModelError

DEMO = "demo"
DEMO_FOLDER = Path(__file__).resolve().parent.parent / "models" / "demo"
CACHE_VARIABLE = "MODELSCOPE_CACHE"


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """A model on this machine. `revision` is empty for a folder and the demo; `identity` is a digest of the content,
    equal for equal files wherever they are."""

    path: Path
    name: str
    revision: str
    identity: str
    adapters: tuple[Path, ...] = ()


def resolve(
    model: str | Path,
    revision: str | None = None,
    offline: bool = False,
    adapters: Sequence[str | Path] = (),
    progress: bool | None = None,
    backoff: Backoff = DEFAULT_BACKOFF,
) -> ModelLocation:
    """Find a model by name (`demo`, `chatglm3-6b`, ...) or folder; download a published one that is not cached.

    `adapters` are folders, in the order in which they are used; they are part of name and identity. `progress` shows
    bars on stderr (default: if it is a terminal). Raises CheckpointError for an incomplete folder, DownloadError where
    the hub may not be contacted or does not answer, ModelError for an unknown name.
    """
    folder = Path(os.path.expanduser(model))
    added = tuple(Path(os.path.expanduser(each)) for each in adapters)
    if str(model) == DEMO:
        return _located(DEMO_FOLDER, DEMO, "", added)
    if str(model) in KNOWN_MODELS:
        known = KNOWN_MODELS[str(model)]
        path = find_cached(known, revision) or _fetch(known, revision or known.revision, offline, progress, backoff)
        return _located(path, known.name, revision or known.revision, added)
    if folder.is_dir():
        return _located(folder, folder.resolve().name, "", added)
    if folder.is_file():
        check_file(folder)
    raise ModelError(
        f"no model {str(model)!r}: neither a folder nor one of {', '.join((DEMO, *KNOWN_MODELS))}. {THREE_WAYS}"
    )


def pull(
    known: KnownModel,
    revision: str | None = None,
    progress: bool | None = None,
    backoff: Backoff = DEFAULT_BACKOFF,
) -> Path:
    """Download a published model, or what is missing of it, and verify every file against the hub's checksums."""
    return _fetch(known, revision or known.revision, False, progress, backoff)


def cache_folder() -> Path:
    """Return the folder where the ModelScope client keeps models: `MODELSCOPE_CACHE`, else `~/.cache/modelscope`."""
    root = os.environ.get(CACHE_VARIABLE)
    return Path(os.path.expanduser(root or "~/.cache/modelscope")).resolve()


def snapshot_folder(known: KnownModel, revision: str) -> Path:
    """Return the place of a revision of a model in the cache, whether or not it exists."""
    return cache_folder() / "models" / known.hub_id.replace("/", "--") / "snapshots" / revision


def find_cached(known: KnownModel, revision: str | None = None) -> Path | None:
    """Return the folder of a complete model in the cache, or None. Never uses the network.

    Folders of older clients do not name their revision, so they count only when no revision was requested.
    """
    folders = [snapshot_folder(known, revision or known.revision), *([] if revision else _old_folders(known))]
    return next((folder for folder in folders if checkpoint_files.is_complete(folder)), None)


def _old_folders(known: KnownModel) -> list[Path]:
    """Return the places where clients before 1.38 kept a model."""
    cache = cache_folder()
    return [cache / place / known.hub_id for place in ("models", "hub/models", "hub", "")]


def _fetch(known: KnownModel, revision: str, offline: bool, progress: bool | None, backoff: Backoff) -> Path:
    if offline:
        raise DownloadError(
            f"{known.name} ({known.hub_id}, revision {revision}) is not in {cache_folder()} and --offline forbids "
            f"downloading it. {THREE_WAYS}"
        )
    folder = snapshot_folder(known, revision)
    download(known, revision, folder, backoff=backoff, progress=progress)
    return folder


def _located(path: Path, name: str, revision: str, adapters: tuple[Path, ...]) -> ModelLocation:
    check_folder(path, adapters)
    identity = f"sha256:{checkpoint_files.digest(path)[:32]}"
    names = "+".join([name, *(each.resolve().name for each in adapters)])
    return ModelLocation(path, names, revision, " ".join(filter(None, [identity, digest(adapters)])), adapters)

"""A folder is a registry: what lies in `prompts/` or `schemas/` has a name, and a path works wherever a name does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from extractor.errors import UsageError

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Registry:
    """The files of one kind: `names()` lists what is bundled, `load()` takes a bundled name or a path."""

    kind: str
    suffix: str

    @property
    def folder(self) -> Path:
        """Inside the package where it was installed from a wheel, beside it in a clone."""
        installed = PACKAGE / self.kind
        return installed if installed.is_dir() else PACKAGE.parent / self.kind

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob(f"*{self.suffix}"))

    def load(self, name: str) -> tuple[str, str]:
        """Return (name, text) of a bundled file or of the file at a path.

        A bundled name wins over a file of the same name without a suffix; `./contact` names the file.
        Raises UsageError when there is neither, or when the file is not UTF-8.
        """
        bundled = self.folder / f"{name}{self.suffix}"
        path = bundled if name in self.names() else Path(name)
        try:
            return path.stem, path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8 and try again.") from error
        except OSError as error:
            raise UsageError(
                f"There is no {self.kind[:-1]} called {name!r}, and no readable file of that name "
                f"({error.strerror}). Bundled: {', '.join(self.names())}; or give the path of a {self.suffix} file."
            ) from error


PROMPTS = Registry("prompts", ".jinja")
SCHEMAS = Registry("schemas", ".json")

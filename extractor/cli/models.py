"""`extractor models`: list, download, describe, quantise and export models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from tqdm import tqdm

from extractor.chatglm3 import checkpoint_files
from extractor.chatglm3.hub import DEMO, DEMO_FOLDER, cache_folder, find_cached, pull, resolve
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.registry import KNOWN_MODELS, KnownModel
from extractor.cli._completion import FOLDER, MODEL
from extractor.cli._lists import as_json, print_list
from extractor.data import Json
from extractor.precisions import find_precision, load_precisions, names, quantized_names

_PUBLISHED = click.Choice(list(KNOWN_MODELS))

_adapter = click.option(
    "--adapter",
    "adapters",
    type=FOLDER,
    multiple=True,
    metavar="DIR",
    help="A LoRA to merge first; several are merged in order.",
)


@click.group(
    epilog="""\b
Examples:
  extractor models list
  extractor models pull chatglm3-6b          download, or resume a broken download
  extractor models info ./my-chatglm3        sizes, memory and identity of a folder
  extractor models quantize chatglm3-6b ./chatglm3-6b-int4 --precision int4
  extractor models export chatglm3-6b ./chatglm3-6b-hf      for transformers and vLLM
"""
)
def command() -> None:
    """List, download, describe, quantise and export models."""


@command.command(
    "list",
    epilog="""\b
Examples:
  extractor models list
  extractor models list --json | jq -r '.[] | select(.state == "here") | .name'
""",
)
@as_json
def list_(as_json: bool) -> None:
    """List the named models, and whether they are on this machine."""
    print_list(_named(), as_json, lambda row: f"{row['name']:18}  {row['state']:8}  {row['summary']}")


def _named() -> Iterator[dict[str, Json]]:
    state = "bundled" if checkpoint_files.is_complete(DEMO_FOLDER) else "missing"
    yield {"name": DEMO, "state": state, "summary": "a toy of a few million parameters, for trying things out"}
    for known in KNOWN_MODELS.values():
        state = "here" if find_cached(known) else "not here"
        yield {"name": known.name, "state": state, "summary": known.summary}


@command.command(
    epilog="""\b
Example:
  extractor models show chatglm3-6b
"""
)
@click.argument("name", type=click.Choice([DEMO, *KNOWN_MODELS]))
def show(name: str) -> None:
    """Show where a named model comes from and where it is stored."""
    if name == DEMO:
        _print_pairs({"name": DEMO, "folder": str(DEMO_FOLDER), "made by": "training/ of this project"})
    else:
        _print_pairs(_facts(KNOWN_MODELS[name]))


@command.command(
    "pull",
    epilog="""\b
Examples:
  extractor models pull chatglm3-6b
  MODELSCOPE_CACHE=/big/disk extractor models pull chatglm3-6b-32k
""",
)
@click.argument("name", type=_PUBLISHED)
@click.option("--revision", help="A revision on ModelScope instead of the pinned one.")
def pull_(name: str, revision: str | None) -> None:
    """Download a model, or what is missing of it, and verify checksums. Prints the folder."""
    click.echo(str(pull(KNOWN_MODELS[name], revision)))


@command.command(
    epilog="""\b
Examples:
  extractor models info demo
  extractor models info ./my-chatglm3 --adapter ./my-lora
"""
)
@click.argument("model", type=MODEL)
@click.option(
    "--adapter", "adapters", type=FOLDER, multiple=True, metavar="DIR", help="A LoRA or P-Tuning prefix to use with it."
)
@click.option("--revision", help="A revision on ModelScope instead of the pinned one.")
def info(model: str, adapters: tuple[str, ...], revision: str | None) -> None:
    """Describe a model that is on this machine, and say whether it loads. Never touches the network.

    Weights are not read. A model that would not load is an error, which says why.
    """
    location = resolve(model, revision, offline=True, adapters=adapters)
    precision = stored_precision(location.path)
    dims = read_dims(location.path)
    size = sum(file.stat().st_size for file in checkpoint_files.checkpoint_files(location.path))
    pairs = {
        "name": location.name,
        "folder": str(location.path),
        "revision": location.revision or "none (a folder)",
        "identity": location.identity,
        "files": _size(size),
        "stored in": precision or "floating point",
        "parameters": f"{dims.parameters:,}",
        "layers": f"{dims.layers} of {dims.hidden_size}, {dims.heads} heads in {dims.groups} groups",
        "vocabulary": f"{dims.vocab_size:,}",
        "context": f"{dims.context:,} tokens",
        "KV cache": f"{dims.cache_bytes(1) / 1024:g} KiB a token in half precision",
    }
    choices = {precision: find_precision(precision)} if precision else load_precisions()
    needs = {f"needs, {name}": _size(each.needed_bytes(dims)) for name, each in choices.items()}
    _print_pairs(pairs | needs)
    from extractor.chatglm3.verification import verify

    _print_pairs({f"{'loads':{max(map(len, pairs | needs))}}": verify(location)})


@command.command(
    epilog="""\b
Examples:
  extractor models quantize chatglm3-6b ./chatglm3-6b-int4 --precision int4
  extractor run inbox/ -s contact -m ./chatglm3-6b-int4
"""
)
@click.argument("model", type=MODEL)
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--precision", type=click.Choice(quantized_names()), default="int4", show_default=True)
@_adapter
@click.option("--revision", help="A revision on ModelScope instead of the pinned one.")
@click.option("--overwrite", is_flag=True, help="Replace a quantised model in OUT.")
def quantize(
    model: str, out: Path, precision: str, adapters: tuple[str, ...], revision: str | None, overwrite: bool
) -> None:
    """Store a model (a name or a folder) with 8-bit or 4-bit weights in the new folder OUT. Prints the folder.

    It loads faster than quantising at every start and takes a half or a third of the disk space. Never touches the
    network.
    """
    from extractor.chatglm3 import quantize

    location = resolve(model, revision, offline=True, adapters=adapters)
    quantize.quantize(location.path, out, precision, overwrite=overwrite, adapters=location.adapters)
    click.echo(str(out))


@command.command(
    epilog="""\b
Examples:
  extractor models export chatglm3-6b ./chatglm3-6b-hf
  extractor models export ./my-chatglm3 ./my-chatglm3-hf --precision bfloat16
"""
)
@click.argument("model", type=MODEL)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice([name for name in names() if name not in quantized_names()]),
    help="Data type of the stored weights (half is float16).  [default: as in the checkpoint]",
)
@_adapter
@click.option("--revision", help="A revision on ModelScope instead of the pinned one.")
def export(model: str, out: Path, precision: str | None, adapters: tuple[str, ...], revision: str | None) -> None:
    """Write a model (a name or a folder) to the new folder OUT for transformers and vLLM. Prints the folder.

    OUT is a plain GlmForCausalLM checkpoint: safetensors, config.json, tokenizer.json, chat template. It loads with no
    remote code and gives the original's logits and token ids. Never touches the network.
    """
    from extractor.chatglm3 import export

    location = resolve(model, revision, offline=True, adapters=adapters)
    with tqdm(unit="B", unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        export.export(location.path, out, precision, show, location.adapters)
    click.echo(str(out))


def _facts(known: KnownModel) -> dict[str, str]:
    cached = find_cached(known)
    return {
        "name": known.name,
        "what": known.summary,
        "ModelScope": f"https://modelscope.cn/models/{known.hub_id}",
        "revision": f"{known.revision} (--revision takes another)",
        "folder": str(cached) if cached else f"not here: extractor models pull {known.name}",
        "cache": str(cache_folder()),
    }


def _print_pairs(pairs: dict[str, str]) -> None:
    width = max(map(len, pairs))
    for name, value in pairs.items():
        click.echo(f"{name:{width}}  {value}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

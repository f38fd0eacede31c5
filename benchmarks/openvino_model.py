"""OpenVINO's forms of a plain GlmForCausalLM folder, for `contenders/openvino.py`: weights of 16 bits, and of 8.

    FOLDER/bin/python -m benchmarks.openvino_model PLAIN

`throughput.py` runs it by the interpreter of `openvino_env.sh`, so it knows neither the package nor its torch. The
forms lie beside PLAIN, each with the tokenizer that OpenVINO made of PLAIN's; one that is there is left as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.contenders.openvino import model_folder

MODEL = "openvino_model.xml"


def forms(plain: Path) -> list[Path]:
    """The folders of both forms, with 16 bits first: it is what the other one is made from."""
    return [model_folder(plain, weights) for weights in ("fp16", "int8")]


def complete(folder: Path) -> bool:
    """Whether a form is there."""
    return (folder / MODEL).exists()


def convert(plain: Path) -> None:
    """Make what is missing. A form gets its name when it is complete."""
    half, small = forms(plain)
    _make(half, lambda part: _export(plain, part))
    _make(small, lambda part: _compress(half, part))


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    if not complete(folder):
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        write(part)
        part.rename(folder)


def _export(plain: Path, folder: Path) -> None:
    program = Path(sys.executable).with_name("optimum-cli")
    options = ["--task", "text-generation-with-past", "--weight-format", "fp16"]
    command = [str(program), "export", "openvino", "-m", str(plain), *options, str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def _compress(half: Path, folder: Path) -> None:
    """The same model with weights of 8 bits, each row with a scale and a zero point of its own."""
    import nncf
    import openvino

    shutil.copytree(half, folder, ignore=shutil.ignore_patterns("openvino_model.*"))
    model = openvino.Core().read_model(half / MODEL)
    openvino.save_model(nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM), folder / MODEL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plain", type=Path, help="the folder that `extractor models export` wrote")
    convert(parser.parse_args().plain)


if __name__ == "__main__":
    main()

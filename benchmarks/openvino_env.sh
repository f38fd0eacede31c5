#!/usr/bin/env bash
# Builds an environment of its own for OpenVINO GenAI, which `throughput.py --openvino FOLDER` measures beside ours.
#
#     benchmarks/openvino_env.sh FOLDER      (about 1.9 GB; PYTHON names the interpreter, 3.11 by default)
#
# Converting a model takes optimum-intel, which refuses the transformers that this project has, so nothing is shared.
# It is installed without its dependencies, since they ask for torchvision: no CPU build of it belongs to this torch,
# and text needs none. The +cpu build of torch must be at hand for pip (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL); plain
# `torch` would take gigabytes of CUDA.
set -euo pipefail

folder=${1:?usage: openvino_env.sh FOLDER}
torch=2.13.0+cpu
openvino=2026.4.1
optimum_intel=2.2.0
transformers=5.0.0

"${PYTHON:-python3.11}" -m venv "$folder"
folder=$(cd "$folder" && pwd)
install() { "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"; }

install --no-deps "optimum-intel==$optimum_intel"
"$folder/bin/python" - > "$folder/requirements.txt" <<'PYTHON'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

for requirement in map(Requirement, requires("optimum-intel")):
    absent = requirement.name in ("torch", "torchvision")
    if not absent and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
        print(str(requirement).partition(";")[0])
PYTHON
printf '%s\n' "torch==$torch" "transformers==$transformers" "openvino==$openvino" > "$folder/constraints.txt"
install -c "$folder/constraints.txt" -r "$folder/requirements.txt" "torch==$torch" "openvino==$openvino" \
    "openvino-genai==$openvino" "openvino-tokenizers==$openvino"
install -c "$folder/constraints.txt" "jsonschema[format]" json-repair orjson  # what this project needs beside

"$folder/bin/python" -c "import openvino_genai; print('OpenVINO GenAI', openvino_genai.get_version(), 'is ready')"

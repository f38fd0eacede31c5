# For machines without a GPU:
#   docker build -t extractor .
#   docker run --rm -v "$PWD:/work" -v extractor-cache:/cache extractor run inbox -s contact -o results.jsonl
# Without TORCH_INDEX, the index of torch's CPU builds, the image holds the CUDA build, which is gigabytes larger.

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY extractor ./extractor
COPY prompts ./prompts
COPY schemas ./schemas
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
ARG TORCH_INDEX=""
ARG EXTRAS="docs,ocr,zstd,parquet,s3,openai"
# gcc compiles the kernels for the processor that the container runs on, once
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /build/
COPY --from=wheel /wheels /build/wheels
RUN pip install --no-cache-dir --constraint /build/constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$(echo /build/wheels/*.whl)[$EXTRAS]"

# Whoever the container runs as may write: rows to /work, models and kernels to /cache
RUN mkdir --mode 1777 /cache /work && useradd --home-dir /cache --no-create-home --uid 1000 extractor
ENV HOME=/cache MODELSCOPE_CACHE=/cache/modelscope
VOLUME /cache
USER extractor
WORKDIR /work
ENTRYPOINT ["extractor"]
CMD ["--help"]

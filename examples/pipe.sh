#!/usr/bin/env bash
# A stage in a pipe: a row leaves as soon as its document is done, and a slow reader slows the run down instead of filling
# memory. The exit code is that of the run: 1 where documents failed. Usage: pipe.sh < docs.jsonl
set -euo pipefail
extractor run - -s contact -o - --quiet --allow-empty "$@" | jq -c 'select(.status == "ok") | {id, phone: .data["手机号"], at: .spans["/手机号"][0]}'

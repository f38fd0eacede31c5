#!/usr/bin/env bash
# A task for cron, systemd, Airflow, ... that acts on the exit codes. Run again after any stop, it does what is missing.
# A night without a document is no mistake: --allow-empty. Usage: nightly.sh INBOX RESULTS.jsonl [options of extractor run]
set -uo pipefail
inbox=$1 results=$2
shift 2
code=0
extractor run "$inbox" -s contact -o "$results" --retry-failed --quiet --allow-empty "$@" || code=$?
case $code in
  0) echo "complete" ;;
  1) # every document has its row; some are to be looked at
     echo "complete, but for:"
     jq -r 'select(.status != "ok") | "\(.id)\t\(.errors[-1].code)"' "$results" ;;
  4 | 130) echo "stopped; the next start goes on where it was" ;;
  *) echo "wrong line or no model: somebody has to look" >&2 ;;
esac
exit "$code"

#!/usr/bin/env bash
# Writes down when it was called, and for which URL, and becomes the given command: pacman stays its parent.
#
# usage: log-start.sh LOG COMMAND [ARGUMENT...] URL OUT
set -euo pipefail
log=$1
shift
printf '%s %s\n' "$EPOCHREALTIME" "${*: -2:1}" >>"$log"
exec "$@"

#!/usr/bin/env bash
# XferCommand in the manner of the first generation: the mirror's .torrent, with the mirror as its webseed, goes to
# transmission-daemon, which is asked every second whether it is done.
#
# usage: old-way.sh HOST:PORT DOWNLOADS URL OUT
set -euo pipefail
remote=$1 downloads=$2 url=$3 out=$4
name=${url##*/}

case $name in
*.pkg.tar.*) ;;
*) exec curl -sSf -o "$out" "$url" ;;
esac

torrent=$(mktemp --suffix .torrent)
trap 'rm -f "$torrent"' EXIT
curl -sSf --max-time 6 -o "$torrent" "$url.torrent"
transmission-remote "$remote" --add "$torrent" >/dev/null
until [ -f "$downloads/$name" ]; do
	sleep 1
done
cp "$downloads/$name" "$out"

#!/usr/bin/env bash
# Holds the units, the user and the directories that systemd gets from us against systemd's own tools.
#
# usage: systemd.sh [P2PD]      P2PD: the daemon's program, with p2pctl beside it; target/debug/p2pd unless told
set -euo pipefail

top=$(realpath "$(dirname "$0")/../..")
p2pd=$(realpath "${1:-$top/target/debug/p2pd}")
most_exposure=2.0
units=(p2pd.service p2pd-prefetch.service p2pd-prefetch.timer)

work=$(mktemp -d /tmp/p2pt-systemd.XXXXXX)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "systemd.sh: $*" >&2
	exit 1
}

# `verify` ends well whatever it finds in a value: what it prints counts. The programs need not be installed.
verify_prints_nothing() {
	local unit printed
	for unit in "${units[@]}"; do
		sed "s#^ExecStart=/usr/bin/#ExecStart=$(dirname "$p2pd")/#" "$top/systemd/$unit" >"$work/$unit"
	done
	printed=$(cd "$work" && systemd-analyze verify "${units[@]/#/./}" 2>&1) || fail "verify failed: $printed"
	[ -z "$printed" ] || fail "verify says: $printed"
}

exposure_is_small() {
	local unit level
	for unit in p2pd.service p2pd-prefetch.service; do
		level=$(systemd-analyze security --offline=true --no-pager "$top/systemd/$unit" |
			sed -n "s/.*Overall exposure level for $unit: \([0-9.]*\) .*/\1/p")
		echo "systemd.sh: exposure level of $unit $level, at most $most_exposure"
		awk -v level="$level" -v most="$most_exposure" 'BEGIN { exit !(level != "" && level + 0 <= most + 0) }' ||
			fail "$unit exposes more than $most_exposure"
	done
}

# unit_says UNIT LINE...
unit_says() {
	local unit=$1 line
	shift
	for line in "$@"; do
		grep --quiet --line-regexp --fixed-strings -- "$line" "$top/systemd/$unit" || fail "$unit lacks $line"
	done
}

# Settings that a later systemd knows would be ignored on Debian 12; and clients of other users must stay tellable.
units_say_what_the_programs_rely_on() {
	unit_says p2pd.service 'ExecStart=/usr/bin/p2pd --config /etc/p2pd/p2pd.toml' Type=notify \
		"ExecReload=/bin/kill -HUP \$MAINPID" WatchdogSec=30 User=p2pd Group=p2pd StateDirectory=p2pd \
		RuntimeDirectory=p2pd RuntimeDirectoryMode=0755 UMask=0022
	! grep '^PrivateUsers=' "$top/systemd/p2pd.service" || fail "PrivateUsers= hides who a client is"
	# The daemon lets its own user fetch; pacman's copies need a place.
	unit_says p2pd-prefetch.service 'ExecStart=/usr/bin/p2pctl prefetch --sysupgrade' Type=oneshot User=p2pd \
		PrivateTmp=true Requisite=p2pd.service
	! grep '^PrivateUsers=' "$top/systemd/p2pd-prefetch.service" || fail "PrivateUsers= hides who the client is"
	unit_says p2pd-prefetch.timer Persistent=true WantedBy=timers.target
	! grep '^\[Install\]' "$top/systemd/p2pd-prefetch.service" || fail "it is the timer that starts a prefetch"
}

user_and_directories_are_made() {
	local root=$work/root
	install -D -m 644 "$top/systemd/p2pd.sysusers" "$root/usr/lib/sysusers.d/p2pd.conf"
	install -D -m 644 "$top/systemd/p2pd.tmpfiles" "$root/usr/lib/tmpfiles.d/p2pd.conf"
	mkdir -p "$root/etc"
	systemd-sysusers --root="$root"
	grep --quiet '^p2pd:x:[0-9]*:[0-9]*:Pacman2Pacman daemon:/var/lib/p2pd:.*/nologin$' "$root/etc/passwd" ||
		fail "the user p2pd is another one: $(grep p2pd "$root/etc/passwd")"
	grep --quiet '^p2pd:' "$root/etc/group" || fail "there is no group p2pd"
	[ "$(id -u)" = 0 ] || return 0
	systemd-tmpfiles --root="$root" --create
	[ "$(stat -c '%a %u' "$root/var/lib/p2pd")" = "755 $(sed -n 's/^p2pd:x:\([0-9]*\):.*/\1/p' "$root/etc/passwd")" ] ||
		fail "/var/lib/p2pd has another mode or owner"
}

for fact in verify_prints_nothing exposure_is_small units_say_what_the_programs_rely_on \
	user_and_directories_are_made; do
	echo "systemd.sh: $fact"
	"$fact"
done
echo "systemd.sh: ok"

#!/usr/bin/env bash
# Runs NetworkManager's dispatcher script with an nmcli that says what a test wants, and a p2pctl that writes down what it is told.
#
# usage: networkmanager.sh
set -euo pipefail

top=$(realpath "$(dirname "$0")/../..")
script=$top/packaging/networkmanager/90-pacman2pacman

work=$(mktemp -d /tmp/p2pt-networkmanager.XXXXXX)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "networkmanager.sh: $*" >&2
	exit 1
}

fake() {
	cat >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

mkdir "$work/bin"
fake nmcli <<SH
#!/bin/sh
[ "\$LC_ALL" = C ] || exit 9
[ ! -e "$work/no-network-manager" ] || { echo 'Error: NetworkManager is not running.'; exit 8; }
cat "$work/devices"
SH
fake p2pctl <<SH
#!/bin/sh
echo "\$*" >>"$work/told"
[ ! -s "$work/not-running" ] || { sed -i 1d "$work/not-running"; exit 3; }
SH

# device NAME TYPE METERED [ROUTE...]
device() {
	local count4=0 count6=0 route
	printf 'GENERAL.DEVICE:%s\nGENERAL.TYPE:%s\nGENERAL.METERED:%s\n' "$1" "$2" "$3"
	shift 3
	for route; do
		case $route in
		*::*) printf 'IP6.ROUTE[%d]:%s\n' $((count6 += 1)) "$route" ;;
		*) printf 'IP4.ROUTE[%d]:%s\n' $((count4 += 1)) "$route" ;;
		esac
	done
	echo
}

# calls ACTION SHELL: what p2pctl was told, one call a line
calls() {
	: >"$work/told"
	PATH=$work/bin:$PATH "$2" "$script" wlan0 "$1" >"$work/printed" 2>&1 || fail "$1 failed"
	[ ! -s "$work/printed" ] || fail "$1 prints: $(cat "$work/printed")"
	cat "$work/told"
}

# expect CALL: whatever the shell
expect() {
	local shell told
	for shell in sh dash bash; do
		told=$(calls up "$shell")
		[ "$told" = "$1" ] || fail "${FUNCNAME[1]}, $shell: told \"$told\", not \"$1\""
	done
}

pause='pause --reason metered'
resume='resume --reason metered'
loopback=$(device lo loopback unknown 'dst = 127.0.0.0/8, nh = 0.0.0.0, mt = 0')

a_metered_way_out_pauses() {
	{ echo "$loopback"; device wlan0 wifi 'yes (guessed)' 'dst = 0.0.0.0/0, nh = 192.168.43.1, mt = 600'; } >"$work/devices"
	expect "$pause"
	{ echo "$loopback"; device wwan0 gsm yes 'dst = 0.0.0.0/0, nh = 0.0.0.0, mt = 700'; } >"$work/devices"
	expect "$pause"
	device wlan0 wifi yes 'dst = fe80::/64, nh = ::, mt = 1024' 'dst = ::/0, nh = fe80::1, mt = 600' >"$work/devices"
	expect "$pause"
}

any_other_way_out_resumes() {
	local metered
	for metered in no 'no (guessed)' unknown ''; do
		device wlan0 wifi "$metered" 'dst = 0.0.0.0/0, nh = 192.168.1.1, mt = 600' >"$work/devices"
		expect "$resume"
	done
	# On, but not the way out.
	device wlan0 wifi yes 'dst = 192.168.43.0/24, nh = 0.0.0.0, mt = 600' >"$work/devices"
	expect "$resume"
	: >"$work/devices"
	expect "$resume"
	touch "$work/no-network-manager"
	expect "$resume"
	rm "$work/no-network-manager"
}

the_best_route_counts() {
	local cable wireless
	cable=$(device eth0 ethernet no 'dst = 0.0.0.0/0, nh = 192.168.1.1, mt = 100')
	wireless=$(device wlan0 wifi yes 'dst = 0.0.0.0/0, nh = 192.168.43.1, mt = 600')
	printf '%s\n\n%s\n' "$cable" "$wireless" >"$work/devices"
	expect "$resume"
	printf '%s\n\n%s\n' "$wireless" "$cable" >"$work/devices"
	expect "$resume"
	printf '%s\n\n%s\n' "$wireless" "${cable/100/1000}" >"$work/devices"
	expect "$pause"
}

a_tunnel_says_nothing() {
	{
		device tun0 tun 'no (guessed)' 'dst = 0.0.0.0/0, nh = 10.8.0.1, mt = 50'
		device wlan0 wifi yes 'dst = 0.0.0.0/0, nh = 192.168.43.1, mt = 600'
		device wg0 wireguard no 'dst = 0.0.0.0/0, nh = 0.0.0.0, mt = 50'
	} >"$work/devices"
	expect "$pause"
}

only_changes_of_the_network_count() {
	local action
	for action in pre-up pre-down dhcp4-change dhcp6-change hostname dns-change '' anything; do
		[ -z "$(calls "$action" sh)" ] || fail "it acts at \"$action\""
	done
	for action in down vpn-up vpn-down connectivity-change reapply start; do
		[ "$(calls "$action" sh)" = "$pause" ] || fail "it does not act at $action"
	done
}

a_daemon_that_is_not_running_is_waited_for_only_where_it_starts() {
	printf 'once\n' >"$work/not-running"
	[ "$(calls up sh)" = "$pause" ] || fail "a daemon that does not run was asked again"
	printf 'once\n' >"$work/not-running"
	[ "$(calls start sh)" = "$pause"$'\n'"$pause" ] || fail "a daemon that starts was not asked again"
	printf '%s\n' {1..10} >"$work/not-running"
	[ "$(calls start sh | wc -l)" = 10 ] || fail "it does not give up in time"
}

without_the_programs_nothing_happens() {
	mkdir -p "$work/empty"
	PATH=$work/empty /bin/sh "$script" wlan0 up || fail "it fails where p2pctl and nmcli are missing"
}

for fact in a_metered_way_out_pauses any_other_way_out_resumes the_best_route_counts a_tunnel_says_nothing \
	only_changes_of_the_network_count a_daemon_that_is_not_running_is_waited_for_only_where_it_starts \
	without_the_programs_nothing_happens; do
	echo "networkmanager.sh: $fact"
	"$fact"
done
echo "networkmanager.sh: ok"

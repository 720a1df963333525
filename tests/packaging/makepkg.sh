#!/usr/bin/env bash
# Builds the packages of packaging/arch with the real makepkg, as an ordinary user, looks at what is in them, installs
# them with the real pacman into a root of their own, and removes them again.
#
# usage: makepkg.sh [BINARIES]   BINARIES: the directory of built p2pd, p2pctl and pacman2pacman-get, target/debug unless
#                                told; nothing is compiled here
set -euo pipefail

top=$(realpath "$(dirname "$0")/../..")
binaries=$(realpath "${1:-$top/target/debug}")
version=$(sed -n 's/^pkgver=//p' "$top/packaging/arch/PKGBUILD")
[ "$(id -u)" = 0 ] || { echo "makepkg.sh: pacman --root needs root" >&2; exit 1; }

work=$(mktemp -d /tmp/p2pt-makepkg.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

fail() {
	echo "makepkg.sh: $*" >&2
	exit 1
}

# as_nobody DIRECTORY MAKEPKG-OPTION…
as_nobody() {
	local directory=$1
	chown -R nobody "$directory"
	(cd "$directory" && PKGEXT=.pkg.tar PKGDEST=$directory setpriv --reuid nobody --regid nogroup --clear-groups \
		env HOME="$directory" PACMAN=true makepkg --nodeps --nocolor "${@:2}")
}

# What the README says to do first: makepkg finds the source in the clone, and all that package() takes is in it.
unpack_source() {
	[ -e "$top/.git" ] || { echo "makepkg.sh: no clone here, its source is not looked at"; return; }
	cp -r "$top/packaging/arch/." "$work/source"
	git -C "$top" archive --prefix="pacman2pacman-$version/" --output="$work/source/pacman2pacman-$version.tar.gz" HEAD
	as_nobody "$work/source" --nobuild --noprepare
	[ -f "$work/source/src/pacman2pacman-$version/Cargo.lock" ] || fail "the source lacks Cargo.lock"
}

# makepkg runs as nobody; its sources lie where it would have unpacked and built them, so that only package() runs.
build_packages() {
	local source="$work/build/src/pacman2pacman-$version"
	mkdir -p "$source/target/release"
	cp -r "$top/packaging/arch/." "$work/build"
	cp -r "$top"/{config,docs,openrc,packaging,systemd,README.md} "$source"
	cp "$binaries"/{p2pd,p2pctl,pacman2pacman-get} "$source/target/release"
	as_nobody "$work/build" --repackage --skipinteg
}

# listing PACKAGE: "mode owner path" of all that is no directory, without pacman's own files
listing() {
	bsdtar --list --verbose --numeric-owner --file "$1" |
		awk '$1 !~ /^d/ && $NF !~ /^\./ { print $1, $3 ":" $4, $NF }' | LC_ALL=C sort --key 3
}

expect_listing() {
	diff --unified - <(listing "$1") || fail "$(basename "$1") holds other files, modes or owners"
}

look_at_packages() {
	local file documents
	documents=$(cd "$top" && for file in README.md docs/*.md; do
		echo "-rw-r--r-- 0:0 usr/share/doc/pacman2pacman/$(basename "$file")"
	done | LC_ALL=C sort)
	expect_listing "$main" <<-LIST
		-rw-r--r-- 0:0 etc/p2pd/p2pd.toml
		-rwxr-xr-x 0:0 usr/bin/p2pctl
		-rwxr-xr-x 0:0 usr/bin/p2pd
		-rwxr-xr-x 0:0 usr/bin/pacman2pacman-get
		-rwxr-xr-x 0:0 usr/lib/NetworkManager/dispatcher.d/90-pacman2pacman
		-rw-r--r-- 0:0 usr/lib/systemd/system/p2pd-prefetch.service
		-rw-r--r-- 0:0 usr/lib/systemd/system/p2pd-prefetch.timer
		-rw-r--r-- 0:0 usr/lib/systemd/system/p2pd.service
		-rw-r--r-- 0:0 usr/lib/sysusers.d/p2pd.conf
		-rw-r--r-- 0:0 usr/lib/tmpfiles.d/p2pd.conf
		$documents
		-rw-r--r-- 0:0 usr/share/libalpm/hooks/pacman2pacman.hook
		-rwxr-xr-x 0:0 usr/share/libalpm/scripts/pacman2pacman-nudge
		-rw-r--r-- 0:0 usr/share/licenses/pacman2pacman/COPYING
	LIST
	expect_listing "$openrc" <<-LIST
		-rw-r--r-- 0:0 etc/conf.d/p2pd
		-rwxr-xr-x 0:0 etc/init.d/p2pd
	LIST
	bsdtar --extract --to-stdout --file "$main" .PKGINFO | grep --quiet '^backup = etc/p2pd/p2pd.toml$' ||
		fail "pacman would overwrite the configuration"
}

# What the scriptlets call, with the libraries of it, so that pacman can run them in the root.
furnish_root() {
	mkdir -p "$root"/{dev,etc,tmp,usr/bin,usr/sbin,var/lib/pacman,var/cache/pacman/pkg,var/log}
	ln -s usr/bin "$root/bin"
	local program
	for program in bash sh cat grep getent useradd pacman-conf; do
		program=$(command -v "$program")
		cp --dereference "$program" "$root/usr/bin"
		ldd "$program" | grep --only-matching '/[^ ]*' | while read -r library; do
			mkdir -p "$root$(dirname "$library")"
			cp --dereference "$library" "$root$library"
		done
	done
	echo 'root:x:0:0::/root:/bin/bash' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	echo 'passwd: files' >"$root/etc/nsswitch.conf"
	: >"$root/dev/null"
	install -m 755 /dev/null "$root/usr/bin/nologin"
	printf '[options]\nXferCommand = /usr/bin/pacman2pacman-get %%u %%o\n' >"$root/etc/pacman.conf"
}

in_root() {
	pacman --root "$root" --config "$work/pacman.conf" --hookdir "$root/usr/share/libalpm/hooks" --noconfirm "$@" 2>&1 |
		tee "$work/log"
	! grep --invert-match --extended-regexp '\.pacsave$|-- reinstalling$' "$work/log" |
		grep --extended-regexp --ignore-case 'error|warning: |failed to|not found' ||
		fail "pacman $1 complains"
}

expect_said() {
	grep --quiet --fixed-strings "$1" "$work/log" || fail "pacman did not say: $1"
}

install_and_remove() {
	printf '[options]\nArchitecture = x86_64\nSigLevel = Never\n' >"$work/pacman.conf"
	in_root --upgrade --nodeps --nodeps "$main" "$openrc"
	expect_said 'XferCommand = /usr/bin/pacman2pacman-get %u %o'
	expect_said 'Telling Pacman2Pacman what is new'
	grep --quiet '^p2pd:.*:/var/lib/p2pd:' "$root/etc/passwd" || fail "the user p2pd was not made"
	cmp "$top/config/p2pd.toml" "$root/etc/p2pd/p2pd.toml" || fail "another configuration was installed"
	in_root --upgrade --nodeps --nodeps "$main"
	expect_said 'the running daemon is still the old one'
	echo '# mine' >>"$root/etc/p2pd/p2pd.toml"
	in_root --remove --nodeps --nodeps pacman2pacman pacman2pacman-openrc
	expect_said 'pacman.conf still names pacman2pacman-get as XferCommand'
	expect_said 'fork failed!'
	[ -f "$root/etc/p2pd/p2pd.toml.pacsave" ] || fail "a changed configuration was not kept"
	[ ! -e "$root/usr/bin/pacman2pacman-get" ] || fail "pacman2pacman-get was not removed"
}

mkdir "$work/source"
unpack_source
build_packages
main=$(echo "$work"/build/pacman2pacman-"$version"-*.pkg.tar)
openrc=$(echo "$work"/build/pacman2pacman-openrc-"$version"-*.pkg.tar)
root=$work/root
look_at_packages
furnish_root
install_and_remove
echo "makepkg.sh: ok"

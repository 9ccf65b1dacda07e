#!/bin/bash
# ./bootstrap, with stand-ins for Debian's programs: what it would install, how, and what it says when it may not.
# (That it
# works on a bare Debian can only be tried on one.)
. "$T/e2e/lib.sh"

bin=$TMP/bin
mkdir "$bin"
stand_in() { # name; the script is on standard input
    {
        echo '#!/bin/sh'
        cat
    } >"$bin/$1"
    chmod +x "$bin/$1"
}
for program in sh dirname sort printf env cat tail mktemp rm nproc test tr grep sed awk bash; do
    ln -s "$(command -v $program)" "$bin/$program"
done
# $TMP/have has the installed packages, one a line.
stand_in dpkg-query <<'EOS'
for package; do :; done
grep -qx "$package" "$TMP/have" && echo 'ii '
EOS
stand_in id <<'EOS'
echo 1000
EOS
stand_in make <<'EOS'
echo "make $*"
EOS
stand_in apt-get <<'EOS'
echo "apt-get $*" >>"$TMP/log"
EOS
bootstrap() {
    rm -f "$TMP/log"
    run env -i PATH="$bin" TMP="$TMP" TMPDIR="$TMP" CI=true sh "$ROOT/bootstrap" "$@"
}

everything=$(sed -n "s/^\(build\|lazy\|demo\|tests\|servers\)='\(.*\)'$/\2/p" "$ROOT/bootstrap" | tr ' ' '\n')
printf '%s\n' "$everything" >"$TMP/have"
bootstrap
eq 'with everything there it only hands over' "$status/$err" 0/
contains 'without a word it builds all' "$out" ' all'
bootstrap install PREFIX=/usr DESTDIR=/d
contains 'targets and variables reach make' "$out" ' install PREFIX=/usr DESTDIR=/d'

grep -vx -e gcc -e sqlite3 -e clang-format "$TMP/have" >"$TMP/less" && mv "$TMP/less" "$TMP/have"
bootstrap
eq 'what is missing and can not be installed: exit 2' "$status" 2
contains 'the one line to run' "$err" '  apt-get update && apt-get install -y --no-install-recommends gcc'
lacks 'a build does not want what only the demonstration needs' "$err" sqlite3
lacks 'nothing is made' "$out" make
bootstrap demo
contains 'the demonstration wants its programs' "$err" 'gcc sqlite3'
lacks 'and not those of the tests' "$err" clang-format
bootstrap test
contains 'the tests want everything' "$err" 'clang-format fish gcc mksh sqlite3'
bootstrap clean
eq 'cleaning wants nothing' "$status/$out" "0/make -j$(nproc) clean"

# shellcheck disable=SC2016 # the stand-in's own
stand_in sudo <<'EOS'
shift
[ "$1" != true ] || exit 0
echo "sudo $*" >>"$TMP/log"
EOS
bootstrap
eq 'with sudo it installs and hands over' "$status/$err" 0/
contains 'it says what it installs' "$out" 'bootstrap: installing gcc'
contains 'it asks nobody anything' "$(cat "$TMP/log")" 'env DEBIAN_FRONTEND=noninteractive'
contains 'by apt-get, without what is only recommended' "$(cat "$TMP/log")" 'install --no-install-recommends gcc'

rm "$bin/dpkg-query" "$bin/make"
bootstrap
eq 'elsewhere than on Debian, without make: exit 2' "$status" 2
contains 'it says what is needed' "$err" 'libuv1-dev'

finish

# Puts standard input into a file: $1 its name (for printf %b), $2 a name for the temporary one, $3 mode, $4 size,
# $5 SHA-256. What reads it first is a login shell: no single quote, "!" or two backslashes may stand here.
no() {
    printf "rbhost-no %s\n" "$*"
    [ -z "${t:-}" ] || rm -f "$t"
    exit 1
}

umask 077
p=$(printf %bx "$1")
p=${p%x} i=
while [ -h "$p" ]; do # what a link leads to
    l=$(readlink "$p") || no "$p is a link, and nothing tells where it leads (readlink)"
    i=x$i
    [ ${#i} -lt 40 ] || no "$p leads round and round"
    case $p in */*) d=${p%/*}/ ;; *) d= ;; esac
    case $l in /*) p=$l ;; *) p=$d$l ;; esac
done
case $p in */) no "$p is a folder" ;; */*) d=${p%/*}/ ;; *) d= ;; esac
[ -d "${d:-.}" ] || no "there is no folder $d"
[ -d "$p" ] && no "$p is a folder"
t=${d}.rbhost-$2
e=$(cat 2>&1 >"$t") || no "$p can not be written: $e"
n=$(($(wc -c <"$t")))
[ "$n" -eq "$4" ] || no "only $n of $4 bytes came"
s=$(digest <"$t" 2>/dev/null)
s=${s%% *}
[ -n "$s" ] || no "nothing there tells a SHA-256 (sha256sum, shasum, sha256, openssl)"
[ "$s" = "$5" ] || no "what came is not what was sent: its SHA-256 is $s, not $5"
e=$(chmod "$3" "$t" 2>&1 && mv -f "$t" "$p" 2>&1) || no "$p can not be replaced: $e"
printf "rbhost-file %s %s %s\n" "$n" "$3" "$s"

# Tells size, mode and SHA-256 of the file $1 (for printf %b), then all of its bytes. What reads it first is a login
# shell: no single quote, "!" or two backslashes may stand here.
no() {
    printf "rbhost-no %s\n" "$*"
    exit 1
}
# One digit of the mode, from three letters as ls has them.
digit() {
    n=0
    case $1 in r*) n=4 ;; esac
    case $1 in ?w*) n=$((n + 2)) ;; esac
    case $1 in ??[xst]) n=$((n + 1)) ;; esac
}

p=$(printf %bx "$1")
p=${p%x}
[ -e "$p" ] || no "there is no $p"
[ -f "$p" ] || no "$p is no file"
[ -r "$p" ] || no "$p may not be read"
m=$(LC_ALL=C ls -ldL "$p")
m=${m%% *}
m=${m#?} o=
for i in 1 2 3; do
    r=${m#???}
    digit "${m%"$r"}"
    m=$r o=$o$n
done
n=$(($(wc -c <"$p")))
s=$(digest <"$p" 2>/dev/null)
s=${s%% *}
[ -n "$s" ] || no "nothing there tells a SHA-256 (sha256sum, shasum, sha256, openssl)"
printf "rbhost-file %s %s %s\n" "$n" "$o" "$s"
exec cat "$p"

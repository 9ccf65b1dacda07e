# What every request about receipts begins with: the place, who is alive, how a verdict is said. POSIX sh; nothing is
# needed that a minimal PATH (/bin:/usr/bin) does not have. Names begin with rb_, since a variable that the environment
# has already would reach the command.
#
# The request sets: rb_do (what is asked), rb_root rb_boot rb_machine rb_user (the place that it means), rb_id (the
# receipt), rb_own_id (random, of this request), and what its part says. rb_s is this text itself.
#
# The receipts root (0700, files 0600) holds `id`, which is random, and a folder for each receipt:
#
#   lock       "PID BORN BOOT OWN-ID" of the shell that keeps the receipt. Linked, so it is whole, and there is one.
#   pid        the same of the command. Linked by the process that becomes the command, right before it does. Whoever
#              finds no keeper, or a dead one, links a tombstone (PID 0) to the free name: then it never starts.
#   in         all of the command's input, until the command has opened it
#   out err    what is kept of its output; out.n err.n: bytes that came in all, "full" when the disk was
#   sudo       it runs as somebody else
#   late stop  it was told to end: its time-out passed; somebody asked
#   status     the verdict, renamed into its place; its room on the disk was taken before the start
#   done       the verdict is recorded elsewhere, and the rest was taken away
#   old        nobody has asked for it in 7 days, and the rest was taken away

# One line. The second is for secrets: never by a program, whose arguments all can see.
rb_out() { printf '%s\n' "$*"; }
case $(command -v printf) in
/*) rb_say() { print -r -- "$1"; } ;;
*) rb_say() { printf '%s\n' "$1"; } ;;
esac

rb_verdict() {
    rb_out "$*"
    exit 0
}

# Sleeps for $1 milliseconds; whole seconds where sleep knows no others.
rb_nap() {
    rb_t=$((1000 + $1 % 1000))
    sleep "$(($1 / 1000)).${rb_t#1}" 2>/dev/null || sleep "$(($1 / 1000 + 1))"
}

# Sets rb_is_born: when the process $1 began, "" when it is gone or only waits to be reaped. With it a number that was
# given to another process is not mistaken.
rb_birth() {
    rb_is_born=
    if [ -r /proc/self/stat ]; then
        rb_t=
        { while read -r rb_u; do rb_t="$rb_t $rb_u"; done <"/proc/$1/stat"; } 2>/dev/null
        rb_after "${rb_t##*) }"
    else
        rb_born_by_ps "$1"
    fi
}
rb_after() {
    # shellcheck disable=SC2086 # fields, from the third on
    set -- $1
    case ${1:-Z} in
    Z | X | x) ;;
    *) rb_is_born=${20} ;;
    esac
}
rb_born_by_ps() {
    rb_t=$(LC_ALL=C TZ=UTC ps -o stat= -o lstart= -p "$1" 2>/dev/null)
    # shellcheck disable=SC2086
    set -- $rb_t
    case ${1:-Z} in
    Z*) ;;
    *) rb_is_born=$2_$3_$4_$5_$6 ;;
    esac
}
rb_alive() { # pid born
    rb_birth "$1"
    [ -n "$rb_is_born" ] && [ "$rb_is_born" = "$2" ]
}

# Links the line $2 to the name $1, once and for all. Whether it is there, and ours, is read back: a disk may be full,
# and over NFS an answer may be lost.
rb_once() {
    [ ! -e "$1" ] || return 1
    rb_say "$2" >"$1.$rb_own_id" 2>/dev/null || return 1
    ln "$1.$rb_own_id" "$1" 2>/dev/null
    rb_t=
    { read -r rb_t <"$1"; } 2>/dev/null
    rm -f "$1.$rb_own_id"
    [ "$rb_t" = "$2" ]
}

# The first line of a file in the variable $1.
rb_line() {
    eval "$1="
    [ ! -e "$2" ] || { read -r "$1" <"$2"; } 2>/dev/null
}

rb_is() { if [ -e "$1" ]; then echo 1; else echo 0; fi; }

# Whose a lock or pid file is: rb_pid (0: a tombstone, "": nobody's), rb_born.
rb_whose() {
    rb_line rb_t "$1"
    rb_pid=${rb_t%% *}
    rb_t=${rb_t#* }
    rb_born=${rb_t%% *}
}

case ${XDG_STATE_HOME:-} in
/*) rb_at=$XDG_STATE_HOME ;;
*) rb_at=${HOME:-}/.local/state ;;
esac
rb_at=$rb_at/rbhost/receipts

# What the place is: rb_is_boot, rb_is_machine, rb_is_user.
rb_place() {
    rb_line rb_is_boot /proc/sys/kernel/random/boot_id
    [ -n "$rb_is_boot" ] || rb_is_boot=$(rb_kernel kern.boottime | sed 's/, usec.*//' | tr -cd 0-9A-Za-z)
    [ -n "$rb_is_boot" ] || rb_is_boot=$(who -b 2>/dev/null | tr -cd 0-9A-Za-z)
    rb_line rb_is_machine /etc/machine-id
    [ -n "$rb_is_machine" ] || rb_is_machine=$(rb_kernel kern.hostuuid | tr -cd 0-9A-Za-z.-)
    [ -n "$rb_is_machine" ] || rb_is_machine=$(uname -n | tr -cd 0-9A-Za-z.-)
    rb_is_user=$(id -u)
}
rb_kernel() {
    { sysctl -n "$1" || /sbin/sysctl -n "$1"; } 2>/dev/null
}

# Goes into the receipt's folder when this is the place that was meant; says $1 and why when it is not. Afterwards only
# names relative to the folder are used: in one that was replaced meanwhile nothing can be linked.
rb_enter() {
    rb_place
    [ "$rb_is_machine" = "$rb_machine" ] || rb_verdict "$1" "this is another machine ($(uname -n))"
    [ "$rb_is_user" = "$rb_user" ] || rb_verdict "$1" "this is another user ($rb_is_user, not $rb_user)"
    cd "$rb_at" 2>/dev/null || rb_verdict "$1" "the folder for receipts is gone ($rb_at)"
    rb_line rb_t id
    [ "$rb_t" = "$rb_root" ] || rb_verdict "$1" "the folder for receipts is not the one that it was ($rb_at)"
    rb_why=$(mkdir "./$rb_id" 2>&1)
    cd "./$rb_id" 2>/dev/null || rb_verdict "$1" "a receipt can not be made: $rb_why"
    rb_line rb_t ../id
    [ "$rb_t" = "$rb_root" ] || rb_verdict "$1" "the folder for receipts was replaced ($rb_at)"
}

# Room on the disk for a line, taken now; and the line, which then needs none.
rb_reserve() {
    rb_t='                                        '
    printf '%s\n' "$rb_t$rb_t" >"$1" 2>/dev/null
}
rb_write() {
    printf '%s\n' "$2 " 1<>"$1"
}

# A way to a group of its own: a command to put before, or `set -m`, which some shells only know with a terminal.
rb_group_by() {
    rb_own='' rb_jobs=
    if command -v setsid >/dev/null 2>&1; then
        rb_own=setsid
    elif /bin/sh -c 'set -m; /bin/sh -c "kill -0 -\$\$"; exit' 2>/dev/null; then
        rb_jobs=1
    elif command -v perl >/dev/null 2>&1; then
        rb_own='perl -e setpgrp(0,0);exec(@ARGV)or(exit(127))'
    else
        return 1
    fi
}

# Whether the command's group is there; rb_denied: we may tell none of it anything, it belongs to another user (sudo).
rb_group_lives() {
    rb_denied=
    rb_t=$(kill -0 "-$rb_pid" 2>&1) && return 0
    case $rb_t in
    *ermitted*) rb_denied=1 ;;
    *) return 1 ;;
    esac
}
rb_signal() {
    if [ -z "$rb_sudo" ]; then
        kill "-$1" "-$rb_pid"
    elif [ -z "${rb_password:-}" ]; then
        sudo -n /bin/sh -c "kill -$1 -$rb_pid"
    else
        rb_say "$rb_password" | sudo -S -p '' /bin/sh -c "kill -$1 -$rb_pid"
    fi >/dev/null 2>&1
}

# Ends it: TERM, and KILL after rb_grace milliseconds.
rb_end() {
    rb_signal TERM || return 1
    rb_left=$rb_grace
    while [ "$rb_left" -gt 0 ] && rb_group_lives; do
        rb_nap 50
        rb_left=$((rb_left - 50))
    done
    ! rb_group_lives || rb_signal KILL || ! rb_group_lives
}

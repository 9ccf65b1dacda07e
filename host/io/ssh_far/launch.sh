# A launch. The shell that the session runs is the keeper: it holds the input, takes the lock, starts the command, waits
# and writes the verdict. The follower is another process of it, and tells the other side; with the link the follower
# may go, the keeper stays. The command is a third shell, which becomes the leader of a group, links `pid` and then the
# command itself. The request sets also rb_max rb_timeout rb_grace rb_input (its size); behind it comes a line for
# rb_take(), then the input.

rb_refuse() {
    rm -f "in.$rb_own_id"
    rb_verdict refused "$*"
}

# Keeps the first rb_max bytes of standard input in the file $1, counts all, and never stops reading. dd writes what
# it reads at once, and reads no byte too many.
rb_store() {
    rb_have=0 rb_full=
    while rb_left=$((rb_max - rb_have)) && [ "$rb_left" -gt 0 ]; do
        if [ "$rb_left" -ge 8192 ]; then
            dd bs=8192 count=$((rb_left / 8192))
        else
            dd bs="$rb_left" count=1
        fi >>"$1" 2>/dev/null || rb_full=full
        rb_t=$(($(wc -c <"$1")))
        if [ -n "$rb_full" ] || [ "$rb_t" -le "$rb_have" ]; then
            break
        fi
        rb_have=$rb_t
    done
    fault 21
    rb_t=$(($(wc -c <"$1") + $(wc -c)))
    rb_write "$1.n" "$rb_t $rb_full"
}

# Ends the command when its time is over or, of sudo, when it is asked for; and itself when the command has ended.
rb_watch() {
    rb_time=$rb_timeout rb_pid=
    while :; do
        rb_step=1000
        [ "$rb_timeout" -eq 0 ] || [ "$rb_time" -ge "$rb_step" ] || rb_step=$rb_time
        rb_nap "$rb_step"
        rb_time=$((rb_time - rb_step))
        if [ -z "$rb_pid" ]; then
            rb_whose pid
            [ -n "$rb_pid" ] || rb_alive "$$" "$rb_keeper_born" || exit 0
            [ -n "$rb_pid" ] || continue
        fi
        rb_alive "$rb_pid" "$rb_born" || exit 0
        [ -e stop ] || [ "$rb_timeout" -gt 0 ] || continue
        if [ ! -e stop ]; then
            [ "$rb_time" -le 0 ] || continue
            : >late
        fi
        fault 20
        rb_end
        exit 0
    done
}

rb_launch() {
    rb_umask=$(umask) rb_home=$PWD
    umask 077
    rb_take || rb_verdict refused 'the request was cut on its way'
    rb_enter refused
    [ "$rb_is_boot" = "$rb_boot" ] || rb_verdict refused 'the machine was started again meanwhile'
    rb_group_by || rb_verdict refused 'nothing makes a process group there (setsid, perl, or a sh that can set -m)'
    fault 1
    rb_why=$(cat 2>&1 >"in.$rb_own_id") || rb_refuse "the input can not be held: $rb_why"
    [ $(($(wc -c <"in.$rb_own_id"))) -eq "$rb_input" ] || rb_refuse 'the input was cut on its way'
    eval "$rb_what"
    fault 2
    rb_birth "$$"
    rb_keeper_born=$rb_is_born
    rb_once lock "$$ $rb_is_born $rb_boot $rb_own_id" || rb_refuse 'there is a receipt already, or none can be written'
    fault 3
    rb_keep
}

# From here on the receipt is this shell's.
rb_keep() {
    rb_pid=
    { mv "in.$rb_own_id" in && : >out && : >err && : >note && rb_reserve out.n && rb_reserve err.n &&
        rb_reserve status.new && mkfifo o e c && { [ -z "$rb_sudo" ] || : >sudo; }; } 2>/dev/null ||
        rb_conclude 'refused there is no room for the receipt'
    trap : HUP INT QUIT TERM PIPE
    rb_follow &
    rb_follower=$!
    fault 4
    exec </dev/null >/dev/null 2>note
    if [ "$rb_timeout" -gt 0 ] || [ -n "$rb_sudo" ]; then
        rb_watch &
    fi
    # Pipes with both ends in hand: nobody waits for somebody to open one, and all end when their holders do.
    # shellcheck disable=SC2094
    exec 9<>o 3<o 4>o && exec 9<>e 5<e 6>e && exec 9<>c 7<c 8>c && exec 9<&-
    rm -f o e c
    { exec <&3 && rb_shut && rb_store out; } &
    { exec <&5 && rb_shut && rb_store err; } &
    { exec >&8 && rb_shut && rb_say "$rb_what"; } &
    exec 3<&- 5<&- 8>&-
    fault 5
    [ -z "$rb_jobs" ] || set -m
    # shellcheck disable=SC3040 # bash, which says nothing of signals while it obeys POSIX
    ! (set +o posix) 2>/dev/null || set +o posix
    # It takes its streams from 4, 6 and 7 itself: what this shell has to say of its end goes to the note.
    # shellcheck disable=SC2086 # a command with its arguments, or nothing
    $rb_own /bin/sh -c "$rb_s" rbhost start "$PWD" "$rb_home" "$rb_umask" 4>&4 6>&6 7<&7
    rb_code=$?
    exec 4>&- 6>&- 7<&-
    fault 6
    rb_whose pid
    if [ "${rb_pid:-0}" -eq 0 ]; then
        rb_line rb_t no
        rb_conclude "refused ${rb_t:-it could not be started}"
    fi
    rb_drain
    rb_by_signal
    fault 7
    rb_conclude "ended $rb_code $rb_sig $(rb_is late) $(rb_is stop) $rb_held $rb_total_out $rb_total_err $rb_lost"
}

# By exec: with a function's own redirection a shell keeps what it replaces, and the pipe would never end.
rb_shut() {
    exec 3<&- 4>&- 5<&- 6>&- 7<&- 8>&-
}

# Waits until both streams are stored. Something that the command has left behind may hold them open: then no longer
# than 2 s, and what it says later does not count.
rb_drain() {
    rb_held=0 rb_lost=0 rb_left=2000 rb_step=5
    until rb_total out && rb_total_out=$rb_t && rb_total err && rb_total_err=$rb_t; do
        if [ "$rb_left" -le 0 ]; then
            rb_held=1
            rb_total out || rb_size out
            rb_total_out=$rb_t
            rb_total err || rb_size err
            rb_total_err=$rb_t
            break
        fi
        rb_nap "$rb_step"
        rb_left=$((rb_left - rb_step))
        [ "$rb_step" -ge 100 ] || rb_step=$((rb_step * 2))
    done
}
rb_total() {
    rb_line rb_t "$1.n"
    case $rb_t in
    *full*) rb_lost=1 ;;
    esac
    rb_t=${rb_t%% *}
    [ -n "$rb_t" ]
}
rb_size() {
    rb_t=$(($(wc -c <"$1")))
    [ "$rb_t" -lt "$rb_max" ] || rb_t=$((rb_t + 1)) # nobody knows how much more
}

# A shell tells an end by signal N as 128 + N; most also say so in words (not for INT and PIPE), which tells it from a
# command that ended with such a code. No process ends by CHLD, CONT, and what stops it (17 to 23).
rb_by_signal() {
    rb_sig=0
    [ "$rb_code" -gt 128 ] && [ "$rb_code" -lt 160 ] || return
    [ "$rb_code" -lt 145 ] || [ "$rb_code" -gt 151 ] || return
    if [ ! -s note ] && [ "$rb_code" -ne 130 ] && [ "$rb_code" -ne 141 ]; then
        rb_t=9
        [ "$rb_code" -ne 143 ] || rb_t=15 # of which some say nothing
        sh -c "kill -$rb_t \$\$"
        [ ! -s note ] || return
    fi
    rb_sig=$((rb_code - 128))
}

rb_conclude() {
    if [ -e status.new ]; then
        rb_write status.new "$1"
    else
        rb_out "$1" >status.new
    fi
    mv status.new status
    fault 8
    rm -f in note no
    [ -n "${rb_follower:-}" ] || rb_verdict "$1"
    wait "$rb_follower"
    exit 0
}

# The command, until it is the command. Given: the folder of the receipt, that of the login, umask.
rb_start() {
    exec <&7 >&4 2>&6 7<&- 4>&- 6>&-
    rb_dir=$1 rb_home=$2 rb_umask=$3
    fault 10
    rb_take || exit 125
    set --
    eval "$rb_what"
    exec <in
    [ "$rb_input" -eq 0 ] || rm -f in
    { cd "$rb_home" && cd "${rb_cwd:-.}"; } 2>/dev/null ||
        rb_no "there is no folder ${rb_cwd:-$rb_home}, or no way into it"
    if [ -n "$rb_sudo" ]; then
        rb_may_sudo "$@" || rb_no "$rb_why"
    else
        (rb_env && command -v "$1") >/dev/null 2>&1 || rb_no "there is no command $1"
    fi
    [ ! -e "$rb_dir/stop" ] || rb_no 'it was told to end before it began'
    rb_birth "$$"
    fault 11
    rb_once "$rb_dir/pid" "$$ $rb_is_born $rb_boot $rb_own_id" || exit 125
    umask "$rb_umask"
    fault 12
    rb_env
    [ -n "$rb_sudo" ] || exec "$@"
    trap : HUP INT TERM # sudo is told, and its end is this one's
    rb_by_sudo "$@"
    exit
}
rb_no() {
    rb_say "$*" >"$rb_dir/no"
    exit 125
}

# This text is read twice: by the shell that the session runs, and by the one that becomes the command.
if [ "${1:-}" = start ]; then
    shift
    rb_start "$@"
else
    rb_out rbhost-far 1
    rb_launch
fi

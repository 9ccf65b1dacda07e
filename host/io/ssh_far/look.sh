# What became of a receipt: the follower of a launch, a look after a crash, and its end by somebody who asks.

# How much there is of both streams: rb_size_out, rb_size_err.
rb_sizes() {
    rb_size_out=0 rb_size_err=0
    [ -e out ] && [ -e err ] || return
    # shellcheck disable=SC2046 # fields
    set -- $(wc -c out err)
    rb_size_out=$1 rb_size_err=$3
}

# New bytes of a stream: its name, what was sent, what there is. In a frame whose length stands before it.
rb_send() {
    rb_new=$(($3 - $2))
    [ "$rb_new" -gt 0 ] || return
    rb_out "$1 $rb_new"
    if head -c 0 </dev/null 2>/dev/null; then
        tail -c "+$(($2 + 1))" "$1" | head -c "$rb_new"
    else
        tail -c "+$(($2 + 1))" "$1" | dd ibs=1 obs=8192 count="$rb_new" 2>/dev/null
    fi
}

# Tells the other side all that there is and comes, up to the verdict. Waits for a command that runs, whoever keeps it;
# with rb_limit no longer than so many milliseconds, and without a word of its output.
rb_follow() {
    rb_seen='' rb_sent_out=0 rb_sent_err=0 rb_step=10 rb_gone=
    while :; do
        rb_line rb_done status # before the streams: what was stored before it, is sent before it
        [ -n "$rb_seen" ] || rb_begun
        if [ -z "$rb_limit" ] && [ -n "$rb_seen" ]; then
            rb_sizes
            rb_send out "$rb_sent_out" "$rb_size_out" && rb_sent_out=$rb_size_out rb_step=10
            rb_send err "$rb_sent_err" "$rb_size_err" && rb_sent_err=$rb_size_err rb_step=10
        fi
        case $rb_done in
        'ended '*) rb_verdict "$rb_done" ;;
        'refused '*) if [ "$rb_do" = launch ]; then rb_verdict "$rb_done"; else rb_verdict absent; fi ;;
        esac
        if rb_moves; then
            rb_gone=
        elif [ -z "$rb_gone" ]; then
            rb_gone=1
            continue # once more: it may have ended between the two looks
        else
            rb_settle
        fi
        rb_nap "$rb_step"
        [ -z "$rb_limit" ] || rb_limit=$((rb_limit - rb_step))
        [ "${rb_limit:-1}" -gt 0 ] || rb_verdict running "${rb_run:-0}" 'it could not be ended'
        [ "$rb_step" -ge 250 ] || rb_step=$((rb_step * 2))
    done
}
# Nobody is there any more, and there is no verdict. What has not begun never will: its name is taken.
rb_settle() {
    [ -z "$rb_seen" ] || rb_verdict unknown 'it began, and what kept it is gone without a word of how it ended'
    if rb_once pid "0 0 $rb_boot $rb_own_id"; then
        fault 31
        rb_verdict absent
    fi
    rb_whose pid
    [ "${rb_pid:--1}" -ne 0 ] || rb_verdict absent
    [ -n "$rb_pid" ] || rb_verdict elsewhere 'its receipt can not be written: the folder is gone or the disk is full'
}
rb_begun() {
    rb_whose pid
    [ "${rb_pid:-0}" -gt 0 ] || return
    rb_seen=1 rb_run=$rb_pid rb_run_born=$rb_born
    rb_out "run $rb_pid"
}
# Whether something goes on: the command, or who keeps it.
rb_moves() {
    [ -z "$rb_seen" ] || ! rb_alive "$rb_run" "$rb_run_born" || return 0
    rb_whose lock
    [ "${rb_pid:-0}" -gt 0 ] && rb_alive "$rb_pid" "$rb_born"
}

# Whoever asks first whether it has begun, and finds that it has not, has settled that it never will.
rb_find() {
    umask 077
    rb_enter elsewhere
    [ ! -e 'done' ] || rb_verdict unknown 'its receipt was emptied: the outcome was recorded before'
    [ ! -e old ] || rb_verdict unknown 'it began, and its receipt was emptied since nobody asked for it in 7 days'
    if [ "$rb_is_boot" != "$rb_boot" ]; then
        rb_whole && return
        rb_verdict elsewhere 'the machine was started again meanwhile'
    fi
    fault 30
    if rb_once lock "0 0 $rb_boot $rb_own_id"; then
        rb_verdict absent
    fi
    rb_whose lock
    [ "${rb_pid:--1}" -ne 0 ] || rb_verdict absent
    [ -n "$rb_pid" ] || rb_verdict elsewhere 'no receipt can be written: the disk is full, or the folder is gone'
}
# After a crash of the machine: the verdict is there, and so is the output.
rb_whole() {
    rb_line rb_t status
    # shellcheck disable=SC2086
    set -- $rb_t
    [ "${1:-}" = ended ] || return 1
    [ "$6" -eq 0 ] && [ "$9" -eq 0 ] && rb_kept out "$7" && rb_kept err "$8"
}
rb_kept() {
    rb_t=$(($(wc -c <"$1")))
    [ "$rb_t" -eq "$2" ] || { [ "$rb_t" -lt "$2" ] && [ "$rb_t" -gt 0 ]; }
}

rb_look() {
    rb_find
    [ -z "$rb_cancel" ] || rb_stop
    rb_follow
}

# Ends the command of a receipt. When it runs through sudo and we may not, its watcher finds `stop`, and it has the
# password.
rb_stop() {
    [ ! -e status ] || return
    : >stop
    fault 32
    rb_whose pid
    [ "${rb_pid:-0}" -gt 0 ] && rb_alive "$rb_pid" "$rb_born" || return
    rb_sudo=$(rb_is sudo)
    rb_sudo=${rb_sudo#0}
    rb_end
}

# A command without a receipt that has a time-out, or runs through sudo (behind common.sh and sudo.sh).
rb_refuse() {
    printf 'rbhost-no %s\n' "$*"
    exit 127
}

# Ends the group when the time is over. Belongs to it, so what tells it to end must not end this first.
rb_guard() {
    trap '' TERM
    rb_pid=$$ rb_left=$rb_timeout
    while rb_alive "$$" "$rb_is_born_at" && [ "$rb_left" -gt 0 ]; do
        rb_step=1000
        [ "$rb_left" -ge "$rb_step" ] || rb_step=$rb_left
        rb_nap "$rb_step"
        rb_left=$((rb_left - rb_step))
    done
    rb_alive "$$" "$rb_is_born_at" || exit 0
    rb_signal TERM
    rb_left=$rb_grace
    while [ "$rb_left" -gt 0 ] && rb_alive "$$" "$rb_is_born_at"; do
        rb_nap 50
        rb_left=$((rb_left - 50))
    done
    rb_signal KILL
}

rb_watched() {
    rb_take || rb_refuse 'the request was cut on its way'
    eval "$rb_what"
    [ -z "$rb_cwd" ] || cd "$rb_cwd" 2>/dev/null || rb_refuse "there is no folder $rb_cwd, or no way into it"
    [ -z "$rb_sudo" ] || rb_may_sudo "$@" || rb_refuse "$rb_why"
    rb_out "rbhost-pid $$"
    rb_birth "$$"
    rb_is_born_at=$rb_is_born
    if [ "$rb_timeout" -gt 0 ]; then
        rb_guard </dev/null >/dev/null 2>&1 &
    fi
    rb_env
    [ -n "$rb_sudo" ] || exec "$@"
    trap : HUP INT TERM
    rb_by_sudo "$@"
    exit
}

# Ends a process group that is only known by its number (behind common.sh). What runs through sudo can be ended where
# sudo asks for no password.
rb_kill_group() {
    rb_group_lives || rb_verdict absent
    rb_sudo=
    rb_end
    rb_birth "$rb_pid"
    if rb_group_lives && { [ -n "$rb_denied" ] || [ -n "$rb_is_born" ]; }; then
        rb_sudo=1
        rb_end
    fi
    rb_left=2000
    while rb_group_lives; do
        rb_birth "$rb_pid"
        [ -n "$rb_denied" ] || [ -n "$rb_is_born" ] || break # it was told, and only waits to be reaped
        [ "$rb_left" -gt 0 ] || rb_verdict running "$rb_pid" 'it could not be ended (does it run as somebody else?)'
        rb_nap 50
        rb_left=$((rb_left - 50))
    done
    rb_verdict absent
}

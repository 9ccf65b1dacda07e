# Ends a process group that this session knows only by its number (behind common.sh).
rb_kill_group() {
    rb_group_lives || rb_verdict absent
    rb_end || rb_verdict running "$rb_pid" 'it could not be ended: it runs as somebody else'
    rb_left=2000
    while rb_birth "$rb_pid" && [ -n "$rb_is_born" ]; do
        [ "$rb_left" -gt 0 ] || rb_verdict running "$rb_pid" 'it was sent KILL and is not gone'
        rb_nap 50
        rb_left=$((rb_left - 50))
    done
    rb_verdict absent
}

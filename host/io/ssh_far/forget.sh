# Takes away what is no longer needed. What says that a receipt was there, and was begun or never will be, stays until
# no launch of it can be under way any more. Of what is old also stays what has begun since the machine was started and
# was not asked for yet: without its receipt it would count as never started.
rb_forget_one() {
    cd "./$1" 2>/dev/null || return
    rb_note='done' rb_busy=
    rb_whose lock
    [ -z "$rb_old" ] || [ "${rb_pid:-0}" -eq 0 ] || ! rb_alive "$rb_pid" "$rb_born" || rb_busy=1
    rb_whose pid
    rb_t=${rb_t#* }
    if [ -n "$rb_old" ] && [ "${rb_pid:-0}" -gt 0 ] && [ ! -e 'done' ] && [ "${rb_t%% *}" = "$rb_is_boot" ]; then
        rb_note=old
    fi
    if [ -n "$rb_busy" ]; then # a long command has just ended, and its verdict is being written
        rb_left=$((rb_left + 1))
    elif [ "${rb_pid:-0}" -gt 0 ] && rb_alive "$rb_pid" "$rb_born"; then
        rb_left=$((rb_left + 1))
    elif [ "$rb_note" = 'done' ] && [ -n "$rb_all" ]; then
        cd .. && rm -rf "./$1" && rb_gone=$((rb_gone + 1)) && return
    else
        rm -f in in.* o e c out err out.n err.n note no late stop sudo status status.new
        : >"$rb_note"
    fi
    cd ..
}
rb_forget() {
    umask 077
    rb_place
    rb_left=0 rb_gone=0 rb_old=
    cd "$rb_at" 2>/dev/null || rb_verdict elsewhere "the folder for receipts is gone ($rb_at)"
    rb_line rb_t id
    [ "$rb_t" = "$rb_root" ] || rb_verdict elsewhere 'the folder for receipts is not the one that it was'
    for rb_t in $rb_list; do
        rb_forget_one "$rb_t"
    done
    rb_all=1 rb_old=1
    # shellcheck disable=SC2044 # names of receipts have no blanks
    for rb_t in $(find . ! -name . -prune -type d ! -name '*[!0-9A-Za-z._-]*' -mtime "+$rb_days" 2>/dev/null); do
        rb_forget_one "$rb_t"
    done
    rb_verdict forgot "$rb_gone $rb_left"
}

# What the place is, and whether receipts can be kept there.
rb_fit() {
    for rb_t in cat dd id ln mkdir mkfifo mv rm sleep tail wc; do
        command -v "$rb_t" >/dev/null 2>&1 || {
            rb_why="there is no $rb_t"
            return 1
        }
    done
    rb_group_by || {
        rb_why='nothing makes a process group (setsid, perl, or a sh that can set -m)'
        return 1
    }
    rb_why=$(mkdir -p "$rb_at" 2>&1 && chmod 700 "$rb_at" 2>&1 && cd "$rb_at" 2>&1) || return 1
    cd "$rb_at" || return 1
    rb_why="no file can be written in $rb_at: the disk is full, or it is read-only"
    [ -s id ] || rb_once id "$rb_own_id"
    rb_reserve "try.$rb_own_id" && rm -f "try.$rb_own_id" && [ -s id ] || return 1
    rb_line rb_root id
}
rb_probe() {
    umask 077
    rb_place
    rb_root='' rb_why=
    rb_fit || rb_root=
    [ -z "$rb_root" ] || rb_why=
    rb_out "rbhost-place 1 ${rb_root:--} ${rb_is_boot:--} ${rb_is_machine:--} ${rb_is_user:--} $rb_why"
}

# What would break receipts on this machine, and what else an operator wants to know: a line "LEVEL NAME TEXT" each
# (behind common.sh and probe.sh). Level: ok, warn, bad.
rb_has() { command -v "$1" >/dev/null 2>&1; }

rb_doctor_tools() {
    rb_missing=
    for rb_tool in cat chmod dd find id ln mkdir mkfifo mv rm sed sleep tail tr wc; do
        rb_has "$rb_tool" || rb_missing="$rb_missing $rb_tool"
    done
    [ -z "$rb_missing" ] || rb_out "bad tools missing:$rb_missing"
    [ -n "$rb_missing" ] || rb_out 'ok tools all that receipts need'
    if rb_has sha256sum || rb_has shasum || rb_has sha256 || rb_has openssl; then
        rb_out 'ok digest files can be compared'
    else
        rb_out 'warn digest no sha256sum, shasum, sha256 or openssl: no upload, no download'
    fi
    if rb_group_by; then
        rb_out "ok group by ${rb_own:-set -m}"
    else
        rb_out 'bad group nothing makes a process group (setsid, perl, or a sh that can set -m)'
    fi
}

rb_doctor_receipts() {
    rb_fit || rb_root=
    if [ -z "$rb_root" ]; then
        rb_out "bad receipts $(rb_say "$rb_why" | tail -n 1)"
        return
    fi
    rb_free=$(LC_ALL=C df -Pk . 2>/dev/null | tail -n 1 | sed 's/.* \([0-9][0-9]*\)  *[0-9]*%.*/\1/;s/.*[^0-9].*//')
    rb_level=ok
    [ "${rb_free:-20480}" -ge 20480 ] || rb_level=warn
    rb_out "$rb_level receipts $rb_at${rb_free:+, $((rb_free / 1024)) MiB free}"
    rb_all=0 rb_runs=0
    for rb_id in */; do
        [ -d "$rb_id" ] || continue
        rb_all=$((rb_all + 1))
        rb_whose "${rb_id}pid"
        [ "${rb_pid:-0}" -eq 0 ] || ! rb_alive "$rb_pid" "$rb_born" || rb_runs=$((rb_runs + 1))
    done
    rb_t=$(find . ! -name . -prune -type d -mtime +7 2>/dev/null | wc -l)
    rb_level=ok
    [ "$((rb_t))" -eq 0 ] || rb_level=warn
    rb_out "$rb_level kept $rb_all receipts, $rb_runs run, $((rb_t)) are older than 7 days"
}

# systemd-logind may end all that a session has started when it closes: setsid does not help against that.
rb_doctor_session() {
    if [ ! -d /run/systemd/system ] || ! rb_has loginctl; then
        rb_out 'ok session nothing ends what a session has started'
        return
    fi
    rb_t='org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager KillUserProcesses'
    # shellcheck disable=SC2086 # words
    rb_kills=$(busctl get-property $rb_t 2>/dev/null)
    [ -n "$rb_kills" ] || rb_kills=$(
        cd /etc/systemd && cat logind.conf /usr/lib/systemd/logind.conf.d/*.conf logind.conf.d/*.conf 2>/dev/null |
            sed -n 's/^ *KillUserProcesses *= *//p' | tail -n 1
    )
    case $rb_kills in
    *true | yes | on | 1) rb_doctor_kills ;;
    *) rb_out 'ok session logind leaves what a session has started' ;;
    esac
}
rb_doctor_kills() {
    if [ "$rb_is_user" -eq 0 ]; then
        rb_out 'ok session logind spares root'
    elif [ "$(loginctl show-user "$rb_is_user" -p Linger 2>/dev/null)" = Linger=yes ]; then
        rb_out 'ok session logind spares this user (linger)'
    else
        rb_out "bad session logind kills what runs when it closes (KillUserProcesses): loginctl enable-linger $(id -un)"
    fi
}

rb_doctor_known() {
    if [ -n "$2" ]; then rb_out "ok $1 $2"; else rb_out "bad $1 nothing tells $3"; fi
}
rb_doctor() {
    umask 077
    rb_place
    rb_root='' rb_why=
    rb_out 'rbhost-doctor 1'
    rb_out "ok system $(uname -sr) as $(id -un)"
    rb_doctor_known boot "$rb_is_boot" 'when it was started'
    rb_doctor_known machine "$rb_is_machine" 'which machine this is'
    rb_out "ok clock $(date +%s)"
    rb_doctor_tools
    rb_doctor_receipts
    rb_doctor_session
    if ! rb_has sudo; then
        rb_out 'ok sudo there is none'
    elif sudo -n true 2>/dev/null </dev/null; then
        rb_out 'ok sudo asks for no password'
    else
        rb_out 'ok sudo wants a password'
    fi
    rb_out 'end'
}

# In the fault build only: the process that comes by the point that rb_fault names is killed; with "-parent" its parent.
fault() {
    case ${rb_fault:-} in
    "$1") sh -c 'kill -9 $PPID' ;;
    "$1-parent") kill -9 "$PPID" ;;
    "$1-stop") : >"$rb_at/stopped" && sh -c 'kill -STOP $PPID' ;;
    esac
}

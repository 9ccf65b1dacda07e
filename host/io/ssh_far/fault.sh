# In the fault build only: the process that comes by the point that rb_fault names is killed; with "-parent" its parent;
# with "-all" the follower, too; with "-stop" it is stopped. Its number is in the file `passed` of the receipts root.
fault() {
    case ${rb_fault:-} in
    "$1") sh -c 'echo "$PPID" >"$0/passed"; kill -9 "$PPID"' "$rb_at" ;;
    "$1-parent") echo "$PPID" >"$rb_at/passed" && kill -9 "$PPID" ;;
    "$1-all") echo "$PPID" >"$rb_at/passed" && kill -9 "$rb_follower" "$$" ;;
    "$1-stop") sh -c 'echo "$PPID" >"$0/passing" && mv "$0/passing" "$0/passed" && kill -STOP "$PPID"' "$rb_at" ;;
    esac
}

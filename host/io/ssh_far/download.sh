# The file $1 becomes standard output (behind digest.sh): as much of it as there was in the beginning, so that one that
# grows can be had too. Its size and mode are said before it, its digest behind it.
rb_from=$1 rb_max=$2
case $rb_from in
/*) ;;
*) rb_from=./$rb_from ;;
esac
[ ! -d "$rb_from" ] || rb_end "$rb_from is a folder"
[ -e "$rb_from" ] || rb_end "there is no file $rb_from, or no way to it"
[ -f "$rb_from" ] || rb_end "$rb_from is no regular file"
[ -r "$rb_from" ] || rb_end "$rb_from can not be read"
rb_size=$(($(wc -c <"$rb_from")))
[ "$rb_size" -le "$rb_max" ] || rb_end "$rb_from has $rb_size bytes, which is more than max = $rb_max"
rb_part() {
    cat
}
if head -c 0 </dev/null >/dev/null 2>&1; then
    rb_part() {
        head -c "$rb_size"
    }
fi
rb_note "size $rb_size"
rb_note "mode $(rb_attribute %a %Lp "$rb_from")"
rb_part <"$rb_from" || rb_end "$rb_from can not be read to its end"
rb_t=$(rb_part <"$rb_from" | { rb_digest && echo "$rb_is"; }) || exit 1
rb_note "sum $rb_t"

# Standard input becomes the file $1 (behind digest.sh). It grows under a name of its own in the same folder, and gets
# the one that was asked for when all of it has come.
rb_to=$1 rb_size=$2 rb_sum=$3 rb_mode=$4 rb_new=$5 rb_owner=$6 rb_tag=$7
umask 077
case $rb_to in
/*) ;;
*) rb_to=./$rb_to ;;
esac
rb_n=0
while [ -L "$rb_to" ]; do
    rb_n=$((rb_n + 1))
    [ "$rb_n" -le 40 ] || rb_end "$rb_to is a link that leads nowhere"
    rb_t=$(readlink "$rb_to") || rb_end "$rb_to is a link that can not be read"
    case $rb_t in
    /*) rb_to=$rb_t ;;
    *) rb_to=${rb_to%/*}/$rb_t ;;
    esac
done
[ ! -d "$rb_to" ] || rb_end "$rb_to is a folder"
[ ! -e "$rb_to" ] || [ -f "$rb_to" ] || rb_end "$rb_to is no regular file"
rb_folder=${rb_to%/*}/
[ -d "$rb_folder" ] || rb_end "there is no folder $rb_folder"
rb_temp=$rb_folder.rbhost-$rb_tag
rb_gone() {
    rm -f "$rb_temp"
}
rb_gone
trap rb_gone EXIT
trap 'exit 1' HUP INT TERM PIPE
rb_why=$({ cat >"$rb_temp"; } 2>&1) || rb_end "${rb_why:-$rb_temp can not be written}"
rb_t=$(($(wc -c <"$rb_temp")))
[ "$rb_t" -eq "$rb_size" ] || rb_end "$rb_t of $rb_size bytes came"
rb_digest <"$rb_temp"
[ "$rb_is" = "$rb_sum" ] || rb_end 'the digest is another than that of what was sent'
if [ -z "$rb_owner" ] && [ -e "$rb_to" ] && [ "$(id -u)" -eq 0 ]; then
    rb_owner=$(rb_attribute %u:%g %u:%g "$rb_to")
fi
[ -z "$rb_owner" ] || rb_why=$(chown "$rb_owner" "$rb_temp" 2>&1) || rb_end "$rb_why"
[ -n "$rb_mode" ] || [ ! -e "$rb_to" ] || rb_mode=$(rb_attribute %a %Mp%Lp "$rb_to")
rb_why=$(chmod "${rb_mode:-$rb_new}" "$rb_temp" 2>&1) || rb_end "$rb_why"
sync "$rb_temp" 2>/dev/null
rb_why=$(mv -f "$rb_temp" "$rb_to" 2>&1) || rb_end "$rb_why"
trap - EXIT
rb_note 'done'

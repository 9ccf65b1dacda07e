/* Owns the texts that put a file on another machine and get one. The login shell sees one line in single quotes,
 * without a quote, a backslash, a "!" or a line end in it, so that csh and fish pass it on as it is. */
#include "io/ssh_far_file.h"

#include <stdio.h>
#include <string.h>

#include "io/ssh_far.h"

/* clang-format off */
#define SUM \
    "sum() { if command -v sha256sum; then sha256sum <\"$1\"; elif command -v sha256; then sha256 -q \"$1\"; " \
    "elif command -v shasum; then shasum -a 256 <\"$1\"; " \
    "elif command -v openssl; then openssl dgst -sha256 -r <\"$1\"; " \
    "else echo none; fi 2>/dev/null | tail -n 1; }; " \
    "attr() { stat -c \"$1\" \"$3\" 2>/dev/null || stat -f \"$2\" \"$3\" 2>/dev/null; }; "

static const char upload[] =
    "set -f; umask 077; to=$1 size=$2 sum=$3 mode=$4 new=$5 owner=$6 tag=$7 n=0; "
    "no() { echo \"rbhost-no $*\"; exit 1; }; " SUM
    "case $to in /*) ;; *) to=./$to ;; esac; "
    "while [ -L \"$to\" ] && [ $n -lt 40 ]; do n=$((n + 1)) l=$(readlink \"$to\") || no \"$to is a link\"; "
    "case $l in /*) to=$l ;; *) to=${to%/*}/$l ;; esac; done; "
    "[ -d \"$to\" ] && no \"$to is a folder\"; dir=${to%/*}/; [ -d \"$dir\" ] || no \"there is no folder $dir\"; "
    "tmp=$dir.rbhost-$tag; gone() { rm -f \"$tmp\"; }; rm -f \"$tmp\"; "
    "trap gone EXIT; trap \"exit 1\" HUP INT TERM PIPE; "
    "why=$(cat 2>&1 >\"$tmp\") || no \"${why:-$tmp can not be written}\"; "
    "got=$(wc -c <\"$tmp\"); [ $((got)) -eq \"$size\" ] || no \"$((got)) of $size bytes came\"; "
    "is=$(sum \"$tmp\"); is=${is%% *}; "
    "[ \"$is\" = none ] && no \"there is no sha256sum, sha256, shasum or openssl to compare the digest with\"; "
    "[ \"$is\" = \"$sum\" ] || no \"the digest is another than that of what was sent\"; "
    "if [ -z \"$owner\" ] && [ -e \"$to\" ] && [ \"$(id -u)\" = 0 ]; then owner=$(attr %u:%g %u:%g \"$to\"); fi; "
    "if [ -n \"$owner\" ]; then why=$(chown \"$owner\" \"$tmp\" 2>&1) || no \"$why\"; fi; "
    "if [ -z \"$mode\" ] && [ -e \"$to\" ]; then mode=$(attr %a %Lp \"$to\"); fi; "
    "why=$(chmod \"${mode:-$new}\" \"$tmp\" 2>&1) || no \"$why\"; sync \"$tmp\" 2>/dev/null; "
    "why=$(mv -f \"$tmp\" \"$to\" 2>&1) || no \"$why\"; trap - EXIT; echo rbhost-done";

static const char download[] =
    "set -f; from=$1 max=$2; no() { echo \"rbhost-no $*\" >&2; exit 1; }; " SUM
    "case $from in /*) ;; *) from=./$from ;; esac; "
    "[ -d \"$from\" ] && no \"$from is a folder\"; [ -e \"$from\" ] || no \"there is no file $from\"; "
    "[ -f \"$from\" ] || no \"$from is no regular file\"; [ -r \"$from\" ] || no \"$from can not be read\"; "
    "size=$(wc -c <\"$from\"); size=$((size)); "
    "[ $size -le \"$max\" ] || no \"$from has $size bytes, which is more than max = $max\"; "
    "echo \"rbhost-mode $(attr %a %Lp \"$from\")\" >&2; cat \"$from\" || no \"$from can not be read to its end\"; "
    "is=$(sum \"$from\"); is=${is%% *}; "
    "[ \"$is\" = none ] && no \"there is no sha256sum, sha256, shasum or openssl to compare the digest with\"; "
    "echo \"rbhost-sum $is\" >&2";
/* clang-format on */

static int put_line(struct rb_buf *out, bool sudo, const char *script, const char *const *words, struct rb_err *err)
{
    rb_buf_addf(out, "%s/bin/sh -c '%s' rbhost", sudo ? "sudo -n " : "", script);
    for (; *words; words++) {
        rb_buf_addc(out, ' ');
        int rc = rb_far_quote(out, *words, strlen(*words), err);
        if (rc)
            return rc;
    }
    return out->cut ? rb_err_set(err, RB_EINVAL, "the path is too long") : RB_OK;
}

int rb_far_upload(const struct rb_far_file *f, struct rb_buf *command, struct rb_err *err)
{
    char size[24];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)f->size);
    const char *words[] = {f->path, size, f->sha256, f->mode ? f->mode : "", f->mode_of_new, f->owner ? f->owner : "",
                           f->tag,  NULL};
    return put_line(command, f->sudo, upload, words, err);
}

int rb_far_download(const struct rb_far_file *f, struct rb_buf *command, struct rb_err *err)
{
    char size[24];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)f->size);
    return put_line(command, f->sudo, download, (const char *const[]){f->path, size, NULL}, err);
}

bool rb_far_file_said(const char *lines, size_t len, const char *name, char *out, size_t n)
{
    char begin[32];
    int m = snprintf(begin, sizeof(begin), "rbhost-%s", name);
    for (const char *p = lines, *end = lines + len; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t line = stop ? (size_t)(stop - p) : (size_t)(end - p);
        if (line >= (size_t)m && memcmp(p, begin, (size_t)m) == 0 && (line == (size_t)m || p[m] == ' ')) {
            size_t text = line > (size_t)m ? line - (size_t)m - 1 : 0;
            text = text < n - 1 ? text : n - 1;
            memcpy(out, p + line - (line > (size_t)m ? line - (size_t)m - 1 : 0), text);
            out[text] = '\0';
            return true;
        }
        p += line + 1;
    }
    return false;
}

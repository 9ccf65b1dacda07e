/* Owns how a file is put on another machine, and got from there: as a command whose text moves it (ssh_far/upload.sh,
 * download.sh), which the shell there reads from its input as it does every other. */
#include "io/ssh_far_file.h"

#include <stdio.h>
#include <string.h>

#include "io/ssh_far_sh.h"

#define TEXT_MAX ((size_t)64 << 10)

/* words: what the text knows as $1, $2 …; NULL at the end. */
static int request(const struct rb_far_file *f, const char *text, const char *const *words, struct rb_far_request *out,
                   struct rb_err *err)
{
    struct rb_buf whole;
    const char *argv[16] = {"/bin/sh", "-c", NULL, "rbhost"};
    rb_buf_init(&whole, TEXT_MAX);
    rb_buf_addf(&whole, "%s;%s", rb_far_sh_digest, text);
    argv[2] = rb_buf_text(&whole);
    for (size_t i = 0; words[i]; i++)
        argv[4 + i] = words[i];
    struct rb_far_command c = {.argv = argv, .sudo = f->sudo, .sudo_password = f->sudo_password};
    int rc = rb_far_bare(&c, out, err);
    rb_buf_release(&whole);
    return rc;
}

int rb_far_upload(const struct rb_far_file *f, struct rb_far_request *out, struct rb_err *err)
{
    char size[24];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)f->size);
    const char *words[] = {f->path, size, f->sha256, f->mode ? f->mode : "", f->mode_of_new, f->owner ? f->owner : "",
                           f->tag,  NULL};
    return request(f, rb_far_sh_upload, words, out, err);
}

int rb_far_download(const struct rb_far_file *f, struct rb_far_request *out, struct rb_err *err)
{
    char size[24];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)f->size);
    return request(f, rb_far_sh_download, (const char *const[]){f->path, size, NULL}, out, err);
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

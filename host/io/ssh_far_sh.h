/* The texts of host/io/ssh_far/, each as one line; made by tools/embed_sh.c at build time. */
#ifndef RB_SSH_FAR_SH_H
#define RB_SSH_FAR_SH_H

extern const char rb_far_sh_bare[], rb_far_sh_common[], rb_far_sh_digest[], rb_far_sh_download[], rb_far_sh_forget[],
    rb_far_sh_kill[], rb_far_sh_launch[], rb_far_sh_look[], rb_far_sh_plain[], rb_far_sh_probe[], rb_far_sh_sudo[],
    rb_far_sh_upload[], rb_far_sh_watched[];
#ifdef RB_FAULT
extern const char rb_far_sh_fault[];
#endif

#endif

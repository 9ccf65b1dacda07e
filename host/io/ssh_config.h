/* The hosts that ssh's configuration names (ssh_config(5): the words of `Host` without wildcards, through `Include`),
 * for lists of hosts. What the rest of it means is ssh's own business. */
#ifndef RB_SSH_CONFIG_H
#define RB_SSH_CONFIG_H

/* Calls each(arg, name) for every name, in the order of the files; a name may come twice. file NULL: those that ssh
 * reads by itself. home: of the user, for "~" and the default file; may be NULL. A file that is not there, or can not
 * be read, has no names. Blocks for as long as the disk takes. */
void rb_ssh_config_names(const char *file, const char *home, void (*each)(void *arg, const char *name), void *arg);

#endif

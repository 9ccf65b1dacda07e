/* The private folder that the control sockets of one loop lie in. Only for io/ssh*.c. */
#ifndef RB_SSH_FOLDER_H
#define RB_SSH_FOLDER_H

#include "base/err.h"

#define RB_SSH_PATH_MAX 90 /* of a control socket; ssh adds 17 while it makes it, and the system takes 107 */

struct rb_ssh_folder {
    int fd; /* locked as long as the host lives: what is not locked is left over and anybody's to remove */
    char path[RB_SSH_PATH_MAX];
};

/* Below $XDG_RUNTIME_DIR/rbhost, or /tmp/rbhost-UID when that is not there, too long, or not ours alone. Removes what
 * hosts that were killed have left. RB_EDENIED: somebody else has made the folder; RB_EIO. */
int rb_ssh_folder_open(struct rb_ssh_folder *f, struct rb_err *err);
/* Makes another one if somebody has cleaned this one away; then *watched, whether somebody watches it, is false. */
int rb_ssh_folder_check(struct rb_ssh_folder *f, bool *watched, struct rb_err *err);
/* With all that is in it. */
void rb_ssh_folder_close(struct rb_ssh_folder *f);

#endif

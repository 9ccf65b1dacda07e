/* What git says of a file: the commit of its work tree, and whether the file differs from it. For the first event of a
 * run. */
#ifndef RB_GIT_H
#define RB_GIT_H

#include "base/rb.h"

struct rb_git {
    char commit[65]; /* hex; "" when the file is in no work tree, there is no commit, or git is not installed */
    bool dirty;      /* the file is changed, or not added */
};

/* Blocks for as long as git takes, two seconds at the most: before the loop runs. Starts nothing when no folder above
 * the file has a .git. */
void rb_git_look(const char *file, struct rb_git *out);

#endif

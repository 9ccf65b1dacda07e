/* Owns going into the background: the fork, the log file, what the parent prints. */
#include "front/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/config.h"

int rb_detach(struct rb_cli *cli, int *ready_fd)
{
    int fds[2], status;
    char id[RB_RUN_ID_MAX + 1] = "";
    if (pipe2(fds, O_CLOEXEC) < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "can not go into the background: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "can not go into the background: %s", strerror(errno));
    if (pid == 0) {
        close(fds[0]);
        setsid();
        *ready_fd = fds[1];
        return -1;
    }
    close(fds[1]);
    ssize_t n;
    do
        n = read(fds[0], id, sizeof(id) - 1);
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    if (n <= 0) { /* it has said why on standard error */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : RB_EXIT_STORE;
    }
    struct rb_buf out;
    rb_buf_init(&out, 4096);
    if (cli->json > 0)
        rb_buf_addf(&out, "{\"type\":\"detached\",\"run\":\"%s\",\"pid\":%d}\n", id, (int)pid);
    else
        rb_buf_addf(&out, "%s\n", id);
    rb_cli_note(cli, "run %s goes on in the background; `rbhost attach %s` watches it", id, id);
    int code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

void rb_detached(int *ready_fd, const char *run)
{
    char dir[4000], path[4200];
    struct rb_err err;
    int log = -1, null = open("/dev/null", O_RDWR);
    if (rb_config_state(dir, sizeof(dir), &err) == 0) {
        snprintf(path, sizeof(path), "%s/log", dir);
        mkdir(dir, 0700);
        mkdir(path, 0700);
        snprintf(path, sizeof(path), "%s/log/%s.log", dir, run);
        log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    if (log > STDERR_FILENO)
        close(log);
    rb_cli_write(*ready_fd, run, strlen(run));
    close(*ready_fd);
    *ready_fd = -1;
}

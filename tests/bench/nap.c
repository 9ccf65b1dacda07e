/* The effect of row 9: takes 20 ms, then leaves one line in a file, so that somebody outside can count.
 *
 *   nap FILE WORD */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[200];
    if (argc != 3)
        return 2;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof(line), "%.190s\n", argv[2]);
    return fd < 0 || write(fd, line, (size_t)n) != n; /* one write of an appended line is whole */
}

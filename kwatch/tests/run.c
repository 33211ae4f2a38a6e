/*
 * run - runs a command for a test.
 *
 *     run SECONDS COMMAND [ARGUMENT]...
 *     run -p SECONDS [-w TEXT KEYS] COMMAND [ARGUMENT]...
 *
 * After so many seconds SIGALRM ends it: a test that waits for it fails then. With -p
 * it has a terminal of its own; what it writes there comes on standard output. With -w
 * KEYS are typed when TEXT has been seen there. The exit status is the command's, or 128
 * and the number of the signal that ended it.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(99);
}

/* In the child: the terminal is the one that controls it. */
static void enter(int master)
{
    struct termios settings;
    int terminal;
    const char *name = ptsname(master);
    if (name == NULL || setsid() < 0)
        die("setsid");
    terminal = open(name, O_RDWR);
    if (terminal < 0)
        die(name);
#ifdef TIOCSCTTY
    /* On Linux opening it was enough. */
    if (ioctl(terminal, TIOCSCTTY, 0) < 0)
        die("TIOCSCTTY");
#endif
    /* Otherwise Ctrl-C takes away what is written at the same time. */
    if (tcgetattr(terminal, &settings) < 0)
        die("tcgetattr");
    settings.c_lflag |= NOFLSH;
    if (tcsetattr(terminal, TCSANOW, &settings) < 0)
        die("tcsetattr");
    for (int fd = 0; fd < 3; fd++)
        if (dup2(terminal, fd) < 0)
            die("dup2");
    if (terminal > 2)
        close(terminal);
    close(master);
}

static int write_all(int fd, const char *bytes, ssize_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, (size_t)n);
        if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0) {
            bytes += done;
            n -= done;
        }
    }
    return 0;
}

/* Until nobody has the terminal open any more. */
static void relay(int master, const char *text, const char *keys)
{
    size_t seen = 0; /* bytes of `text`, the last ones that came */
    for (;;) {
        char bytes[4096];
        ssize_t n = read(master, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || write_all(1, bytes, n) < 0)
            return;
        for (ssize_t i = 0; i < n && text != NULL; i++) {
            if (bytes[i] != text[seen])
                seen = bytes[i] == text[0];
            else if (text[++seen] == '\0') {
                text = NULL;
                if (write_all(master, keys, (ssize_t)strlen(keys)) < 0)
                    die("terminal");
            }
        }
    }
}

int main(int argc, char **argv)
{
    int with_terminal = argc > 1 && strcmp(argv[1], "-p") == 0, master, status;
    const char *seconds, *text = NULL, *keys = NULL;
    pid_t child;

    argv += 1 + with_terminal;
    seconds = argv[0];
    if (seconds == NULL || argv[1] == NULL)
        return 99;
    argv++;
    if (with_terminal && strcmp(argv[0], "-w") == 0 && argc > 6) {
        text = argv[1];
        keys = argv[2];
        argv += 3;
    }
    if (!with_terminal) {
        alarm((unsigned)atoi(seconds));
        execvp(argv[0], argv);
        die(argv[0]);
    }
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        die("posix_openpt");
    child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        enter(master);
        alarm((unsigned)atoi(seconds));
        execvp(argv[0], argv);
        die(argv[0]);
    }
    relay(master, text, keys);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

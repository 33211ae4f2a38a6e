/* deep DIR - makes directories in one another until no path leads to the last of them. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char name[201] = {0};
    memset(name, 'd', sizeof name - 1);
    if (argc != 2 || chdir(argv[1]) != 0)
        return 2;
    for (int i = 0; i < 50; i++)
        if (mkdir(name, 0755) != 0 || chdir(name) != 0) {
            perror("deep");
            return 1;
        }
    return 0;
}

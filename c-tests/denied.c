/* Directories that may not be read. Run by root it becomes nobody first, for
 * nothing is denied to root. */
#define _GNU_SOURCE /* setgroups */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

int main(void)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        skip_all("root cannot become somebody else");
    sandbox();
    kw_handle *h = open_handle();
    make_dir("tree/secret");
    write_file("tree/secret/f", "x");
    make_dir("tree/open");
    change_mode("tree/secret", 0);

    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_error error = KW_ERROR_INIT;
    options.flags = KW_RECURSIVE;
    is(kw_add(h, "tree/secret/f", &options, NULL), KW_E_DENIED, "a root that may not be reached");
    kw_last_error(h, &error);
    is(error.sys_errno, EACCES, "  its errno");
    is(kw_add(h, "tree/secret", &options, NULL), KW_E_DENIED, "a root that may not be read");
    is(kw_add(h, "tree", &options, NULL), KW_OK, "a directory below the root may not be read");
    expect(h, "  which is an event", fmt("ERROR secret/ errno=%d\n", EACCES));
    write_file("tree/open/f", "x");
    expect(h, "  and concerns nothing beside it", "CREATED open/f\n");
    change_mode("tree/secret", 0755);
    expect_in_any_order(h, "it may be read", "ATTRIB secret/\nCREATED secret/f\n");
    append("tree/secret/f", "y");
    expect(h, "  and is watched", "MODIFIED secret/f\n");
    change_mode("tree/secret", 0);
    char *text = strdup(drain(h));
    ok(strstr(text, "ATTRIB secret/\n") != NULL && strstr(text, "DELETED") == NULL,
       "it may no longer be read: its state is as last reported");
    note("%s", text);
    free(text);
    change_mode("tree/secret", 0755);
    append("tree/secret/f", "more");
    text = strdup(drain(h));
    ok(strstr(text, "MODIFIED secret/f\n") != NULL && strstr(text, "CREATED") == NULL,
       "it may be read again: what changed is reported");
    note("%s", text);
    free(text);
    kw_free(h);
    return done();
}

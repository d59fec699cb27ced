/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - hyve log: what the process of a VM had to say.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "error.h"
#include "options.h"
#include "vmdir.h"

static const struct timespec tick = { 0, 200000000 };

/* Print to the end of the file; -1 with a sentence. */
static int
copy(int fd, const char *path)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return (vmm_fail_sys(errno, "standard output"));
	}
	if (n < 0)
		return (vmm_fail_sys(errno, "'%s'", path));
	return (fflush(stdout) == 0 ? 0 : vmm_fail_sys(errno, "standard output"));
}

/* Go on as the file grows, with the new one where it was put aside, until a VM that has been seen running does not run any more. */
static int
follow(const struct vmdir *dir, int *fd, const char *path)
{
	struct vmdir_state state;
	struct stat st, now;
	bool ran = false;

	for (;;) {
		/* In this order: what was written before the end is printed. */
		if (vmdir_state(dir, &state) != 0 || copy(*fd, path) != 0)
			return (-1);
		if (ran && !state.running)
			return (0);
		ran |= state.running;
		if (fstat(*fd, &st) == 0 && fstatat(dir->fd, VMDIR_LOG, &now, 0) == 0 && st.st_ino != now.st_ino) {
			int next = openat(dir->fd, VMDIR_LOG, O_RDONLY | O_CLOEXEC);

			if (next >= 0) {
				/* Who wrote it has ended: this is the rest. */
				if (copy(*fd, path) != 0) {
					close(next);
					return (-1);
				}
				close(*fd);
				*fd = next;
				continue;
			}
		}
		(void)nanosleep(&tick, NULL);
	}
}

int
cmd_log(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "follow", NULL, 'f', "go on until the VM ends; one that does not run is waited for" },
		{ NULL, NULL, 0, NULL },
	};
	char found[16], path[PATH_MAX];
	struct vmdir *dir;
	const char *name;
	int code, fd;

	if (!options_name(verb, own, argc, argv, false, &name, found, &code))
		return (code);
	dir = vmdir_open(name);
	if (dir == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	(void)vmdir_file(dir, VMDIR_LOG, path);
	fd = openat(dir->fd, VMDIR_LOG, O_RDONLY | O_CLOEXEC);
	/* Of a VM that is there and was never started. */
	while (fd < 0 && errno == ENOENT && found[0] == 'f' && faccessat(dir->fd, VMDIR_CONF, F_OK, 0) == 0) {
		(void)nanosleep(&tick, NULL);
		fd = openat(dir->fd, VMDIR_LOG, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0 && errno == ENOENT)
		code = cmd_fail(1, "VM '%s' has no log: it has not been started yet", name);
	else if (fd < 0)
		code = cmd_fail(1, "'%s': %s", path, strerror(errno));
	else
		code = (found[0] == 'f' ? follow(dir, &fd, path) : copy(fd, path)) == 0 ? 0 : cmd_fail(1, "%s", vmm_errmsg());
	if (fd >= 0)
		close(fd);
	vmdir_close(dir);
	return (code);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve_socket.c - where bhyve and bhyvectl meet: the control socket of a VM by its name.
 *
 * Sockets are in a folder beside the run directory of named VMs, in which every name is a VM's.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmmapi.h>

#include "bhyve.h"
#include "error.h"

/* As libvmmapi finds the run directory. */
static int
folder(char *buf, size_t size)
{
	const char *set = getenv("HYVE_RUNDIR"), *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (set != NULL && *set != '\0')
		len = snprintf(buf, size, "%s-control", set);
	else if (geteuid() == 0)
		len = snprintf(buf, size, "/run/hyve-control");
	else if (runtime != NULL && *runtime != '\0')
		len = snprintf(buf, size, "%s/hyve-control", runtime);
	else
		len = snprintf(buf, size, "/tmp/hyve-%u-control", (unsigned)geteuid());
	return (len > 0 && (size_t)len < size ? 0 : -1);
}

/* It is this user's alone: others may have made one of that name in a folder like /tmp. */
static int
check_folder(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return (vmm_fail_sys(errno, "the folder of control sockets, '%s'", path));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return (vmm_fail(EPERM, "'%s' is not a folder of this user alone, as one of control sockets has to be: remove it, or name another place "
		    "by HYVE_RUNDIR", path));
	return (0);
}

static int
make_folder(const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return (vmm_fail_sys(errno, "the folder of control sockets, '%s', cannot be made", path));
	return (check_folder(path));
}

int
bhyve_socket(const char *name, bool make, char *path, size_t size)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int len;

	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL || strlen(name) > VM_MAX_NAMELEN)
		return (vmm_fail(EINVAL, "'%.64s' is not a VM's name: 1 to %d bytes, no slash, no dot at its beginning", name, VM_MAX_NAMELEN));
	if (folder(dir, sizeof(dir)) == 0) {
		len = snprintf(path, size, "%s/%s", dir, name);
		if (len > 0 && (size_t)len < size && (size_t)len < sizeof(dir))
			return (make ? make_folder(dir) : check_folder(dir));
	}
	return (vmm_fail(ENAMETOOLONG, "VM '%.64s': the path of its control socket is too long for one; a shorter HYVE_RUNDIR helps", name));
}

bool
bhyve_runs(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	bool runs;
	int fd;

	if (bhyve_socket(name, false, addr.sun_path, sizeof(addr.sun_path)) != 0)
		return (false);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return (false);
	/* One whose queue is full is there. */
	runs = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN;
	close(fd);
	return (runs);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.c - finding and loading modules.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "module.h"

const struct module_host module_host = {
	.fd_add = event_fd_add,
	.fd_set = event_fd_set,
	.timer_add = event_timer_add,
	.timer_arm = event_timer_arm,
	.timer_disarm = event_timer_disarm,
	.remove = event_remove,
	.fail = vmm_fail,
	.guest_log = log_guest,
	.thread_create = thread_create,
};

/* The file of a module.  Only a file that is there is worth a look. */
static bool
find(const char *name, char path[PATH_MAX])
{
	const char *dir = secure_getenv("HYVE_MODULES");
	char exe[PATH_MAX];
	char *slash;
	ssize_t n;

	if (dir != NULL) {
		(void)snprintf(path, PATH_MAX, "%s/hyve-%s.so", dir, name);
		return (access(path, R_OK) == 0);
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		*slash = '\0';
		/* In a build directory: cmd/hyve and vmm/hyve-NAME.so. */
		if (snprintf(path, PATH_MAX, "%s/../vmm/hyve-%s.so", exe, name) < PATH_MAX && access(path, R_OK) == 0)
			return (true);
	}
	(void)snprintf(path, PATH_MAX, "%s/hyve-%s.so", HYVE_MODULE_DIR, name);
	return (access(path, R_OK) == 0);
}

const void *
module_load(const char *name, const char *symbol, const char *package)
{
	const struct module_head *head;
	char path[PATH_MAX];
	void *lib;

	if (!find(name, path))
		return (vmm_fail_null(ENOENT, "module hyve-%s.so is not there: looked for '%s'; was hyve built without it?", name, path));
	lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (lib == NULL)
		return (vmm_fail_null(ENOENT, "cannot load a module: %s; is Debian's package %s installed?", dlerror(), package));
	head = dlsym(lib, symbol);
	if (head == NULL || head->version != MODULE_VERSION) {
		(void)dlclose(lib);
		return (vmm_fail_null(ENOEXEC, "module '%s' is of another version of hyve", path));
	}
	return (head);
}

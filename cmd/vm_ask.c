/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_ask.c - see vm_ask.h.
 */
#include <sys/pidfd.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "bhyve.h"
#include "control/qmp_client.h"
#include "error.h"
#include "vm_ask.h"

#define	AT_ONCE		1000	/* ms: within it a VM that is well answers */
#define	PATIENT		10000	/* for what somebody waits for */

static struct qmp_client *
ask(const struct vmdir *dir, unsigned timeout)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	return (vmdir_socket(dir, VMDIR_CONTROL, path) == 0 ? qmp_client_open(path, timeout) : NULL);
}

const char *
vm_ask_status(const struct vmdir *dir)
{
	/* QMP's words, which outlive the answer. */
	static const char *const words[] = { "running", "paused", "shutdown", "prelaunch", "suspended", "internal-error" };
	struct qmp_client *c = ask(dir, AT_ONCE);
	json_t *answer = c != NULL ? qmp_client_execute(c, "query-status", NULL, AT_ONCE) : NULL;
	const char *text = json_string_value(json_object_get(answer, "status")), *status = "unknown";

	/* Its process has the lock, and no socket yet or no more: it is on its way. */
	if (c == NULL && (errno == ENOENT || errno == ECONNREFUSED))
		status = "running";
	for (size_t i = 0; text != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0)
			status = words[i];
	}
	json_decref(answer);
	qmp_client_close(c);
	return (status);
}

static int
not_running(const struct vmdir *dir)
{
	return (vmm_fail(ESRCH, "VM '%s' does not run; 'hyve start %s' starts it", dir->name, dir->name));
}

struct qmp_client *
vm_ask_open(const struct vmdir *dir)
{
	struct vmdir_state state;

	if (vmdir_state(dir, &state) != 0 || (!state.running && not_running(dir) != 0))
		return (NULL);
	return (ask(dir, PATIENT));
}

struct qmp_client *
vm_ask_find(const char *where)
{
	struct vmdir *dir = strchr(where, '/') == NULL ? vmdir_open(where) : NULL;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)], why[512];
	struct qmp_client *c;

	if (dir != NULL) {
		c = vm_ask_open(dir);
		vmdir_close(dir);
		return (c);
	}
	(void)snprintf(why, sizeof(why), "%s", vmm_errmsg());
	if (strchr(where, '/') != NULL || access(where, F_OK) == 0)
		return (qmp_client_open(where, PATIENT));
	if (bhyve_socket(where, false, path, sizeof(path)) != 0 && errno == EPERM)
		return (NULL);
	if (bhyve_runs(where) && bhyve_socket(where, false, path, sizeof(path)) == 0)
		return (qmp_client_open(path, PATIENT));
	return (vmm_fail_null(ENOENT, "no socket '%.108s' is here, and %s", where, why));
}

int
vm_process(const struct vmdir *dir)
{
	struct vmdir_state state, again;
	int fd;

	if (vmdir_state(dir, &state) != 0)
		return (-1);
	if (!state.running)
		return (not_running(dir));
	if (state.pid == 0)
		return (vmm_fail(EAGAIN, "VM '%s' is just being started; try again", dir->name));
	fd = pidfd_open(state.pid, 0);
	if (fd < 0 && errno != ESRCH)
		return (vmm_fail_sys(errno, "process %d of VM '%s'", (int)state.pid, dir->name));
	/* The number may be another's by now, unless the lock is still its. */
	if (vmdir_state(dir, &again) != 0 || !again.running || again.pid != state.pid || fd < 0) {
		if (fd >= 0)
			close(fd);
		return (not_running(dir));
	}
	return (fd);
}

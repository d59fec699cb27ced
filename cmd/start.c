/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.c - hyve start: a VM with a directory comes to life, as a process of its own that outlives the terminal, or here.
 *
 * The parent takes the lock, so that of two starts one fails before it has done anything; its child keeps it, for it is of the open file.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "error.h"
#include "log_file.h"
#include "named.h"
#include "options.h"
#include "say.h"
#include "vm_run.h"

struct config *
named_config(const struct vmdir *dir)
{
	static const struct config_origin origin = { CONFIG_FROM_CODE, "the VM's directory", 0 };
	struct config *cfg = cmd_config_new();
	char path[PATH_MAX];

	if (cfg != NULL && (config_load_file(cfg, vmdir_file(dir, VMDIR_CONF, path)) != 0 || config_set(cfg, "name", dir->name, &origin) != 0)) {
		config_free(cfg);
		return (NULL);
	}
	return (cfg);
}

/* Set a key to a path, in which percent signs are themselves. */
static int
set_path(struct config *cfg, const char *key, const char *path)
{
	static const struct config_origin origin = { CONFIG_FROM_CODE, "the VM's directory", 0 };
	char text[2 * PATH_MAX], *to = text;

	for (; *path != '\0'; path++) {
		if (*path == '%')
			*to++ = '%';
		*to++ = *path;
	}
	*to = '\0';
	return (config_set(cfg, key, text, &origin));
}

/* What only a VM that is started needs to know: where its firmware keeps its variables, and where its control socket is. */
static int
set_places(struct config *cfg, const struct vmdir *dir)
{
	char path[PATH_MAX], socket[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (config_is_set(config_node(cfg, ""), "control"))
		return (vmm_fail(EINVAL, "VM '%s': key control is not for VMs with a name: hyve's verbs find them by a socket in their directory", dir->name));
	if (vmdir_socket(dir, VMDIR_CONTROL, socket) != 0 || set_path(cfg, "control", socket) != 0)
		return (-1);
	if (config_is_set(config_node(cfg, "firmware"), "vars"))
		return (0);
	return (set_path(cfg, "firmware.vars", vmdir_file(dir, VMDIR_VARS, path)));
}

static uint64_t
log_size(struct config *cfg)
{
	return ((uint64_t)config_num(config_node(cfg, ""), "log.size"));
}

/* Detached: the VM's side of the pipe to who started it.  It gets "R" when the guest runs, "E" and a sentence when it does not come to that. */
static void
tell_running(void *arg)
{
	int *pipe = arg;

	(void)!write(*pipe, "R", 1);
	close(*pipe);
	*pipe = -1;
}

static void
tell_failed(void *arg, const char *why)
{
	int *pipe = arg;
	char text[1024];
	int len;

	say("%s", why);
	if (*pipe < 0)
		return;
	len = snprintf(text, sizeof(text), "E%s", why);
	(void)!write(*pipe, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

/* Descriptors that somebody left open are not the VM's. */
static void
close_others(const int *keep, size_t n)
{
	unsigned from = STDERR_FILENO + 1;

	for (;;) {
		unsigned next = UINT_MAX;

		for (size_t i = 0; i < n; i++) {
			if (keep[i] >= (int)from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		}
		if (next > from)
			(void)close_range(from, next == UINT_MAX ? UINT_MAX : next - 1, 0);
		if (next == UINT_MAX)
			return;
		from = next + 1;
	}
}

/* The VM's process: no terminal, a session of its own.  Does not return. */
static void
be_detached(struct vmdir *dir, struct config *cfg, int pipe, int log)
{
	const struct vm_run_options o = { .who = "hyve start", .unnamed = true, .dir = dir, .detached = true, .running = tell_running, .failed = tell_failed,
	    .arg = &pipe };
	const int keep[] = { dir->fd, dir->lock, pipe };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), code = EXIT_VM_ERROR;

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 || chdir("/") != 0) {
		(void)vmm_fail_sys(errno, "cannot leave the terminal");
		tell_failed(&pipe, vmm_errmsg());
		_exit(EXIT_VM_ERROR);
	}
	close_others(keep, sizeof(keep) / sizeof(keep[0]));
	say_to_log(dir->fd, VMDIR_LOG, log_size(cfg));
	say("starting VM '%s', pid %d", dir->name, (int)getpid());
	if (vmdir_lock_mine(dir) != 0)
		tell_failed(&pipe, vmm_errmsg());
	else
		code = run_vm(cfg, &o);
	say("the VM has ended, with code %d", code);
	/* Not before the end: until then the lock is held. */
	config_free(cfg);
	vmdir_close(dir);
	exit(code);
}

/* Wait until something can be read, telling who waits at a terminal. */
static void
wait_patiently(const struct vmdir *dir, int pipe)
{
	struct pollfd pfd = { .fd = pipe, .events = POLLIN };
	unsigned seconds = 0;
	int n;

	while ((n = poll(&pfd, 1, 1000)) == 0 || (n < 0 && errno == EINTR)) {
		if (n == 0 && isatty(STDERR_FILENO))
			fprintf(stderr, "\rhyve: starting '%s': %u s ", dir->name, ++seconds);
	}
	if (seconds != 0)
		fputc('\n', stderr);
}

/* Read what the VM's process says until the guest runs or it is gone. */
static int
wait_for(const struct vmdir *dir, int pipe)
{
	char text[1024];
	size_t len = 0;
	ssize_t n;

	while (len + 1 < sizeof(text)) {
		wait_patiently(dir, pipe);
		n = read(pipe, text + len, sizeof(text) - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (text[0] == 'R')
			return (0);
	}
	text[len] = '\0';
	if (text[0] == 'E' && len > 1)
		return (cmd_fail(EXIT_VM_ERROR, "%s", text + 1));
	return (cmd_fail(EXIT_VM_ERROR, "VM '%s': its process has died before the guest ran; 'hyve log %s' may say why", dir->name, dir->name));
}

static int
start_detached(struct vmdir *dir, struct config *cfg)
{
	int fds[2], log = log_file_open(dir->fd, VMDIR_LOG, log_size(cfg)), code;
	pid_t pid;

	if (log < 0)
		return (cmd_fail(EXIT_VM_ERROR, "VM '%s': '%s/" VMDIR_LOG "': %s", dir->name, dir->path, strerror(errno)));
	if (pipe2(fds, O_CLOEXEC) != 0) {
		close(log);
		return (cmd_fail(EXIT_VM_ERROR, "pipe: %s", strerror(errno)));
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* A session without a terminal, and a process that cannot get one. */
		close(fds[0]);
		if (setsid() < 0 || (pid = fork()) < 0)
			_exit(EXIT_VM_ERROR);
		if (pid != 0)
			_exit(0);
		be_detached(dir, cfg, fds[1], log);
	}
	close(log);
	close(fds[1]);
	if (pid < 0)
		code = cmd_fail(EXIT_VM_ERROR, "cannot make a process: %s", strerror(errno));
	else {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		code = wait_for(dir, fds[0]);
	}
	close(fds[0]);
	return (code);
}

int
named_start(struct vmdir *dir, bool detach)
{
	const struct vm_run_options o = { .who = "hyve start", .unnamed = true, .dir = dir };
	struct config *cfg;
	int code;

	if (dir->lock < 0 && vmdir_lock(dir) != 0)
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	cfg = named_config(dir);
	if (cfg == NULL || set_places(cfg, dir) != 0 || (!detach && vmdir_lock_mine(dir) != 0)) {
		config_free(cfg);
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	}
	code = detach ? start_detached(dir, cfg) : run_vm(cfg, &o);
	config_free(cfg);
	return (code);
}

int
cmd_start(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "detach", NULL, 'd', "return when the guest runs, which is the default" },
		{ "foreground", NULL, 'f', "stay, with the guest's console here, until it ends" },
		{ NULL, NULL, 0, NULL },
	};
	struct vmdir *dir;
	const char *name;
	char found[16];
	int code;

	if (!options_name(verb, own, argc, argv, false, &name, found, &code))
		return (code == 1 ? EXIT_VM_ERROR : code);
	dir = vmdir_open(name);
	/* The last one of both counts. */
	code = dir != NULL ? named_start(dir, found[0] == '\0' || found[strlen(found) - 1] == 'd') : cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	vmdir_close(dir);
	return (code);
}

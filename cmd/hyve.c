/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hyve.c - the hyve command: finds the verb, or the command that it is called as.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

static const struct verb verbs[] = {
	{ "check", "[NAME] [OPTION]...", "check that a VM described by options, or one with a name, could start", cmd_check },
	{ "completion", "bash", "print what a shell needs to complete these verbs and their options", cmd_completion },
	{ "config", "[NAME] [OPTION]... [--dump] [--json]", "check a configuration and print it", cmd_config },
	{ "console", "[--read-only | --steal] NAME", "connect this terminal to the console of a VM", cmd_console },
	{ "create", "NAME [OPTION]... [IMAGE]...", "make a VM with a name, which 'hyve start' starts", cmd_create },
	{ "delete", "NAME", "remove a VM with a name, its keys, variables and log, but not its disks", cmd_delete },
	{ "devices", "[--json] [--traces | DEVICE]", "list the device models, the keys of one, or the trace points", cmd_devices },
	{ "disk", "create [--format FORMAT] [--backing FILE] FILE [SIZE] | info [--json] FILE | resize [--shrink] FILE SIZE | "
	    "convert [--format FORMAT] FROM TO", "make, look at, grow and convert disk images", cmd_disk },
	{ "info", "[--json] NAME", "say what a VM is and whether it runs", cmd_info },
	{ "kill", "NAME", "end the process of a VM at once", cmd_kill },
	{ "log", "[--follow] [--json] NAME", "print what the process of a VM had to say", cmd_log },
	{ "ls", "[--json]", "list the VMs with names", cmd_ls },
	{ "pause", "NAME", "make a VM stand still", cmd_pause },
	{ "payload", "--image FILE [--arch A] [--accel X] [--at ADDR] [-k FILE | --set KEY=VALUE]...",
	    "run a flat binary with a serial port on stdio", cmd_payload },
	{ "qmp", "[--json] [NAME|SOCKET [COMMAND [ARGUMENTS]]]", "list what a VM can be asked at its control socket, or ask it", cmd_qmp },
	{ "reset", "NAME", "reset a VM, as its button does", cmd_reset },
	{ "resume", "NAME", "let a VM that was paused go on", cmd_resume },
	{ "run", "[--kernel FILE | --firmware uefi|FILE] [--initrd FILE] [--append STRING] [--cpus N] [--memory SIZE] [--disk FILE]... "
	    "[--share FOLDER]... [-d --name NAME] [OPTION]... [IMAGE]...", "run a guest with its console here", cmd_run },
	{ "start", "[--detach | --foreground] NAME", "start a VM with a name", cmd_start },
	{ "stat", "[--json | --once] NAME", "show what a VM does, in numbers", cmd_stat },
	{ "stop", "[--timeout SECONDS] [--force] NAME", "have a VM power off", cmd_stop },
};

/* The commands that this program is under other names. */
static const struct {
	const char	*name;
	int		(*run)(int argc, char **argv);
} programs[] = {
	{ "bhyve", bhyve_main },
	{ "bhyvectl", bhyvectl_main },
};

static const char *program = "hyve";	/* for sentences */

#define	NVERBS	(sizeof(verbs) / sizeof(verbs[0]))

const struct verb *
verb_at(unsigned i)
{
	return (i < NVERBS ? &verbs[i] : NULL);
}

int
cmd_usage(const struct verb *verb, int code)
{
	fprintf(code == 0 ? stdout : stderr, "usage: hyve %s %s\n", verb->name, verb->args);
	return (code);
}

int
cmd_fail(int code, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return (code);
}

static void
help(void)
{
	puts("usage: hyve VERB [OPTION]...\n"
	    "       hyve VERB --help | --help | --version\n\n"
	    "hyve runs virtual machines.  Verbs:\n");
	for (size_t i = 0; i < NVERBS; i++)
		printf("  %-10s %s\n", verbs[i].name, verbs[i].doc);
}

static const char *
verb_name(const void *arg, size_t i)
{
	return (verbs[i].name);
}

int
main(int argc, char **argv)
{
	const char *near, *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
	int fd;

	/* What is opened here is never to become a standard descriptor. */
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	/* A reader of the console that went away is an error of write(2), not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(name, programs[i].name) == 0) {
			program = programs[i].name;
			return (programs[i].run(argc, argv));
		}
	}
	if (argc < 2) {
		fputs("usage: hyve VERB [OPTION]..., or hyve --help\n", stderr);
		return (1);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help();
		return (0);
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("hyve " HYVE_VERSION);
		return (0);
	}
	for (size_t i = 0; i < NVERBS; i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return (verbs[i].run(&verbs[i], argc - 1, argv + 1));
	}
	near = config_nearest(argv[1], NVERBS, verb_name, NULL);
	if (near != NULL)
		return (cmd_fail(1, "unknown verb '%s'; did you mean '%s'?", argv[1], near));
	return (cmd_fail(1, "unknown verb '%s'; 'hyve --help' lists them", argv[1]));
}

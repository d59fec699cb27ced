/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cmd.h - the verbs of the hyve command.
 */
#ifndef _HYVE_CMD_H_
#define	_HYVE_CMD_H_

#include <jansson.h>

#include "config/config.h"

/* Exit codes of what ran a VM, as bhyve(8) has them. */
enum {
	EXIT_VM_RESET = 0,
	EXIT_VM_POWEROFF = 1,
	EXIT_VM_HALT = 2,
	EXIT_VM_TRIPLEFAULT = 3,
	EXIT_VM_ERROR = 4,
};

/* A verb: argv[0] is its name.  Returns the exit code. */
struct verb {
	const char	*name;
	const char	*args;		/* for the usage line */
	const char	*doc;
	int		(*run)(const struct verb *verb, int argc, char **argv);
};

int	cmd_check(const struct verb *verb, int argc, char **argv);
int	cmd_completion(const struct verb *verb, int argc, char **argv);
int	cmd_config(const struct verb *verb, int argc, char **argv);
int	cmd_console(const struct verb *verb, int argc, char **argv);
int	cmd_create(const struct verb *verb, int argc, char **argv);
int	cmd_delete(const struct verb *verb, int argc, char **argv);
int	cmd_devices(const struct verb *verb, int argc, char **argv);
int	cmd_disk(const struct verb *verb, int argc, char **argv);
int	cmd_info(const struct verb *verb, int argc, char **argv);
int	cmd_kill(const struct verb *verb, int argc, char **argv);
int	cmd_log(const struct verb *verb, int argc, char **argv);
int	cmd_ls(const struct verb *verb, int argc, char **argv);
int	cmd_pause(const struct verb *verb, int argc, char **argv);
int	cmd_payload(const struct verb *verb, int argc, char **argv);
int	cmd_qmp(const struct verb *verb, int argc, char **argv);
int	cmd_reset(const struct verb *verb, int argc, char **argv);
int	cmd_resume(const struct verb *verb, int argc, char **argv);
int	cmd_run(const struct verb *verb, int argc, char **argv);
int	cmd_start(const struct verb *verb, int argc, char **argv);
int	cmd_stat(const struct verb *verb, int argc, char **argv);
int	cmd_stop(const struct verb *verb, int argc, char **argv);

/* What this program is when it is called by another name.  Returns the exit code. */
int	bhyve_main(int argc, char **argv);
int	bhyvectl_main(int argc, char **argv);

/* The i-th verb, NULL behind the last. */
const struct verb *verb_at(unsigned i);
/* Print the verb's usage line; returns code. */
int	cmd_usage(const struct verb *verb, int code);
/* Print the program's name, a colon and the sentence; returns code. */
int	cmd_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A tree with every key declared that the command knows.  NULL with a sentence. */
struct config *cmd_config_new(void);
/* -k FILE, --set K=V, and an option that is a key of that name: argument number n of the verb.  -1 with a sentence. */
int	cmd_config_file(struct config *cfg, const char *path);
int	cmd_config_arg(struct config *cfg, const char *text, int n);
int	cmd_config_key(struct config *cfg, const char *name, const char *value, int n);
/* The same for an option whose value is taken as it is, percent signs and all. */
int	cmd_config_literal(struct config *cfg, const char *name, const char *value, int n);
/* Print a value for programs, with a newline; it is taken.  Returns the exit code: NULL is a failure with a sentence. */
int	cmd_json(json_t *value);
/* Print a key as a manual page's list item; prefix (may be "") ends in a dot. */
void	cmd_mdoc_key(const char *prefix, const struct config_key *key);

#endif /* _HYVE_CMD_H_ */

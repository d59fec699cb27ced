/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp.c - hyve qmp: what can be asked at a control socket, and asking it.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "control/qmp.h"
#include "control/qmp_client.h"
#include "control/qmp_table.h"
#include "error.h"
#include "vm_ask.h"

#define	ANSWER_MS	300000U		/* a stop waits for what is on its way to disks */

static void
mdoc_members(const struct qmp_member *members)
{
	puts(".Bl -tag -width plugged-memory -compact");
	for (; members->name != NULL && strcmp(members->name, QMP_OTHERS) != 0; members++)
		printf(".It Va %s Pq %s%s\n%s\n", members->name, members->type, members->optional ? ", optional" : "", members->help);
	if (members->name != NULL)
		printf(".It any other\n%s\n", members->help);
	puts(".El");
}

/* hyve-qmp(7). */
static void
mdoc(void)
{
	const struct qmp_command *cmd;
	const struct qmp_event_type *event;
	const struct qmp_type *type;

	printf(".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
	    ".\\\" Generated from the tables of the control socket by 'hyve qmp --mdoc'.\n"
	    ".Dd November 30, 2026\n.Dt HYVE-QMP 7\n.Os\n"
	    ".Sh NAME\n.Nm hyve-qmp\n.Nd control socket of a virtual machine\n"
	    ".Sh DESCRIPTION\n"
	    "The key\n.Va control\nof\n.Xr hyve-config 5\nnames a UNIX stream socket at which clients can ask a virtual machine and tell it what to do; one with a name has it in its folder, and\n"
	    ".Xr hyve 1\nhas the verb\n.Cm qmp\nfor both.\n"
	    "What is spoken there is QMP:\n"
	    "JSON values one after the other, with any white space between them.\n"
	    "The server greets by an object\n.Ql QMP\nwith its version; the client answers by the command\n.Cm qmp_capabilities ,\n"
	    "and until then nothing else is taken and no event is sent.\n"
	    "A request is an object with\n.Va execute ,\nthe name of a command,\n.Va arguments\nif it has some, and\n.Va id ,\n"
	    "any value, if that is to be in the answer.\n"
	    "The answer has\n.Va return\nor\n.Va error ,\nan object with\n.Va class\nand, for people,\n.Va desc .\n"
	    "A command or argument that there is not is an error that names the nearest one.\n"
	    "Events come between answers, with their time.\n"
	    ".Pp\n"
	    "The socket and its clients outlive resets of the machine.\n"
	    "It is for its owner alone: its mode is 0600, and processes of others, but root's, are refused.\n"
	    "A socket that nobody answers at any more is replaced; where somebody does, the virtual machine does not start.\n"
	    ".Pp\n"
	    "There can be %d clients at once, each with a negotiation of its own.\n"
	    "A request may have %u bytes; a longer one is refused and not kept.\n"
	    "A client that does not read its answers is not heard until it has; one that does not read its events is hung up on when\n"
	    "%u bytes wait for it.\n"
	    "Behind bytes that are no JSON the rest of their line is dropped; a control character or the byte 255 begins anew at once.\n"
	    ".Sh COMMANDS\n", QMP_PEERS_MAX, QMP_REQUEST_MAX, QMP_QUEUE_MAX);
	for (size_t i = 0; (cmd = qmp_command_at(i)) != NULL; i++) {
		printf(".Ss %s\n%c%s.\n", cmd->name, toupper((unsigned char)cmd->help[0]), cmd->help + 1);
		if (cmd->returns != NULL)
			printf("The answer is of type\n.Vt %s .\n", cmd->returns);
		if (cmd->args != NULL) {
			puts("Arguments:");
			mdoc_members(cmd->args);
		}
	}
	puts(".Sh EVENTS");
	for (size_t i = 0; (event = qmp_event_at(i)) != NULL; i++) {
		printf(".Ss %s\n%c%s.\n", event->name, toupper((unsigned char)event->help[0]), event->help + 1);
		if (event->data != NULL)
			mdoc_members(event->data);
	}
	puts(".Sh TYPES\nBrackets around a type are an array of it.");
	for (size_t i = 0; (type = qmp_type_at(i)) != NULL; i++) {
		printf(".Ss %s\n", type->name);
		if (type->members != NULL) {
			mdoc_members(type->members);
			continue;
		}
		puts("One of");
		for (size_t k = 0; type->values[k] != NULL; k++)
			printf(".Ql %s%s\n", type->values[k], type->values[k + 1] != NULL ? " ," : " .");
	}
	puts(".Sh EXAMPLES\n.Bd -literal -offset indent\n"
	    "hyve run --set control=/tmp/vm.sock debian.qcow2\n"
	    "hyve qmp /tmp/vm.sock query-status\n"
	    "hyve qmp web query-block\n"
	    ".Ed\n.Pp\nA disk that comes and goes while the guest runs:\n"
	    ".Bd -literal -offset indent\n"
	    "hyve run --set control=/tmp/vm.sock --set pci.0.20.0.device=root-port debian.qcow2\n"
	    "hyve qmp /tmp/vm.sock device_add \\e\n"
	    "    '{\"driver\": \"virtio-blk\", \"id\": \"data\", \"path\": \"data.img\"}'\n"
	    "hyve qmp /tmp/vm.sock device_del '{\"id\": \"data\"}'\n"
	    ".Ed\n"
	    ".Sh SEE ALSO\n.Xr hyve 1 ,\n.Xr hyve-config 5");
}

static int
print(json_t *msg)
{
	(void)json_dumpf(msg, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(msg);
	return (fflush(stdout) == 0 ? 0 : cmd_fail(1, "standard output takes no more"));
}

static int
ask(struct qmp_client *c, const char *command, const char *text)
{
	json_error_t error;
	json_t *args = NULL, *answer;

	if (text != NULL) {
		args = json_loads(text, 0, &error);
		if (args == NULL)
			return (cmd_fail(1, "the arguments are no JSON object: %s, at byte %d", error.text, error.position));
	}
	answer = qmp_client_execute(c, command, args, ANSWER_MS);
	return (answer != NULL ? print(answer) : cmd_fail(1, "%s", vmm_errmsg()));
}

/* Print events, up to the end of the VM. */
static int
listen_to(struct qmp_client *c)
{
	json_t *msg;

	for (;;) {
		msg = qmp_client_event(c, NULL, ANSWER_MS);
		if (msg != NULL && print(msg) != 0)
			return (1);
		if (msg == NULL && errno != ETIMEDOUT)
			return (errno == ECONNRESET ? 0 : cmd_fail(1, "%s", vmm_errmsg()));
	}
}

/* A type's members, or a command's arguments. */
static json_t *
members_json(const struct qmp_member *members)
{
	json_t *list = json_array();

	for (; members != NULL && members->name != NULL; members++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s}", "name", members->name, "type", members->type, "optional",
		    members->optional, "doc", members->help));
	return (list);
}

static json_t *
list_json(void)
{
	const struct qmp_command *cmd;
	json_t *list = json_array();

	for (size_t i = 0; (cmd = qmp_command_at(i)) != NULL; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s?}", "name", cmd->name, "doc", cmd->help, "arguments",
		    members_json(cmd->args), "returns", cmd->returns));
	return (list);
}

int
cmd_qmp(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "mdoc", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct qmp_client *c;
	bool json = false;
	int opt, code;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'j') {
			json = true;
			continue;
		}
		if (opt == 'm') {
			mdoc();
			return (0);
		}
		return (cmd_usage(verb, opt == 'h' ? 0 : 1));
	}
	if (argc - optind > 3)
		return (cmd_usage(verb, 1));
	if (optind == argc && json)
		return (cmd_json(list_json()));
	if (optind == argc) {
		for (size_t i = 0; qmp_command_at(i) != NULL; i++)
			printf("%-26s %s\n", qmp_command_at(i)->name, qmp_command_at(i)->help);
		return (0);
	}
	c = vm_ask_find(argv[optind]);
	if (c == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	code = argc - optind == 1 ? listen_to(c) : ask(c, argv[optind + 1], argv[optind + 2]);
	qmp_client_close(c);
	return (code);
}

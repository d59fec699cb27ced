/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * completion.c - hyve completion: what a shell needs to complete hyve's command line, made of the tables of verbs, options and keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "control/qmp_table.h"
#include "device.h"
#include "error.h"
#include "options.h"

/* The words of a usage line, without brackets and what separates alternatives. */
static const char *
next_word(const char **args, size_t *len)
{
	const char *p = *args + strspn(*args, " []|.,");

	*len = strcspn(p, " []|.,");
	*args = p + *len;
	return (*len != 0 ? p : NULL);
}

static bool
has_word(const char *args, const char *word)
{
	const char *p;
	size_t len, last_len = 0;
	const char *last = NULL;

	while ((p = next_word(&args, &len)) != NULL) {
		/* The NAME behind --name is a new one. */
		if (len == strlen(word) && memcmp(p, word, len) == 0 && !(last_len == 6 && memcmp(last, "--name", 6) == 0))
			return (true);
		last = p;
		last_len = len;
	}
	return (false);
}

/* A verb's options as words. */
static void
print_options(const struct verb *verb)
{
	const char *args = verb->args, *p, *arg, *name;
	size_t len;

	printf("--help");
	while ((p = next_word(&args, &len)) != NULL) {
		if (p[0] == '-')
			printf(" %.*s", (int)len, p);
	}
	for (unsigned i = 0; has_word(verb->args, "OPTION") && (name = options_vm_at(i, &arg)) != NULL; i++)
		printf(" --%s", name);
}

static int
print_key(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	if (key != NULL)
		printf(" %s=", name);
	return (0);
}

static void
print_verbs(const char *word)
{
	const struct verb *verb;
	bool first = true;

	for (unsigned i = 0; (verb = verb_at(i)) != NULL; i++) {
		if (word != NULL && !has_word(verb->args, word))
			continue;
		printf("%s%s", first ? "" : word != NULL ? "|" : " ", verb->name);
		first = false;
	}
}

static int
bash(void)
{
	struct config *cfg = cmd_config_new();
	const struct device_class *cls;
	const struct verb *verb;

	if (cfg == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	puts("# SPDX-License-Identifier: BSD-2-Clause\n"
	    "# Completion of hyve for bash, made by 'hyve completion bash'.\n"
	    "_hyve()\n{\n"
	    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words=\n"
	    "\tCOMPREPLY=()\n"
	    "\tif [ \"$COMP_CWORD\" -eq 1 ]; then");
	printf("\t\tCOMPREPLY=($(compgen -W \"--help --version ");
	print_verbs(NULL);
	puts("\" -- \"$cur\"))\n\t\treturn\n\tfi\n"
	    "\tcase $prev in\n"
	    "\t--arch) words=\"amd64 arm64\" ;;\n"
	    "\t--accel) words=\"auto kvm soft\" ;;\n"
	    "\t--firmware) words=\"uefi bios\" ;;\n"
	    "\t--net) words=\"user tap socket none\" ;;");
	printf("\t--set)\n\t\tcompopt -o nospace 2>/dev/null\n\t\twords=\"");
	(void)config_each(cfg, print_key, NULL);
	puts("\" ;;\n\t*)\n\t\tcase $verb in");
	for (unsigned i = 0; (verb = verb_at(i)) != NULL; i++) {
		printf("\t\t%s) words=\"", verb->name);
		print_options(verb);
		puts("\" ;;");
	}
	printf("\t\tesac\n\t\tlocal names=\n\t\tcase $verb in\n\t\t");
	print_verbs("NAME");
	puts(") [[ $cur == -* ]] || names=$(\"${COMP_WORDS[0]}\" ls 2>/dev/null | awk 'NR > 1 { print $1 }') ;;\n\t\tesac\n\t\tcase $verb in");
	printf("\t\tqmp) if [ \"$COMP_CWORD\" -eq 2 ]; then words+=\" $names\"; else words=\"");
	for (size_t k = 0; qmp_command_at(k) != NULL; k++)
		printf(" %s", qmp_command_at(k)->name);
	puts("\"; fi ;;");
	printf("\t\tdevices) words+=\"");
	for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++)
		printf(" %s", cls->name);
	puts("\" ;;\n\t\t*) [ -z \"$names\" ] || words=$names ;;\n\t\tesac ;;\n\tesac\n"
	    "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	    "\t[ ${#COMPREPLY[@]} -ne 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
	    "}\n"
	    "complete -o filenames -F _hyve hyve");
	config_free(cfg);
	return (0);
}

int
cmd_completion(const struct verb *verb, int argc, char **argv)
{
	const char *name;
	char found[16];
	int code;

	if (!options_name(verb, NULL, argc, argv, false, &name, found, &code))
		return (code);
	if (strcmp(name, "bash") != 0)
		return (cmd_fail(1, "there is no completion for '%s', but for bash", name));
	return (bash());
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the options that describe a VM, which several verbs take: each becomes keys of the tree.
 */
#ifndef _HYVE_OPTIONS_H_
#define	_HYVE_OPTIONS_H_

#include <getopt.h>
#include <stdbool.h>

#include "run_devices.h"

struct config;
struct verb;

/* An option of one verb, beside those. */
struct own_option {
	const char	*name;		/* long */
	const char	*arg;		/* what its argument is called in the help; NULL: it has none */
	int		 letter;	/* what options_next() returns; one letter of an option, or a number from OPTIONS_OWN on */
	const char	*help;
};

#define	OPTIONS_OWN	1000

struct options {
	const struct verb *verb;
	struct config	*config;
	const struct own_option *own;	/* ended by one with name NULL; NULL: there are none */
	bool		 vm;		/* those that describe a VM are taken too */
	struct run_devices devices;
	unsigned	 modules;
	struct option	*all;		/* options.c's */
	char		 letters[16];
};

/* Begin.  config may be NULL unless vm is set.  -1 with a sentence. */
int	options_init(struct options *o, const struct verb *verb, struct config *config, bool vm, const struct own_option *own);
/*
 * The next option: the letter of one of the verb's own, its argument in optarg; 'h' for --help; '?' for one that there is not, about
 * which getopt_long(3) has printed a line; '!' for one that failed with a sentence in vmm_errmsg(); -1 behind the last.
 */
int	options_next(struct options *o, int argc, char **argv);
/* The rest of the arguments are disks.  -1 with a sentence. */
int	options_images(struct options *o, int argc, char **argv);
void	options_fini(struct options *o);

/* --help of a verb: its usage, what it is for, and its options. */
int	options_help(const struct options *o);
/*
 * For verbs with a name of a VM and options of their own without arguments: what was given as a string of letters in found, and the name.
 * *name may be left NULL if optional.  true to go on; else *code is the exit code.
 */
bool	options_name(const struct verb *verb, const struct own_option *own, int argc, char **argv, bool optional, const char **name,
	    char found[16], int *code);
/* Each name of a long option that describes a VM, NULL behind the last; with its argument in *arg, NULL if it has none. */
const char *options_vm_at(unsigned i, const char **arg);

#endif /* _HYVE_OPTIONS_H_ */

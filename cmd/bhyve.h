/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve.h - the bhyve front end: bhyve(8)'s options and bhyve_config(5)'s keys on hyve's machine.
 *
 * Options become keys of bhyve's own tree, as bhyve has it, and that tree is what config.dump shows.  Each of its keys has a rule (the
 * tables of bhyve_keys.c and bhyve_devices.c) by which it becomes keys of hyve's tree, or by which it is told what becomes of it.
 * What neither has is an error.
 */
#ifndef _HYVE_BHYVE_H_
#define	_HYVE_BHYVE_H_

#include "config/config.h"

struct bhyve;
struct bhyve_rule;

/* Where a device is: as bhyve's keys say, and as hyve's machine has it. */
struct bhyve_slot {
	unsigned	 bus, slot, func;
	const struct bhyve_emulation *emul;	/* NULL: a device of hyve's own */
	const char	*device;		/* bhyve's name of it */
	struct config_origin origin;
	unsigned	 at;			/* hyve's slot; 0: it has none */
};

/*
 * A rule: the key as bhyve has it, and what becomes of it.  Without any of the others nothing does, and nothing is said: it is so anyway.
 */
struct bhyve_rule {
	struct config_key key;
	const char	*to;		/* hyve's key that gets the value; of a device, below its slot */
	const char	*say;		/* what is told of a value that is not bhyve's default */
	bool		 refuse;	/* say is an error */
	/* Or by a function; slot is NULL for keys of the VM.  key is the name below the slot.  -1 with a sentence. */
	int		(*fn)(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val);
};

/* In a rule: nothing becomes of the key. */
#define	NOTHING	.say = NULL

/* What hyve has for a device of bhyve's. */
enum bhyve_fate {
	BHYVE_DEVICE,		/* the device called device */
	BHYVE_MACHINE,		/* the machine always has it; elsewhere there is none */
	BHYVE_IGNORED,		/* guests do without, which say tells */
	BHYVE_REFUSED,		/* they would not, which say tells */
};

struct bhyve_emulation {
	const char	*name;
	enum bhyve_fate	 fate;
	const char	*device;	/* hyve's class */
	const char	*say;
	const char	*help;		/* of the parameters, for "-s help" */
	unsigned	 slot;		/* BHYVE_MACHINE: where it is */
	const struct bhyve_rule *rules;
	unsigned	 nrules;
	unsigned	 units;		/* rules are below "port.0." to "port.N-1."; 0: below the slot itself */
	/* -s's text behind the name, NULL if there is none, as keys.  -1 with a sentence.  NULL: there are no parameters. */
	int		(*parse)(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n);
	const char	*first;		/* parse: key of what comes first and has no name */
};

struct bhyve {
	struct config	*tree;		/* bhyve's keys */
	struct config	*hyve;		/* hyve's */
	struct bhyve_slot slots[64];
	unsigned	 nslots;
	unsigned	 nitems;	/* of firmware */
	bool		 has_screen;	/* an fbuf was left out */
};

/* bhyve_keys.c: the keys of the VM, and what translates. */

/* A tree with bhyve's keys, and hyve's behind them.  NULL with a sentence. */
struct config *bhyve_tree(void);
/* Set what b->tree has in b->hyve, telling what is not as asked.  -1 with a sentence. */
int	bhyve_translate(struct bhyve *b);
/* Whether a key is one of bhyve's. */
bool	bhyve_is_ruled(const struct config_key *key);
/* Set a key of hyve's, below slot unless that is NULL; text is taken literally.  -1 with a sentence. */
int	bhyve_set(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const char *text, const struct config_origin *origin);
/* Tell one line about what was set there. */
void	bhyve_tell(const struct config_origin *origin, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* bhyve_devices.c: the devices. */

/* The i-th emulation, NULL behind the last. */
const struct bhyve_emulation *bhyve_emulation_at(unsigned i);
/* The one called name; NULL: bhyve has none. */
const struct bhyve_emulation *bhyve_emulation_find(const char *name);
/* For config_declare_slots(): bhyve's keys of a device, and hyve's where it has more. */
const struct config_keys *bhyve_device_keys(const char *name);
/* The rule of a key that bhyve_device_keys() gave; NULL: it is hyve's own. */
const struct bhyve_rule *bhyve_device_rule(const struct bhyve_emulation *e, const struct config_key *key);
extern const struct config_key bhyve_selector;

/* bhyve_options.c: options whose arguments have a form of their own, as argument number n.  -1 with a sentence. */

int	bhyve_option_cpus(struct bhyve *b, const char *text, int n);		/* -c */
int	bhyve_option_slot(struct bhyve *b, const char *text, int n);		/* -s */
int	bhyve_option_lpc(struct bhyve *b, const char *text, int n);		/* -l */
int	bhyve_option_gdb(struct bhyve *b, const char *text, int n);		/* -G */
int	bhyve_option_pin(struct bhyve *b, const char *text, int n);		/* -p */
int	bhyve_option_fwcfg(struct bhyve *b, const char *text, int n);		/* -f */
/* Set bhyve's key; text may name others by %(key), as everywhere in bhyve. */
int	bhyve_key(struct bhyve *b, const char *name, const char *text, int n);
/* "-s help" and "-l help". */
void	bhyve_help_slots(void);
void	bhyve_help_lpc(void);

/* bhyve_socket.c: where bhyve serves a VM's control socket, and bhyvectl finds it. */

/*
 * The path for a VM's name; make: with the folder that it is in, for this user alone.  -1 with a sentence: EINVAL (no name),
 * ENAMETOOLONG, EPERM (the folder is somebody else's), ENOENT (there is none, and so no socket), those of mkdir(2) and lstat(2).
 */
int	bhyve_socket(const char *name, bool make, char *path, size_t size);
/* Whether a process answers there. */
bool	bhyve_runs(const char *name);

#endif /* _HYVE_BHYVE_H_ */

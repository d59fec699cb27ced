/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plug.h - devices that are put behind root ports and taken out while the guest runs.
 *
 * What is put in gets keys in the configuration as if it had been there from the beginning: pci.SLOT.0.0, with the port in slot SLOT.  So a
 * machine that is made anew has it, and a snapshot of the machine is one of a machine that was configured with it.  What is taken out
 * loses them.  Whoever wants to hear what became of it sets vmm->plug.
 *
 * Control thread.
 */
#ifndef _HYVE_PLUG_H_
#define	_HYVE_PLUG_H_

#include "machine.h"

/* A key of a device, by its name in the class's table, and its value. */
struct plug_key {
	const char	*name, *value;
};

struct plug_request {
	const char	*device;	/* class */
	const char	*id;		/* what it is to be called; NULL: by its node */
	const char	*port;		/* id or node of a root port; NULL: the first that is free */
	const struct plug_key *keys;
	size_t		 nkeys;
};

/*
 * Put a device in.  The guest is told, and finds it when it likes.
 *
 * Errors, after which all is as before: ENOENT (the class, a key), EINVAL (a class that cannot be put in, a value), EEXIST (the id), ENODEV
 * (no such port), EBUSY (it is in use), ENOSPC (none is free), those of the class's init.
 */
int	plug_add(struct machine *m, const struct plug_request *r);

/*
 * Have a device out, by its id or node.  1: it is out, and vmm->plug was told.  0: the guest is asked; when it has let go, or the machine
 * ends, vmm->plug is told.
 *
 * Errors: ENODEV (no such device), EINVAL (it cannot be taken out), EBUSY (the guest was asked already).
 */
int	plug_remove(struct machine *m, const char *id);

/* What a device is called; NULL: only by its name. */
const char *plug_id(struct device *dev);
/* Whether that is its id or its name. */
bool	plug_is_called(struct device *dev, const char *word);

/* parts.c's: every id is one device's, -1 with a sentence; answers of the guest at this port are for here; the machine ends: what was to go goes. */
int	plug_check_ids(struct machine *m);
void	plug_own(struct machine *m, struct device *port);
void	plug_end(struct machine *m);

#endif /* _HYVE_PLUG_H_ */

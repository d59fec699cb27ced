/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * newvm.h - from the configuration's global keys to a VM with memory and vCPUs.
 */
#ifndef _HYVE_NEWVM_H_
#define	_HYVE_NEWVM_H_

#include <vmmapi.h>

#include "config/config.h"

/* vCPUs and how the guest is told that they sit. */
struct vmm_topology {
	unsigned	cpus;
	uint16_t	sockets, cores, threads;
};

/*
 * The topology of a checked configuration.  As in bhyve(8): without cpus it is the product of
 * the others, and with it the product must be the same; cpus alone makes as many sockets.
 * Errors: EINVAL, with a sentence.
 */
int	vmm_get_topology(struct config *cfg, struct vmm_topology *topo);

/* The guest's architecture, as a checked configuration says. */
enum vm_arch vmm_arch(struct config *cfg);

/*
 * A new VM as the global keys of a checked configuration say: name, arch, accel, clock, seed,
 * the memory.* keys and the topology.  layout NULL: the architecture's.  named: by the key name, if it
 * is set; else it has none.  A named VM is gone
 * when its handle is closed.  The vCPUs are the caller's to open.  NULL with a sentence in
 * vmm_errmsg().
 */
struct vmctx *vmm_new_vm(struct config *cfg, const struct vm_layout *layout, bool named);

/*
 * The VM that has the name of the key name, which a loader filled: its memory and the registers of its vCPUs stay as they are, whatever
 * the keys say of memory and of the back end, and closing it leaves it.  NULL with a sentence: ENOENT, EBUSY, EINVAL (it has no memory,
 * or is for another architecture).
 */
struct vmctx *vmm_open_loaded(struct config *cfg);

#endif /* _HYVE_NEWVM_H_ */

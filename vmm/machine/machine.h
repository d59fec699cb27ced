/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what surrounds the vCPUs of a VM: which devices there are, where they are, and how the guest starts.
 *
 * A machine is a table of functions for one architecture.  Where nothing else is said they are called on the control thread while
 * no vCPU runs.
 */
#ifndef _HYVE_MACHINE_H_
#define	_HYVE_MACHINE_H_

#include "../boot/boot.h"
#include "../device.h"

struct machine;
struct parts;
struct firmware;
struct firmware_place;

/* The nodes where devices can be added, in every machine: slots of bus 0, and behind the root port in slot N of that, which is bus N here. */
#define	MACHINE_SLOTS	"pci.0.*.0"
#define	MACHINE_BEHIND	"pci.*.0.0"
/* Keys of such a node that are not its device's. */
#define	MACHINE_ID_MAX	64	/* bytes of an id, which is one of these keys */
extern const struct config_keys machine_slot_keys;

/* A device that the machine always has, and where its keys are. */
struct machine_part {
	const char	*prefix;	/* "pc.rtc"; machines can have the same */
	const char	*device;	/* class */
};

struct machine_class {
	const char	*name;		/* "pc" */
	enum vm_arch	 arch;
	unsigned	 max_cpus;
	struct config_keys keys;	/* of the machine itself, below its name */
	const struct machine_part *parts;	/* ended by one with NULL */
	const struct vm_layout *layout;		/* of RAM and what is between; NULL: the architecture's */
	const struct firmware_place *firmware;	/* where there is some for it; NULL: it starts kernels only */
	const struct firmware_place *bios;	/* the same for a BIOS */
	/* Make the devices that the configuration says.  -1 with a sentence; fini is called then too. */
	int		(*init)(struct machine *m);
	void		(*fini)(struct machine *m);
	/*
	 * Load a kernel and put vCPU 0 at its start, with firmware tables for it; or, with firmware, put it at the firmware's start
	 * and leave the kernel, if there is one, to that: then *protocol becomes NULL.
	 */
	int		(*boot)(struct machine *m, struct boot_spec *spec, const struct boot_protocol **protocol);
	/*
	 * The guest accessed a system register that nobody knows: do what a processor does.  The vCPU's thread, behind the
	 * exit.
	 */
	void		(*unknown_sysreg)(struct machine *m, struct vcpu *vcpu, const struct vm_exit *exit);
	/* Tell the guest that someone wants it to power off.  Any thread. */
	void		(*power_button)(struct machine *m);
	/* Interrupt every processor as a switch for debugging does, by what cannot be masked.  NULL: there is no such thing.  Any thread. */
	void		(*nmi)(struct machine *m);
	const char	*target;	/* what others call its architecture: "x86_64" */
};

struct machine {
	const struct machine_class *cls;
	struct vmm	*vmm;
	unsigned	 ncpus;
	struct vcpu	**vcpus;
	const _Atomic int *tids;	/* the host's thread of each, 0 before it runs; NULL: nobody knows */
	struct chardev	*console;	/* what the first serial port is connected to; NULL: the key's */
	struct parts	*parts;		/* parts.c's */
	const struct firmware *firmware;	/* what it starts with; NULL: a kernel */
	void		*priv;
	/*
	 * A guest ended the run with a code of its own (a debug exit port): -1 if not.  Set on a vCPU's thread before vm_suspend().
	 */
	_Atomic int	 guest_code;
};

extern const struct machine_class machine_pc, machine_virt;

/* The i-th machine, NULL behind the last. */
const struct machine_class *machine_at(unsigned i);
/* Declare the keys of every machine in a tree, before it is filled.  -1 with a sentence. */
int	machine_declare(struct config *cfg);
/* The machine of an architecture; NULL with a sentence. */
const struct machine_class *machine_find(enum vm_arch arch);

#endif /* _HYVE_MACHINE_H_ */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft.h - the frame of the software back end: what a processor core gets and what it gives.
 *
 * soft.c owns the loop around a core: entering and leaving the guest, event checks, waiting, virtual time and turns.  A core
 * (soft/<arch>/) executes instructions on the state page.  mmu.c gives it guest-physical memory.
 *
 * Writing order makes exceptions and restarts precise: a core performs an instruction's memory accesses first and changes the state
 * page last.
 */
#ifndef _VMMAPI_SOFT_H_
#define	_VMMAPI_SOFT_H_

#include "../internal.h"

/* Why a core stopped. */
enum soft_stop {
	SOFT_OK,		/* go on (returned by single steps only) */
	SOFT_BUDGET,		/* the budget is used up */
	SOFT_REQUEST,		/* vcpu->request is set */
	SOFT_IDLE,		/* waits for an interrupt: state says so */
	SOFT_EXIT,		/* vcpu->exit is filled */
};

struct soft_cpu;

struct soft_core {
	enum vm_arch	 arch;
	size_t		 size;			/* of the core's own data, in soft_cpu.core */
	int		(*create)(struct soft_cpu *cpu);	/* may be NULL */
	void		(*destroy)(struct soft_cpu *cpu);	/* may be NULL */
	/*
	 * Execute at most budget instructions; add those that retired to *retired.  Inside guest code; tests vcpu->request at
	 * block ends and loop back-edges.
	 */
	enum soft_stop	(*run)(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired);
	/* Drop what was derived from memory or mappings (translations, decoded blocks). */
	void		(*flush)(struct soft_cpu *cpu);
	/* Whether an idle vCPU has a reason to go on. */
	bool		(*wakeable)(struct soft_cpu *cpu);
};

/* What soft keeps of a vCPU. */
struct soft_cpu {
	struct vcpu	*vcpu;
	const struct soft_core *ops;
	void		*core;			/* core's own data */
	uint64_t	 map_gen;		/* vm->map_gen when last looked */
	uint64_t	 dirty_gen;
	struct vm_mapping *last;		/* last mapping hit; void when map_gen moves */
	/* restart point of the instruction that made the last exit: a copy of the state page */
	bool		 restart_valid;
	void		*restart;
	size_t		 restart_size;
};

extern const struct soft_core soft_core_amd64, soft_core_arm64;

/* mmu.c: guest-physical accesses of a core in guest code. */

enum soft_access {
	SOFT_DONE,		/* it happened */
	SOFT_MMIO_EXIT,		/* read: stop now with SOFT_EXIT and execute again after it;
				   write: finish the instruction, then stop with SOFT_EXIT */
};

/*
 * Host address of [gpa, gpa + size) within one page if it is plain memory with that protection, else NULL.  For prot with
 * VM_PROT_WRITE the page is marked dirty.  Good until the core's next event check or slow access.
 */
void	*soft_host(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, int prot);
/* Load or store 1, 2, 4 or 8 bytes, also across pages, memory or not.  Around handlers the vCPU leaves the guest. */
enum soft_access soft_load(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t *val);
enum soft_access soft_store(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t val);
/* The same for ports. */
enum soft_access soft_in(struct soft_cpu *cpu, uint16_t port, unsigned size, uint64_t *val);
enum soft_access soft_out(struct soft_cpu *cpu, uint16_t port, unsigned size, uint64_t val);
/* Fill vcpu->exit, with the restart point; the core then returns SOFT_EXIT. */
struct vm_exit *soft_exit(struct soft_cpu *cpu, enum vm_exitcode code, bool is_read);

#endif /* _VMMAPI_SOFT_H_ */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * insns.h - between the measurement of a software processor (insns.c) and an architecture's loops (soft_insns*.c).
 */
#ifndef _INSNS_H_
#define	_INSNS_H_

#include <stdbool.h>
#include <stdint.h>

#include <vmmapi.h>

struct loop {
	const char	*name;
	const void	*code, *end;
	uint64_t	 bytes;		/* that it moves, for a throughput; 0: instructions are counted */
};

/* An architecture and its loops: each runs until it ends the vCPU in a way of its own. */
extern const struct insns {
	const char	*program;
	enum vm_arch	 arch;
	vm_paddr_t	 ram;		/* where memory begins */
	vm_paddr_t	 at;		/* where code goes */
	const struct loop *loops;
	size_t		 nloops;
	/* Registers and page tables as a loop wants them, before each run. */
	void		(*ready)(struct vmctx *vm, struct vcpu *vcpu);
	/* Whether the loop came to its end. */
	bool		(*at_end)(const struct vm_exit *ex);
} insns;

/* End with a sentence, unless ok. */
void	need(bool ok, const char *what);
/* Set a register. */
void	set(struct vcpu *vcpu, int reg, uint64_t val);

#endif /* _INSNS_H_ */

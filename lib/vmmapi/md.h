/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md.h - what an architecture provides: the machine-dependent contract of libvmmapi.
 *
 * A new architecture is one struct md_ops in lib/vmmapi/<arch>/, a line in md.c's list and a header
 * vmmapi/<arch>.h.  Machine-independent code reaches it through vm->md and never asks which one it is.
 */
#ifndef _VMMAPI_MD_H_
#define	_VMMAPI_MD_H_

#include <vmmapi.h>
#include <vmmapi/state.h>

struct intc_ops;

/* A register: where its value is in the state page, and how wide it is. */
struct md_reg {
	const char	*name;		/* "rip" */
	int		 num;		/* VM_<ARCH>_REG_* */
	uint16_t	 offset;	/* in the state page */
	uint8_t		 size;		/* bytes there: 1, 2, 4, 8 */
	uint8_t		 bits;		/* width of the value */
	bool		 readonly;
};

/* A capability: its name and what it is before any back end says otherwise. */
struct md_cap {
	int		 type;		/* enum vm_cap_type or VM_<ARCH>_CAP_* */
	const char	*name;
	int		 initial;
	bool		 fixed;		/* cannot be cleared */
};

struct md_ops {
	enum vm_arch	 arch;
	const char	*name;		/* "amd64", "arm64" */
	const struct md_reg *regs;	/* sorted by num */
	unsigned	 nregs;
	const int	*told;		/* registers by which a person sees where a vCPU is, ended by -1 */
	const struct md_cap *caps;
	unsigned	 ncaps;
	const struct vm_layout *layout;	/* default; a machine may set its own */
	vm_paddr_t	 maxpa;		/* first guest-physical address that does not exist */
	uint64_t	 counter_hz;	/* default of vm_set_counter_freq() */
	unsigned	 nlines;	/* interrupt lines: 0 .. nlines - 1 */
	bool		 has_io;	/* has VM_SPACE_IO */
	size_t		 state_size;	/* of the state page in use, at most VCPU_SLOT */
	const struct vm_state_table *vcpu_state;	/* fields of the state page */
	const struct intc_ops *const *intcs;		/* NULL-terminated; the first is the default */
	const char *const *cpu_models;	/* NULL-terminated; the first is the default */

	/* The processor model changed before anything ran.  May be NULL. */
	void	(*cpu_model_set)(struct vmctx *vm);
	/* Fill the state page with power-on state.  The vCPU does not run. */
	void	(*vcpu_reset)(struct vcpu *vcpu);
	/* Refuse a value that the register cannot hold, with a sentence.  May be NULL. */
	int	(*reg_check)(struct vcpu *vcpu, const struct md_reg *reg, uint64_t val);
	/* Act on REQ_MD (INIT, SIPI, PSCI CPU_ON): on the vCPU's thread at an event check, state in the page. */
	void	(*vcpu_event)(struct vcpu *vcpu);
	/* Whether the vCPU executes instructions, going by the state page: not halted, off or waiting. */
	bool	(*vcpu_runnable)(struct vcpu *vcpu);
	/* Declared state of the VM beside its vCPUs and controllers, and its power-on state.  May be NULL. */
	const struct vm_state_table *vm_state;
	void	*(*vm_object)(struct vmctx *vm);	/* of vm_state; NULL: no memory */
	void	(*vm_reset)(struct vmctx *vm);
	/* Free vm->md_vm.  May be NULL. */
	void	(*vm_fini)(struct vmctx *vm);
	/* Name of a system register; NULL: it has none.  May be NULL. */
	const char *(*sysreg_name)(uint64_t reg);
	/* Walk the guest's page tables without side effects; the state is in the page. */
	int	(*translate)(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault);
};

extern const struct md_ops md_amd64, md_arm64;

const struct md_ops *md_lookup(enum vm_arch arch);	/* NULL if there is none */

#endif /* _VMMAPI_MD_H_ */

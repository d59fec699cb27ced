/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * intc.h - what an interrupt controller provides (APIC with 8259, GICv3), and what it may call.
 *
 * irq.c wires interrupt handles to a controller.  A back end with controllers of its own (kvm) takes their place
 * (struct accel_ops); both are under the same handles and the same conformance test.
 *
 * Locking: set_line() is called with the line's lock held, so calls for one line are serialised and in order; the
 * controller takes its own lock inside.  A controller calls vm_intc_eoi() and vcpu_notify() with none of its locks
 * held that its set_line() takes.
 */
#ifndef _VMMAPI_INTC_H_
#define	_VMMAPI_INTC_H_

#include <vmmapi.h>
#include <vmmapi/state.h>

struct intc_ops {
	const char	*name;		/* "apic", "gicv3" */

	/* Make the controller (vm->intc) and each existing vCPU's part (vcpu->intc), and claim its ranges. */
	int	(*create)(struct vmctx *vm);
	void	(*destroy)(struct vmctx *vm);
	/* Power-on state; the VM does not run. */
	void	(*reset)(struct vmctx *vm);

	/* The wired-OR level of a line changed. */
	void	(*set_line)(struct vmctx *vm, unsigned line, bool level);
	/* A message was written: 0, or -1 with EINVAL if the address is nobody's.  Any thread. */
	int	(*msi)(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data);

	/*
	 * CPU side, called on the vCPU's thread by soft.  pending: is there an interrupt that the CPU's own mask alone could
	 * hold back?  ack: take the highest one and return its number (amd64: vector), -1 if it went away.  A
	 * controller whose guest acknowledges by registers (GIC) leaves ack NULL.
	 */
	bool	(*pending)(struct vcpu *vcpu);
	int	(*ack)(struct vcpu *vcpu);
	/* amd64: x2APIC MSRs; arm64: ICC_* registers.  reg is the architecture's number; false: not mine. */
	bool	(*sysreg)(struct vcpu *vcpu, uint64_t reg, bool write, uint64_t *val);

	/* Declared state: sections "<name>" and "<name>.cpu" instance N. */
	const struct vm_state_table *state;	/* of vm->intc */
	const struct vm_state_table *cpu_state;	/* of vcpu->intc */
	/*
	 * Before a save, the VM paused: bring what is kept in guest memory into the form that other back ends read.  May be NULL.
	 * After a restore, guest memory included: recompute outputs.
	 */
	void	(*saving)(struct vmctx *vm);
	void	(*loaded)(struct vmctx *vm);
};

/* Controller: the guest ended a level-triggered interrupt of this line. */
void	vm_intc_eoi(struct vmctx *vm, unsigned line);

#endif /* _VMMAPI_INTC_H_ */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accel.h - what a back end provides.
 *
 * libvmmapi keeps the whole record of a VM (memory map, state pages, interrupt routes, doorbells); a back end is attached to it
 * by vm_start(), which replays the record into it.  Where a member is NULL the library's own way is used.
 */
#ifndef _VMMAPI_ACCEL_H_
#define	_VMMAPI_ACCEL_H_

#include <vmmapi.h>

struct vm_mapping;

/* What run() returns. */
enum accel_run {
	ACCEL_AGAIN,		/* look at the requests and run again */
	ACCEL_EXIT,		/* vcpu->exit is filled: back to the caller */
};

struct accel_ops {
	const char	*name;		/* "kvm", "soft" */
	enum vm_accel	 id;
	bool		 shows_host;	/* guests of a VM without a processor model see the host's processor; else the default model */

	/*
	 * Can it run this architecture here?  0, or -1 with the reason as sentence.  fast: also at hardware speed (a short probe
	 * guest may run).
	 */
	int	(*probe)(enum vm_arch arch, bool fast);
	/* After probe(): can guests be shown the VM's processor model here?  0, or -1 with ENOTSUP and what it lacks as sentence. */
	int	(*fits)(struct vmctx *vm);

	/*
	 * vm_start(): vm_create, then mem_map for each mapping, vcpu_create for each vCPU, finalize when all vCPUs and
	 * controllers exist.  destroy undoes any part of that.  vcpu_create is called with vcpu->lock held.
	 */
	int	(*vm_create)(struct vmctx *vm);
	int	(*vm_finalize)(struct vmctx *vm);
	void	(*vm_destroy)(struct vmctx *vm);
	int	(*vcpu_create)(struct vcpu *vcpu);
	void	(*vcpu_destroy)(struct vcpu *vcpu);

	/* The memory map changes: no vCPU is in guest code.  unmap harvests dirty pages first. */
	int	(*mem_map)(struct vmctx *vm, struct vm_mapping *map);
	void	(*mem_unmap)(struct vmctx *vm, struct vm_mapping *map);

	/*
	 * A VFIO group (a descriptor of it) has devices of this VM, or no more.  Their memory comes by mem_map, with VM_MAPPING_DEVICE and no
	 * dirty log.  NULL: it cannot have host devices.
	 */
	int	(*group_set)(struct vmctx *vm, int fd, bool on);

	/*
	 * Execute guest code between vcpu_enter() and vcpu_leave() until a request or an exit.  On the vCPU's thread; the state was
	 * loaded.
	 */
	enum accel_run (*run)(struct vcpu *vcpu);
	/* Make a run() under way return soon; requests are set.  Any thread; vcpu->lock is held. */
	void	(*kick)(struct vcpu *vcpu);
	/* Complete the last exit so that the state can be read (kvm: re-enter with immediate_exit).  vCPU not running. */
	int	(*settle)(struct vcpu *vcpu);
	/* vm_restart_instruction().  vCPU not running. */
	int	(*restart)(struct vcpu *vcpu);
	/* Move the state between the page and the back end.  NULL: the page is what it runs on. */
	int	(*state_save)(struct vcpu *vcpu);	/* back end -> page */
	int	(*state_load)(struct vcpu *vcpu);	/* page -> back end */
	/*
	 * The page is valid, or was just changed: bring up to date what in it goes on by itself (counters), from the value that
	 * was set if it was.  vCPU not running.  NULL: nothing does.
	 */
	void	(*state_refresh)(struct vcpu *vcpu);

	/* Interrupts.  irq_set NULL: the library's own controller; then the others are NULL too. */
	int	(*irq_set)(struct vmctx *vm, unsigned line, bool level);
	int	(*msi_send)(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data);
	/* Bind, change or (trigger -1) unbind eventfds in the kernel: 0, or -1 to let the library poll them. */
	int	(*irq_bind)(struct vm_irq *irq, int trigger, int resample);
	int	(*route_commit)(struct vmctx *vm);	/* after messages of bound handles changed */
	/* Start or stop telling vm_intc_eoi() of this line.  line lock held. */
	int	(*eoi_watch)(struct vmctx *vm, unsigned line, bool on);
	int	(*nmi)(struct vcpu *vcpu);

	/* Doorbells: 0, or -1 to have writes arrive as exits, which the library turns into events. */
	int	(*doorbell_add)(struct vm_doorbell *db);
	void	(*doorbell_remove)(struct vm_doorbell *db);

	/* Dirty log: fetch ORs at least [gpa, gpa + len) into the bitmap (vm_dirty_or()).  NULL: stores mark it themselves. */
	int	(*dirty_start)(struct vmctx *vm);
	int	(*dirty_fetch)(struct vmctx *vm, vm_paddr_t gpa, size_t len);
	void	(*dirty_stop)(struct vmctx *vm);
	/* A device has written [off, off + len) of a segment.  Any thread.  NULL: no matter. */
	void	(*mem_written)(struct vmctx *vm, int segid, size_t off, size_t len);

	/* 0; -1 with ENOTSUP if the back end lacks it.  NULL: remembered in vcpu->caps. */
	int	(*cap_set)(struct vcpu *vcpu, int cap, int val);
	/* vm->debug was changed: -1 with a sentence if it cannot have these points.  vCPUs do not run.  NULL: it looks by itself. */
	int	(*debug_set)(struct vmctx *vm);
	/* The VM's clock was started at ns, or stopped.  vCPUs do not run. */
	int	(*clock_run)(struct vmctx *vm, bool run, uint64_t ns);
	/*
	 * vm_reset(), before the vCPUs: controllers of its own, and what it keeps of exits.  The VM is paused.  -1 with ENOTSUP: it
	 * cannot be reset.
	 */
	int	(*reset)(struct vmctx *vm);
	/* Own parts of a snapshot (in-kernel controllers) as sections. */
	int	(*vm_save)(struct vmctx *vm, struct vm_state_out *out);
	int	(*vm_load)(struct vmctx *vm, struct vm_state_in *in);
};

extern const struct accel_ops accel_kvm, accel_soft;

#endif /* _VMMAPI_ACCEL_H_ */

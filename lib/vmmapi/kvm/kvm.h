/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm.h - the kvm back end: what its machine-independent part (kvm.c) and the host's architecture
 * (kvm_amd64.c, kvm_arm64.c) share.
 *
 * kvm runs guests of the host's architecture only, so the machine-dependent part is chosen when the
 * library is built, and its functions are called by name (kvm_md_*).
 */
#ifndef _VMMAPI_KVM_H_
#define	_VMMAPI_KVM_H_

#include <linux/kvm.h>

#include "../internal.h"

/* A memory slot: a copy of the mapping that is in it. */
struct kvm_slot {
	bool		 used;
	uint32_t	 flags;			/* KVM_MEM_* as the kernel has them */
	vm_paddr_t	 gpa;
	size_t		 len;
	size_t		 segoff;
	int		 segid;
	uint8_t		*host;
};

/* A message bound to an eventfd in the kernel. */
struct kvm_bind {
	struct vm_irq	*irq;			/* NULL: free */
	int		 trigger;
	bool		 assigned;		/* the kernel has it; else it waits for its route */
};

/* Notification of a line's end of interrupt: made at the first watch, kept until the VM goes. */
struct kvm_eoi {
	struct vmctx	*vm;
	unsigned	 line;
	int		 trigger;		/* never written: the kernel wants one */
	int		 resample;
	bool		 made, on;
	bool		 level;			/* that the library wants; under kv->line_lock */
};

/* Ways of the kernel to log what guests write. */
enum kvm_log {
	KVM_LOG_WHOLE,				/* a slot's bitmap; reading it protects all of the slot anew, in one go */
	KVM_LOG_PIECES,				/* the same, but protecting is a call of its own, for a piece of the slot */
	KVM_LOG_RING,				/* a ring for each vCPU: kvm_ring.c */
};

struct kvm_vm {
	int		 kvmfd, vmfd;
	int		 vfiofd;		/* the kernel's device for host devices, -1 */
	size_t		 runlen;		/* of struct kvm_run */
	uint32_t	 gsi_max;
	uint32_t	 gsi_first;		/* first one that is not a line */
	bool		 any_length;		/* doorbells of any size */
	bool		 made;			/* all of the VM but its vCPUs */

	pthread_mutex_t	 lock;			/* slots, dirty; below every lock of the library */
	struct kvm_slot	*slots;
	unsigned	 nslots, maxslots;
	bool		 dirty;			/* writes are logged */
	enum kvm_log	 log;			/* how: fixed when the VM is made */
	uint32_t	 ring_bytes;		/* of a vCPU's ring */
	bool		 ring_taken;		/* something was taken out since the last reset of the rings */
	uint64_t	*bitmap;		/* of the largest slot that was harvested */
	size_t		 bitmaplen;

	struct kvm_bind	*binds;			/* under vm->irq_lock; gsi_first + index is the GSI */
	unsigned	 nbinds;
	struct kvm_eoi	*eois;			/* by line */
	pthread_mutex_t	 line_lock;		/* below a line's lock */

	struct kvm_md_vm *md;
};

/* Where a vCPU is with an exit of the kernel's. */
enum kvm_stage {
	KVM_STAGE_NONE,
	KVM_STAGE_FRESH, /* nobody looked at it yet */
	KVM_STAGE_OPEN, /* access that is dispatched piece by piece; the next KVM_RUN completes it */
};

struct kvm_cpu {
	int		 fd;
	struct kvm_run	*run;
	enum kvm_stage	 stage;
	uint32_t	 off;			/* OPEN: bytes of it that are done */
	uint64_t	 pc;			/* program counter at the last exit to the caller */
	uint64_t	 saved_pc;		/* ... when the state page was filled */
	void		*saved;			/* not NONE: the page as it was filled */
	bool		 shutdown;		/* the guest shut the processor down */
	_Atomic uint32_t kicked;		/* a signal is on its way */
	sigset_t	 mask;			/* what KVM_RUN blocks */
	bool		 mask_set;
	uint32_t	 debug;			/* KVM_GUESTDBG_* */
	struct kvm_dirty_gfn *ring;		/* NULL: none */
	uint32_t	 ring_next;		/* entry that is read next, modulo the ring's length */
	struct kvm_md_cpu *md;
};

static inline struct kvm_vm *
kvm_vm(struct vmctx *vm)
{
	return (vm->accel_vm);
}

static inline struct kvm_cpu *
kvm_cpu(struct vcpu *vcpu)
{
	return (vcpu->accel_cpu);
}

/* ioctl() that is repeated when a signal interrupts it (not for KVM_RUN); arg may be a number. */
int	kvm_ioctl(int fd, unsigned long req, void *arg);
/* Set a KVM_GUESTDBG_* flag of a vCPU, or clear it. */
int	kvm_debug_set(struct vcpu *vcpu, uint32_t flag, int val);
/*
 * The architecture's part: add the points of vm->debug; of a vCPU that steps those at data.  0, or -1 with a sentence: the processor has no such points, or not as many.
 */
int	kvm_md_debug(struct vmctx *vm, bool steps, struct kvm_guest_debug *d);
/* Fill vcpu->exit for VM_EXIT_ERROR; the sentence was set by vm_fail(). */
enum accel_run kvm_exit_error(struct vcpu *vcpu, int error, uint64_t detail);
/* Start a new vcpu->exit. */
struct vm_exit *kvm_exit_new(struct vcpu *vcpu, enum vm_exitcode code);
/* The vCPU is in the middle of an instruction whose read was not answered. */
bool	kvm_read_unanswered(struct vcpu *vcpu);
/* Finish the instruction of the last exit with nothing but ones, and without telling anybody. */
void	kvm_abandon(struct vcpu *vcpu);

/* The architecture's part. */
extern const enum vm_arch kvm_md_arch;		/* of this host */
/* Extensions the architecture's part cannot do without, ended by a NULL name. */
struct kvm_need {
	int		 cap;
	const char	*name;
};
extern const struct kvm_need kvm_md_needs[];
/*
 * A guest that counts down from n in two instructions a step, then leaves; 0 or -1 (it did not get
 * there).
 */
/*
 * The kernel makes interrupts of timers that have come to their end, of which it tells nobody before; nothing of the guest is executed.  vCPU not running.
 */
void	kvm_catch_up(struct vcpu *vcpu);
/* accel_ops.fits, on an open /dev/kvm. */
int	kvm_md_fits(struct vmctx *vm, int kvmfd);
int	kvm_md_probe_load(int vmfd, int vcpufd, uint8_t *page, uint32_t n);
unsigned long kvm_md_vm_type(int kvmfd);
int	kvm_md_vm_create(struct vmctx *vm);
int	kvm_md_vm_finalize(struct vmctx *vm);
void	kvm_md_vm_destroy(struct vmctx *vm);
int	kvm_md_vcpu_create(struct vcpu *vcpu);
void	kvm_md_vcpu_destroy(struct vcpu *vcpu);
int	kvm_md_state_save(struct vcpu *vcpu);
int	kvm_md_state_load(struct vcpu *vcpu);
/* Bring counters in the page, and in the copy of it if that is not NULL, up to date. */
void	kvm_md_refresh(struct vcpu *vcpu, void *copy);
uint64_t kvm_md_pc(struct vcpu *vcpu);
uint64_t kvm_md_page_pc(struct vcpu *vcpu);
/* Put the registers back to what they were before kvm_abandon(). */
int	kvm_md_regs_get(struct vcpu *vcpu, void *buf, size_t len);
int	kvm_md_regs_set(struct vcpu *vcpu, const void *buf, size_t len);
#define	KVM_MD_REGS	512
/* Act on md_events before the guest is entered. */
void	kvm_md_events(struct vcpu *vcpu, uint32_t events);
/* An exit that kvm.c does not know. */
enum accel_run kvm_md_exit(struct vcpu *vcpu);
/*
 * Is it an access whose read value or completion is the architecture's (MSR)?  Size of the value,
 * 0: no.
 */
unsigned kvm_md_access(struct kvm_run *run, bool *write);
/* Such an access, if the architecture's part answers it itself: true, and it has. */
bool	kvm_md_access_own(struct vcpu *vcpu);
void	kvm_md_access_exit(struct vcpu *vcpu);
void	kvm_md_access_reply(struct vcpu *vcpu, uint64_t val);
/* If the page says that the caller answers the access by an exception, pass that on. */
void	kvm_md_refuse(struct vcpu *vcpu);
/* Number of the line for KVM_IRQ_LINE. */
uint32_t kvm_md_irq(unsigned line);
/* Fixed routes of lines into tab, which has room for KVM_MD_ROUTES; returns how many. */
unsigned kvm_md_routes(struct kvm_irq_routing_entry *tab);
#define	KVM_MD_ROUTES	1024
/* Can the kernel take this message by a route? */
bool	kvm_md_is_msi(struct vmctx *vm, uint64_t addr);
/* Flags of such a route: KVM_MSI_VALID_DEVID if the requester is part of the message. */
uint32_t kvm_md_msi_flags(void);
/* Send a message: 0, or -1 with EINVAL if the address is nobody's. */
int	kvm_md_msi_send(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data);
/* The kernel ORs the level of an eventfd with that of KVM_IRQ_LINE; else the last one counts. */
bool	kvm_md_resample(void);
int	kvm_md_cap_set(struct vcpu *vcpu, int cap, int val);
int	kvm_md_clock_run(struct vmctx *vm, bool run, uint64_t ns);
/* The kernel's controllers in power-on state, but for the vCPUs' own, which follow their pages. */
int	kvm_md_reset(struct vmctx *vm);
int	kvm_md_vm_save(struct vmctx *vm, struct vm_state_out *out);
int	kvm_md_vm_load(struct vmctx *vm, struct vm_state_in *in);

#endif /* _VMMAPI_KVM_H_ */

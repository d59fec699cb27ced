/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm.c - the back end on the kernel's KVM: virtual machines, vCPUs, exits, running.  Memory and its dirty log are in kvm_memory.c,
 * interrupts and doorbells in kvm_irq.c, the probe in kvm_probe.c, what depends on the architecture in kvm_<arch>.c.
 *
 * Kicks.  VM_KICK_SIGNAL is blocked in every thread that runs vCPUs, and unblocked only inside
 * KVM_RUN by its signal mask.  A kick sets immediate_exit and sends the signal: whichever way the
 * race with the entry goes, KVM_RUN returns.  The thread then takes the pending signal by
 * sigtimedwait(), so no handler is ever needed.  Before each entry it clears immediate_exit first
 * and looks at the requests after that.
 *
 * Exits.  The kernel finishes the instruction of an I/O exit at the next KVM_RUN.  Such an exit
 * stays OPEN until then; a string instruction or a wide store may have several elements, each of
 * which may have to go to the caller.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm_irq.h"

#define	KSIGSET		8		/* bytes of the kernel's set of signals, at the start of a sigset_t */

int
kvm_ioctl(int fd, unsigned long req, void *arg)
{
	int r;

	do {
		r = ioctl(fd, req, arg);
	} while (r < 0 && errno == EINTR);
	return (r);
}

int
kvm_debug_set(struct vcpu *vcpu, uint32_t flag, int val)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	uint32_t flags = val ? kc->debug | flag : kc->debug & ~flag;
	struct kvm_guest_debug d = { .control = flags == 0 ? 0 : flags | KVM_GUESTDBG_ENABLE };

	if (kvm_md_debug(vcpu->vm, (flags & KVM_GUESTDBG_SINGLESTEP) != 0, &d) != 0)
		return (-1);
	if (kvm_ioctl(kc->fd, KVM_SET_GUEST_DEBUG, &d) != 0)
		return (vm_fail(ENOTSUP, "vcpu %d: kvm does not take this capability: %s", vcpu->id, strerror(errno)));
	kc->debug = flags;
	return (0);
}

/* accel_ops.debug_set(): each vCPU has the points. */
static int
kvm_debug_points(struct vmctx *vm)
{
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu != NULL && vcpu->accel_cpu != NULL && kvm_debug_set(vcpu, 0, 0) != 0)
			return (-1);
	}
	return (0);
}

/* SECTION: VMs and vCPUs */

static int
halt_poll(struct vmctx *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HALT_POLL, .args = { vm->halt_poll_ns } };

	if (!vm->halt_poll || kvm_ioctl(kvm_vm(vm)->vmfd, KVM_ENABLE_CAP, &cap) == 0)
		return (0);
	return (vm_fail(ENOTSUP, "vm '%s': kvm: how long the kernel polls for a vCPU that waits cannot be set: %s", vm->name, strerror(errno)));
}

static int
kvm_vm_create(struct vmctx *vm)
{
	struct kvm_vm *kv = calloc(1, sizeof(*kv));
	int n;

	if (kv == NULL)
		return (vm_fail(ENOMEM, "vm '%s': kvm: out of memory", vm->name));
	kv->kvmfd = kv->vmfd = kv->vfiofd = -1;
	pthread_mutex_init(&kv->lock, NULL);
	pthread_mutex_init(&kv->line_lock, NULL);
	vm->accel_vm = kv;
	kv->kvmfd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kv->kvmfd < 0)
		return (vm_fail_sys(errno, "vm '%s': /dev/kvm cannot be opened", vm->name));
	kv->vmfd = kvm_ioctl(kv->kvmfd, KVM_CREATE_VM, (void *)kvm_md_vm_type(kv->kvmfd));
	if (kv->vmfd < 0)
		return (vm_fail_sys(errno, "vm '%s': kvm cannot make a virtual machine", vm->name));
	n = ioctl(kv->kvmfd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < (int)sizeof(struct kvm_run))
		return (vm_fail(ENOTSUP, "vm '%s': kvm: the run page has %d bytes, %zu are needed", vm->name, n,
		    sizeof(struct kvm_run)));
	kv->runlen = (size_t)n;
	n = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	kv->maxslots = n > 0 ? (unsigned)n : 32;
	n = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
	kv->gsi_max = n > 0 ? (uint32_t)n : 0;
	kvm_log_choose(vm);
	kv->any_length = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
	if (halt_poll(vm) != 0 || kvm_irq_create(vm) != 0)
		return (-1);
	if (kvm_md_vm_create(vm) != 0)
		return (-1);
	kv->made = true;
	return (0);
}

/* The library stops the clock of a VM of which only a part was made, too. */
static int
kvm_clock_run(struct vmctx *vm, bool run, uint64_t ns)
{
	const struct kvm_vm *kv = kvm_vm(vm);

	return (kv == NULL || !kv->made ? 0 : kvm_md_clock_run(vm, run, ns));
}

static int
kvm_vm_finalize(struct vmctx *vm)
{
	return (kvm_md_vm_finalize(vm));
}

static void
kvm_vm_destroy(struct vmctx *vm)
{
	struct kvm_vm *kv = vm->accel_vm;

	if (kv == NULL)
		return;
	kvm_irq_destroy(vm);
	kvm_md_vm_destroy(vm);
	if (kv->vfiofd >= 0)
		(void)close(kv->vfiofd);
	if (kv->vmfd >= 0)
		(void)close(kv->vmfd);
	if (kv->kvmfd >= 0)
		(void)close(kv->kvmfd);
	pthread_mutex_destroy(&kv->line_lock);
	pthread_mutex_destroy(&kv->lock);
	free(kv->slots);
	free(kv->bitmap);
	free(kv);
	vm->accel_vm = NULL;
}

static void
kvm_vcpu_destroy(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = vcpu->accel_cpu;

	if (kc == NULL)
		return;
	kvm_md_vcpu_destroy(vcpu);
	kvm_ring_unmap(vcpu);
	if (kc->run != NULL)
		(void)munmap(kc->run, kvm_vm(vcpu->vm)->runlen);
	if (kc->fd >= 0)
		(void)close(kc->fd);
	free(kc->saved);
	free(kc);
	vcpu->accel_cpu = NULL;
}

static int
kvm_vcpu_create(struct vcpu *vcpu)
{
	struct kvm_vm *kv = kvm_vm(vcpu->vm);
	struct kvm_cpu *kc = calloc(1, sizeof(*kc));

	if (kc == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	vcpu->accel_cpu = kc;
	kc->fd = -1;
	kc->saved = malloc(vcpu->vm->md->state_size);
	if (kc->saved == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	kc->fd = kvm_ioctl(kv->vmfd, KVM_CREATE_VCPU, (void *)(uintptr_t)vcpu->id);
	if (kc->fd < 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm cannot make it", vcpu->id));
	kc->run = mmap(NULL, kv->runlen, PROT_READ | PROT_WRITE, MAP_SHARED, kc->fd, 0);
	if (kc->run == MAP_FAILED) {
		kc->run = NULL;
		return (vm_fail_sys(errno, "vcpu %d: kvm: its run page cannot be mapped", vcpu->id));
	}
	return (kvm_ring_map(vcpu) == 0 ? kvm_md_vcpu_create(vcpu) : -1);
}

/* SECTION: host devices */

/*
 * The kernel's own device for VFIO (Documentation/virt/kvm/devices/vfio.rst), made for the first group and gone with the VM: it lets guests with devices that
 * do not look into caches use memory as those see it.  A kernel without one has no such devices.
 */
static int
kvm_group_set(struct vmctx *vm, int fd, bool on)
{
	struct kvm_vm *kv = kvm_vm(vm);
	struct kvm_create_device make = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_device_attr attr = { .group = KVM_DEV_VFIO_GROUP,
		.attr = on ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL,
		.addr = (uintptr_t)&fd };

	if (kv->vfiofd < 0 && !on)
		return (0);
	if (kv->vfiofd < 0) {
		if (kvm_ioctl(kv->vmfd, KVM_CREATE_DEVICE, &make) != 0)
			return (errno == ENODEV ? 0 : vm_fail_sys(errno, "vm '%s': kvm: host devices", vm->name));
		kv->vfiofd = (int)make.fd;
	}
	if (kvm_ioctl(kv->vfiofd, KVM_SET_DEVICE_ATTR, &attr) == 0 || (on && errno == EEXIST))
		return (0);
	return (vm_fail_sys(errno, "vm '%s': kvm: an IOMMU group of host devices", vm->name));
}

/* SECTION: exits */

struct vm_exit *
kvm_exit_new(struct vcpu *vcpu, enum vm_exitcode code)
{
	struct vm_exit *e = &vcpu->exit;

	memset(e, 0, sizeof(*e));
	e->code = code;
	e->pc = kvm_cpu(vcpu)->pc;
	return (e);
}

enum accel_run
kvm_exit_error(struct vcpu *vcpu, int error, uint64_t detail)
{
	struct vm_exit *e;

	kvm_cpu(vcpu)->pc = kvm_md_pc(vcpu);
	e = kvm_exit_new(vcpu, VM_EXIT_ERROR);
	e->u.error.error = error;
	e->u.error.detail = detail;
	return (ACCEL_EXIT);
}

/* The access of an OPEN exit. */
struct piece {
	enum vm_space	 space;
	uint64_t	 addr;
	unsigned	 size;
	bool		 write;
	uint8_t		*data;			/* of this piece */
	uint32_t	 total;			/* bytes of all pieces */
};

static void
piece_at(struct kvm_cpu *kc, struct piece *p)
{
	struct kvm_run *run = kc->run;

	memset(p, 0, sizeof(*p));
	if (run->exit_reason == KVM_EXIT_IO) {
		p->space = VM_SPACE_IO;
		p->addr = run->io.port;
		p->size = run->io.size;
		p->write = run->io.direction == KVM_EXIT_IO_OUT;
		p->total = run->io.size * run->io.count;
		p->data = (uint8_t *)run + run->io.data_offset + kc->off;
	} else if (run->exit_reason == KVM_EXIT_MMIO) {
		/*
		 * What crosses a page comes in parts of any length: cut them into the sizes that
		 * accesses have.
		 */
		p->space = VM_SPACE_MEM;
		p->addr = run->mmio.phys_addr + kc->off;
		p->write = run->mmio.is_write != 0;
		p->total = run->mmio.len;
		p->data = run->mmio.data + kc->off;
		for (p->size = 8; p->size > 1 && p->size > p->total - kc->off;)
			p->size /= 2;
	} else
		p->total = p->size = kvm_md_access(run, &p->write);
}

static void
piece_reply(struct vcpu *vcpu, const struct piece *p, uint64_t val)
{
	if (p->data != NULL)
		memcpy(p->data, &val, p->size);
	else
		kvm_md_access_reply(vcpu, val);
}

static void
piece_exit(struct vcpu *vcpu, const struct piece *p, uint64_t val)
{
	struct vm_exit *e;

	if (p->data == NULL) {
		kvm_md_access_exit(vcpu);
		return;
	}
	e = kvm_exit_new(vcpu, p->space == VM_SPACE_IO ? VM_EXIT_IO : VM_EXIT_MMIO);
	if (p->space == VM_SPACE_IO) {
		e->u.io.port = (uint16_t)p->addr;
		e->u.io.size = (uint8_t)p->size;
		e->u.io.write = p->write;
		e->u.io.data = p->write ? val : 0;
	} else {
		e->u.mmio.gpa = p->addr;
		e->u.mmio.size = (uint8_t)p->size;
		e->u.mmio.write = p->write;
		e->u.mmio.data = p->write ? val : 0;
	}
}

/* Take the caller's answer to the piece that waits for one. */
static void
piece_answer(struct vcpu *vcpu, const struct piece *p)
{
	piece_reply(vcpu, p, vcpu->replied ? vcpu->reply : UINT64_MAX);
	vcpu->read_open = vcpu->replied = false;
	kvm_cpu(vcpu)->off += p->size;
}

/* Go on with an OPEN exit: true when all of it is done, false when vcpu->exit is for the caller. */
static bool
exit_pieces(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct piece p;
	uint64_t val;

	for (;;) {
		piece_at(kc, &p);
		if (kc->off >= p.total)
			return (true);
		if (vcpu->read_open) {
			piece_answer(vcpu, &p);
			continue;
		}
		val = 0;
		if (p.write && p.data != NULL)
			memcpy(&val, p.data, p.size);
		if (p.data != NULL && vm_dispatch(vcpu->vm, vcpu, p.space, p.addr, p.size, p.write, &val)) {
			if (!p.write)
				memcpy(p.data, &val, p.size);
			kc->off += p.size;
			continue;
		}
		if (p.data == NULL && kvm_md_access_own(vcpu)) {
			kc->off += p.size;
			continue;
		}
		kc->pc = kvm_md_pc(vcpu);
		piece_exit(vcpu, &p, val);
		if (p.write)
			kc->off += p.size;	/* it has happened */
		else {
			vcpu->read_open = true;
			vcpu->replied = false;
		}
		return (false);
	}
}

bool
kvm_read_unanswered(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct piece p;

	if (kc->stage != KVM_STAGE_OPEN)
		return (false);
	piece_at(kc, &p);
	return (kc->off < p.total && !p.write);
}

static bool
is_access(struct kvm_run *run)
{
	bool write;

	return (run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO ||
	    kvm_md_access(run, &write) != 0);
}

static void
set_immediate(struct kvm_cpu *kc, uint8_t on)
{
	__atomic_store_n(&kc->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

/*
 * Let the kernel finish the instruction of the exit, and nothing more.  1: it came back with
 * another exit.
 */
static int
kvm_complete(struct kvm_cpu *kc)
{
	int r;

	set_immediate(kc, 1);
	r = ioctl(kc->fd, KVM_RUN, 0);
	kc->off = 0;
	kc->stage = r == 0 ? KVM_STAGE_FRESH : KVM_STAGE_NONE;
	if (r < 0 && errno != EINTR && errno != EAGAIN)
		return (-1);
	return (r == 0);
}

void
kvm_abandon(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct piece p;

	/*
	 * A store of one instruction has few parts; a string instruction's elements are one exit.
	 */
	for (int i = 0; i < 64 && kc->stage != KVM_STAGE_NONE && is_access(kc->run); i++) {
		kc->off = 0;
		piece_at(kc, &p);
		if (!p.write && p.data != NULL)
			memset(p.data, 0xff, p.total);
		else if (!p.write)
			kvm_md_access_reply(vcpu, UINT64_MAX);
		if (kvm_complete(kc) <= 0)
			break;
	}
	kc->stage = KVM_STAGE_NONE;
	vcpu->read_open = vcpu->replied = false;
}

/* What the kernel came back for. */
static enum vm_stat
exit_kind(struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return (VM_STAT_KVM_IO);
	case KVM_EXIT_MMIO:
		return (VM_STAT_KVM_MMIO);
	case KVM_EXIT_INTR:
		return (VM_STAT_KVM_SIGNALS);
	case KVM_EXIT_DIRTY_RING_FULL:
		return (VM_STAT_KVM_RING);
	default:
		return (is_access(run) ? VM_STAT_KVM_SYSREG : VM_STAT_KVM_OTHER);
	}
}

/* Deal with what KVM_RUN returned. */
static enum accel_run
exit_handle(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct kvm_run *run = kc->run;

	vcpu_count(vcpu, exit_kind(run));
	if (is_access(run)) {
		kc->stage = KVM_STAGE_OPEN;
		kc->off = 0;
		return (exit_pieces(vcpu) ? ACCEL_AGAIN : ACCEL_EXIT);
	}
	kc->stage = KVM_STAGE_NONE;
	switch (run->exit_reason) {
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return (ACCEL_AGAIN);
	case KVM_EXIT_HLT:
		kc->pc = kvm_md_pc(vcpu);
		(void)kvm_exit_new(vcpu, VM_EXIT_HALT);
		return (ACCEL_EXIT);
	case KVM_EXIT_SHUTDOWN:
		/* A processor that shuts down takes the machine with it, as chipsets have it. */
		kc->shutdown = true;
		(void)vm_suspend(vcpu->vm, VM_SUSPEND_TRIPLEFAULT);
		return (ACCEL_AGAIN);
	case KVM_EXIT_FAIL_ENTRY:
		(void)vm_fail(EIO, "vcpu %d: kvm: the processor refuses to enter the guest, reason 0x%llx: its state is one that the hardware "
		    "does not take", vcpu->id, (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return (kvm_exit_error(vcpu, EIO, run->fail_entry.hardware_entry_failure_reason));
	case KVM_EXIT_DIRTY_RING_FULL:
		return (kvm_ring_full(vcpu) == 0 ? ACCEL_AGAIN : kvm_exit_error(vcpu, errno, 0));
	case KVM_EXIT_UNKNOWN:
		(void)vm_fail(EIO, "vcpu %d: kvm: the processor left the guest for a reason that the kernel does not know, 0x%llx", vcpu->id,
		    (unsigned long long)run->hw.hardware_exit_reason);
		return (kvm_exit_error(vcpu, EIO, run->hw.hardware_exit_reason));
	default:
		return (kvm_md_exit(vcpu));
	}
}

/* SECTION: running */

/* KVM_RUN blocks what the thread blocks, except for the kick. */
static void
mask_signals(struct kvm_cpu *kc)
{
	_Alignas(struct kvm_signal_mask) uint8_t arg[sizeof(struct kvm_signal_mask) + KSIGSET] = { 0 };
	struct kvm_signal_mask *head = (struct kvm_signal_mask *)(void *)arg;
	sigset_t set;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &set);
	sigdelset(&set, VM_KICK_SIGNAL);
	if (kc->mask_set && memcmp(&set, &kc->mask, KSIGSET) == 0)
		return;
	head->len = KSIGSET;
	memcpy(head->sigset, &set, KSIGSET);
	if (kvm_ioctl(kc->fd, KVM_SET_SIGNAL_MASK, head) == 0) {
		kc->mask = set;
		kc->mask_set = true;
	}
}

/* Take the kicks that are pending for this thread. */
static void
take_signals(void)
{
	const struct timespec now = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VM_KICK_SIGNAL);
	while (sigtimedwait(&set, NULL, &now) > 0)
		continue;
}

static void
kvm_kick(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	set_immediate(kc, 1);
	/* One signal is enough until the thread has looked at the requests again. */
	if (atomic_exchange(&kc->kicked, 1) == 0)
		(void)pthread_kill(vcpu->thread, VM_KICK_SIGNAL);
}

/* The processor is shut down: only a reset brings it back. */
static void
wait_shutdown(struct vcpu *vcpu)
{
	atomic_fetch_and(&vcpu->request, ~(REQ_GRACE | REQ_INTR | REQ_TURN));
	vcpu_wait(vcpu, UINT64_MAX);
}

static enum accel_run
kvm_run(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	int r, error;

	mask_signals(kc);
	for (;;) {
		if (kc->stage == KVM_STAGE_FRESH && exit_handle(vcpu) == ACCEL_EXIT)
			return (ACCEL_EXIT);
		if (kc->stage == KVM_STAGE_OPEN && !exit_pieces(vcpu))
			return (ACCEL_EXIT);
		atomic_store(&kc->kicked, 0);
		set_immediate(kc, 0);
		if ((atomic_load(&vcpu->request) & REQ_MD) != 0) {
			atomic_fetch_and(&vcpu->request, ~REQ_MD);
			kvm_md_events(vcpu, atomic_exchange(&vcpu->md_events, 0));
		}
		if (kc->shutdown && (atomic_load(&vcpu->request) & (REQ_KICK | REQ_SUSPEND | REQ_STOP)) == 0)
			wait_shutdown(vcpu);
		if (kc->shutdown || !vcpu_enter(vcpu))
			return (ACCEL_AGAIN);
		r = ioctl(kc->fd, KVM_RUN, 0);
		error = errno;
		vcpu_leave(vcpu);
		vcpu_count(vcpu, VM_STAT_KVM_RUNS);
		if (r == 0) {
			kc->stage = KVM_STAGE_FRESH;
			continue;
		}
		kc->stage = KVM_STAGE_NONE;
		if (error != EINTR && error != EAGAIN) {
			(void)vm_fail_sys(error, "vcpu %d: kvm cannot run it", vcpu->id);
			return (kvm_exit_error(vcpu, error, 0));
		}
		vcpu_count(vcpu, VM_STAT_KVM_SIGNALS);
		take_signals();
		mask_signals(kc);
	}
}

/*
 * Finish the instruction of the last exit, so that the state is at an instruction boundary.  A read
 * that the caller has not answered cannot be finished: the state is at the instruction, as if it
 * had not begun.  The rest of an instruction with several parts is left to the next run.
 */
static int
kvm_settle(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct piece p;

	if (kc->stage != KVM_STAGE_OPEN)
		return (0);
	piece_at(kc, &p);
	if (kc->off < p.total && vcpu->read_open && vcpu->replied && kc->off + p.size >= p.total)
		piece_answer(vcpu, &p);
	if (kc->off < p.total)
		return (0);
	if (kvm_complete(kc) < 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm cannot complete its last instruction", vcpu->id));
	return (0);
}

/* A signal that waits ends KVM_RUN before the guest is entered, and, other than immediate_exit, behind what the kernel does on the way there. */
void
kvm_catch_up(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	sigset_t set, was;

	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->in_accel && kc->mask_set && !kc->shutdown && kvm_settle(vcpu) == 0 && kc->stage == KVM_STAGE_NONE) {
		sigemptyset(&set);
		sigaddset(&set, VM_KICK_SIGNAL);
		(void)pthread_sigmask(SIG_BLOCK, &set, &was);
		(void)pthread_kill(pthread_self(), VM_KICK_SIGNAL);
		set_immediate(kc, 0);
		if (ioctl(kc->fd, KVM_RUN, 0) == 0) {
			kc->off = 0;
			kc->stage = KVM_STAGE_FRESH;
		}
		take_signals();
		(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
		vcpu->page_valid = false;
	}
	pthread_mutex_unlock(&vcpu->lock);
}

/*
 * Execute the instruction of the last exit again.  An instruction that only read and has no answer yet, or that has to do with a register of the
 * architecture's, has not retired: it is finished with ones, and the registers from before are put back.
 */
static int
kvm_restart(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	uint64_t regs[KVM_MD_REGS / sizeof(uint64_t)];
	struct piece p;

	if (vcpu->exit.code == VM_EXIT_ERROR || vcpu->exit.code == VM_EXIT_HALT)
		return (0);			/* the program counter is at it */
	if (kc->stage == KVM_STAGE_OPEN) {
		piece_at(kc, &p);
		if (p.data == NULL || (vcpu->read_open && kc->off == 0 && p.size == p.total)) {
			if (kvm_md_regs_get(vcpu, regs, sizeof(regs)) != 0)
				return (-1);
			kvm_abandon(vcpu);
			vcpu->page_valid = false;
			return (kvm_md_regs_set(vcpu, regs, sizeof(regs)));
		}
	}
	return (vm_fail(ENOTSUP,
	    "vcpu %d: kvm cannot restart the instruction of its last exit, which has retired at least in part",
	    vcpu->id));
}

static int
kvm_state_save(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	if (kvm_md_state_save(vcpu) != 0)
		return (-1);
	kc->saved_pc = kvm_md_page_pc(vcpu);
	if (kc->stage != KVM_STAGE_NONE)
		memcpy(kc->saved, vcpu->state, vcpu->vm->md->state_size);
	return (0);
}

/*
 * The page was changed while an instruction waits for the answer to its read.  The kernel cannot
 * finish it on top of other registers, so it is finished first, and what the caller changed is put
 * over what it did.
 */
static int
finish_under(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	uint32_t *page = vcpu->state, *saved = kc->saved, *mine;
	size_t len = vcpu->vm->md->state_size, n = len / sizeof(*page);
	struct piece p;

	piece_at(kc, &p);
	if (kc->off + p.size < p.total)
		return (0);			/* more is to come: the rest of it runs on what the page says */
	mine = malloc(len);
	if (mine == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	kvm_md_refuse(vcpu);
	memcpy(mine, page, len);
	piece_answer(vcpu, &p);
	if (kvm_complete(kc) < 0 || kvm_md_state_save(vcpu) != 0) {
		memcpy(page, mine, len);
		free(mine);
		return (vm_fail_sys(errno, "vcpu %d: kvm cannot complete its last instruction", vcpu->id));
	}
	for (size_t i = 0; i < n; i++) {
		if (mine[i] != saved[i])
			page[i] = mine[i];
	}
	free(mine);
	return (0);
}

static int
kvm_state_load(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	/*
	 * The vCPU was reset, or the caller went on past the instruction itself: the one that is
	 * not finished is no more.
	 */
	if (kc->stage != KVM_STAGE_NONE &&
	    (kc->saved_pc != kvm_md_page_pc(vcpu) || (kvm_read_unanswered(vcpu) && !vcpu->read_open)))
		kvm_abandon(vcpu);
	if (kvm_read_unanswered(vcpu) && finish_under(vcpu) != 0)
		return (-1);
	return (kvm_md_state_load(vcpu));
}

static void
kvm_state_refresh(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	/* Its creation may have failed half-way. */
	if (kc->md == NULL)
		return;
	kvm_md_refresh(vcpu, kc->stage != KVM_STAGE_NONE ? kc->saved : NULL);
}

const struct accel_ops accel_kvm = {
	.name = "kvm",
	.id = VM_ACCEL_KVM,
	.shows_host = true,
	.probe = kvm_probe,
	.fits = kvm_fits,
	.vm_create = kvm_vm_create,
	.vm_finalize = kvm_vm_finalize,
	.vm_destroy = kvm_vm_destroy,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.mem_map = kvm_mem_map,
	.mem_unmap = kvm_mem_unmap,
	.group_set = kvm_group_set,
	.run = kvm_run,
	.kick = kvm_kick,
	.settle = kvm_settle,
	.restart = kvm_restart,
	.state_save = kvm_state_save,
	.state_load = kvm_state_load,
	.state_refresh = kvm_state_refresh,
	.irq_set = kvm_irq_set,
	.msi_send = kvm_msi_send,
	.irq_bind = kvm_irq_bind,
	.route_commit = kvm_route_commit,
	.eoi_watch = kvm_eoi_watch,
	.doorbell_add = kvm_doorbell_add,
	.doorbell_remove = kvm_doorbell_remove,
	.dirty_start = kvm_dirty_start,
	.dirty_fetch = kvm_dirty_fetch,
	.dirty_stop = kvm_dirty_stop,
	.cap_set = kvm_md_cap_set,
	.debug_set = kvm_debug_points,
	.clock_run = kvm_clock_run,
	.reset = kvm_md_reset,
	.vm_save = kvm_md_vm_save,
	.vm_load = kvm_md_vm_load,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_amd64.c - the kvm back end on amd64 hosts: the machine around the vCPUs, exits of the
 * architecture's own, capabilities and time.
 *
 * The 8259 pair, the I/O APIC and the local APICs are the kernel's; the 8254 is hyve's own and
 * drives line 0.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "kvm_amd64.h"

/*
 * Intel processors without unrestricted guests need a page of page tables and three pages of a TSS
 * somewhere the guest does not look: in the hole above the local APICs.
 */
#define	IDENTITY_MAP	0xfeffc000ULL
#define	TSS		0xfeffd000ULL

const enum vm_arch kvm_md_arch = VM_ARCH_AMD64;

const struct kvm_need kvm_md_needs[] = {
	{ KVM_CAP_IRQCHIP, "interrupt controllers" },
	{ KVM_CAP_SIGNAL_MSI, "message-signalled interrupts" },
	{ KVM_CAP_SET_TSS_ADDR, "a place for the TSS" },
	{ KVM_CAP_EXT_CPUID, "CPUID" },
	{ KVM_CAP_VCPU_EVENTS, "events in the state" },
	{ KVM_CAP_DEBUGREGS, "debug registers" },
	{ KVM_CAP_XSAVE, "floating-point state" },
	{ KVM_CAP_IRQFD_RESAMPLE, "ends of interrupts" },
	{ 0, NULL }
};

/* SECTION: probe */

int
kvm_md_probe_load(int vmfd, int vcpufd, uint8_t *page, uint32_t n)
{
	/* 1: dec ecx; jnz 1b; out dx, al - in 16-bit code, at address 0. */
	static const uint8_t code[] = { 0x66, 0x49, 0x75, 0xfc, 0xee };
	struct kvm_regs r;
	struct kvm_sregs s;

	if (page[0] == 0) {
		(void)ioctl(vmfd, KVM_SET_TSS_ADDR, TSS);
		memcpy(page, code, sizeof(code));
	}
	if (kvm_ioctl(vcpufd, KVM_GET_SREGS, &s) != 0)
		return (-1);
	s.cs.base = 0;
	s.cs.selector = 0;
	memset(&r, 0, sizeof(r));
	r.rcx = n;
	r.rdx = 0x80;
	r.rflags = RFLAGS_FIXED;
	if (kvm_ioctl(vcpufd, KVM_SET_SREGS, &s) != 0 || kvm_ioctl(vcpufd, KVM_SET_REGS, &r) != 0)
		return (-1);
	return (0);
}

/* SECTION: life */

unsigned long
kvm_md_vm_type(int kvmfd)
{
	return (0);
}

static bool
has_cap(struct vmctx *vm, int cap)
{
	return (ioctl(kvm_vm(vm)->kvmfd, KVM_CHECK_EXTENSION, cap) > 0);
}

/*
 * The kernel opens LINT0 of the bootstrap processor at each INIT, as a BIOS would; that is for the
 * guest's firmware to do.
 */
static void
lint0_quirk(struct vmctx *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS, .args = { KVM_X86_QUIRK_LINT0_REENABLED } };

	(void)kvm_ioctl(kvm_vm(vm)->vmfd, KVM_ENABLE_CAP, &cap);
}

int
kvm_md_vm_create(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);
	uint64_t map = IDENTITY_MAP;
	int n;

	if (amd64_phys_mask(vm) != UINT64_MAX)
		return (vm_fail(ENOTSUP, "vm '%s': kvm cannot mask address line 20, which is masked: use soft", vm->name));
	kv->md = calloc(1, sizeof(*kv->md));
	if (kv->md == NULL)
		return (vm_fail(ENOMEM, "vm '%s': kvm: out of memory", vm->name));
	kv->md->has_sregs2 = has_cap(vm, KVM_CAP_SREGS2);
	kv->md->has_tsc_deadline = has_cap(vm, KVM_CAP_TSC_DEADLINE_TIMER);
	n = ioctl(kv->vmfd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	kv->md->has_xsave2 = n > 0;
	kv->md->xsave_len = n > (int)sizeof(struct kvm_xsave) ? (size_t)n : sizeof(struct kvm_xsave);
	n = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
	kv->md->debug_flags =
	    n > 0 ? (uint32_t)n : KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP;
	if (has_cap(vm, KVM_CAP_SET_IDENTITY_MAP_ADDR) && kvm_ioctl(kv->vmfd, KVM_SET_IDENTITY_MAP_ADDR, &map) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: identity map", vm->name));
	if (kvm_ioctl(kv->vmfd, KVM_SET_TSS_ADDR, (void *)TSS) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: TSS", vm->name));
	if (kvm_ioctl(kv->vmfd, KVM_CREATE_IRQCHIP, NULL) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: interrupt controllers", vm->name));
	lint0_quirk(vm);
	if (kvm_chips_init(vm) != 0)
		return (-1);
	if (vm->accel->route_commit(vm) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: interrupt routes", vm->name));
	return (kvm_cpuid_init(vm) == 0 ? kvm_msr_filter(vm) : -1);
}

void
kvm_md_vm_destroy(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);

	if (kv->md == NULL)
		return;
	free(kv->md->cpuid);
	free(kv->md);
	kv->md = NULL;
}

int
kvm_md_vcpu_create(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	kc->md = calloc(1, sizeof(*kc->md));
	if (kc->md != NULL)
		kc->md->xsave = malloc(kvm_vm(vcpu->vm)->md->xsave_len);
	if (kc->md == NULL || kc->md->xsave == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	if (kvm_cpuid_set(vcpu) != 0)
		return (-1);
	return (kvm_lapic_init(vcpu));
}

void
kvm_md_vcpu_destroy(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	if (kc->md != NULL)
		free(kc->md->xsave);
	free(kc->md);
	kc->md = NULL;
}

static struct vcpu *
first_vcpu(struct vmctx *vm)
{
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			return (vm->vcpus[i]);
	}
	return (NULL);
}

/*
 * The counter runs at the VM's frequency, or the VM is told the host's if it did not ask for one.
 */
static int
tsc_frequency(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct vcpu *first = first_vcpu(vm);
	unsigned long want = (unsigned long)(vm->counter_hz / 1000);
	int khz;

	if (first == NULL)
		return (0);
	khz = ioctl(kvm_cpu(first)->fd, KVM_GET_TSC_KHZ, 0);
	if (khz <= 0)
		return (vm_fail(ENOTSUP, "vm '%s': kvm does not tell the frequency of the time-stamp counter",
		    vm->name));
	md->host_khz = md->guest_khz = (uint64_t)khz;
	if (want != (unsigned long)khz && vm->counter_set) {
		for (int i = 0; i < VM_MAXCPU; i++) {
			if (vm->vcpus[i] != NULL && kvm_ioctl(kvm_cpu(vm->vcpus[i])->fd, KVM_SET_TSC_KHZ, (void *)want) != 0)
				return (vm_fail(ENOTSUP,
				    "vm '%s': kvm cannot run the time-stamp counter at %llu Hz on this host, only at "
				    "%d000 Hz",
				    vm->name, (unsigned long long)vm->counter_hz, khz));
		}
		md->guest_khz = want;
	} else
		vm->counter_hz = (uint64_t)khz * 1000;
	return (0);
}

/* Some kernels take another offset and go on as before. */
static bool
offset_sticks(struct vcpu *vcpu)
{
	uint64_t offset = 0, was, now;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset
	};
	int fd = kvm_cpu(vcpu)->fd;

	if (kvm_ioctl(fd, KVM_GET_DEVICE_ATTR, &attr) != 0)
		return (false);
	was = offset;
	offset -= 1000000;
	(void)kvm_ioctl(fd, KVM_SET_DEVICE_ATTR, &attr);
	offset = was;
	(void)kvm_ioctl(fd, KVM_GET_DEVICE_ATTR, &attr);
	now = offset;
	offset = was;
	(void)kvm_ioctl(fd, KVM_SET_DEVICE_ATTR, &attr);
	return (now == was - 1000000);
}

int
kvm_md_vm_finalize(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct vcpu *first = first_vcpu(vm);
	uint64_t offset = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset
	};

	if (tsc_frequency(vm) != 0)
		return (-1);
	/* A model tells the frequency, which is known only now. */
	for (int i = 0; md->model != NULL && i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && kvm_cpuid_set(vm->vcpus[i]) != 0)
			return (-1);
	}
	md->has_offset = first != NULL && kvm_ioctl(kvm_cpu(first)->fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
	md->exact = md->has_offset && md->guest_khz == md->host_khz;
	md->fixed = md->has_offset && !offset_sticks(first);
	if (md->fixed)
		(void)snprintf(vm->reason + strlen(vm->reason), sizeof(vm->reason) - strlen(vm->reason),
		    "; guests see the host's time-stamp counter as it is");
	md->origin = md->start = md->stop = __rdtsc();
	return (0);
}

/* SECTION: time */

/*
 * Take what the host's counter made while the clock stood off the guest's.  The vCPUs do not run.
 */
static void
tsc_back(struct vcpu *vcpu, uint64_t ticks)
{
	uint64_t offset = 0, tsc;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset
	};

	if (kvm_vm(vcpu->vm)->md->has_offset && kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_DEVICE_ATTR, &attr) == 0) {
		offset -= ticks;
		(void)kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_DEVICE_ATTR, &attr);
	} else if (kvm_msr_get(vcpu, MSR_TSC, &tsc) == 0)
		(void)kvm_msr_set(vcpu, MSR_TSC, tsc - ticks);
}

int
kvm_md_clock_run(struct vmctx *vm, bool run, uint64_t ns)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct kvm_clock_data c = { .clock = ns };
	uint64_t now = __rdtsc(), gone;

	if (!run) {
		/* Paused within a pause, it stands since the first. */
		if (md->running) {
			md->stop = now;
			for (int i = 0; i < VM_MAXCPU; i++) {
				if (vm->vcpus[i] != NULL)
					kvm_lapic_stop(vm->vcpus[i]);
			}
		}
		md->running = false;
		return (0);
	}
	gone = md->started ? now - md->stop : 0;
	for (int i = 0; gone != 0 && !md->fixed && i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && kvm_cpu(vm->vcpus[i])->md->loaded)
			tsc_back(vm->vcpus[i], md->guest_khz == md->host_khz ? gone :
			    muldiv64(gone, md->guest_khz, md->host_khz));
	}
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			kvm_lapic_go(vm->vcpus[i]);
	}
	md->origin = md->started ? md->origin + gone : now;
	md->start = now;
	md->started = md->running = true;
	/* The paravirtual clock is the VM's clock. */
	(void)kvm_ioctl(kvm_vm(vm)->vmfd, KVM_SET_CLOCK, &c);
	return (0);
}

/* SECTION: exits */

unsigned
kvm_md_access(struct kvm_run *run, bool *write)
{
	if (run->exit_reason != KVM_EXIT_X86_RDMSR && run->exit_reason != KVM_EXIT_X86_WRMSR)
		return (0);
	*write = run->exit_reason == KVM_EXIT_X86_WRMSR;
	return (8);
}

void
kvm_md_access_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = kvm_cpu(vcpu)->run;
	struct vm_exit *e = kvm_exit_new(vcpu, VM_EXIT_SYSREG);

	e->insn_len = 2;			/* 0F 30, 0F 32 */
	e->u.sysreg.reg = run->msr.index;
	e->u.sysreg.write = run->exit_reason == KVM_EXIT_X86_WRMSR;
	e->u.sysreg.data = e->u.sysreg.write ? run->msr.data : 0;
	run->msr.error = 0;
}

void
kvm_md_access_reply(struct vcpu *vcpu, uint64_t val)
{
	struct kvm_run *run = kvm_cpu(vcpu)->run;

	run->msr.data = val;
}

/* A register that does not exist is a general protection fault, which the kernel raises itself. */
void
kvm_md_refuse(struct vcpu *vcpu)
{
	struct amd64_state *st = vcpu->state;
	struct kvm_run *run = kvm_cpu(vcpu)->run;
	bool write;

	if (kvm_md_access(run, &write) == 0 || !st->exc_pending || st->exc_vector != 13)
		return;
	run->msr.error = 1;
	st->exc_pending = st->exc_vector = st->exc_has_error = 0;
	st->exc_error = 0;
}

/* The kernel's kinds of KVM_EXIT_INTERNAL_ERROR. */
static const char *
internal_error_name(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return ("it cannot emulate an instruction");
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return ("exceptions came at once that cannot");
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return ("the processor left the guest in the middle of an exception or interrupt");
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return ("the processor left the guest for a reason that the kernel does not expect");
	default:
		return ("internal error of the kernel's KVM");
	}
}

static enum accel_run
internal_error(struct vcpu *vcpu)
{
	struct kvm_run *run = kvm_cpu(vcpu)->run;
	char insn[3 * sizeof(run->emulation_failure.insn_bytes) + 32] = "";
	size_t n = 0;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->internal.ndata >= 1 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0 &&
	    run->emulation_failure.insn_size <= sizeof(run->emulation_failure.insn_bytes)) {
		n = (size_t)snprintf(insn, sizeof(insn), ", instruction bytes");
		for (unsigned i = 0; i < run->emulation_failure.insn_size && n + 4 < sizeof(insn); i++)
			n +=
			    (size_t)snprintf(insn + n, sizeof(insn) - n, " %02x", run->emulation_failure.insn_bytes[i]);
	} else if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION && run->internal.ndata != 0)
		(void)snprintf(insn, sizeof(insn), ", data 0x%llx", (unsigned long long)run->internal.data[0]);
	(void)vm_fail(EIO, "vcpu %d: kvm: %s (suberror %u) at 0x%llx%s", vcpu->id,
	    internal_error_name(run->internal.suberror), run->internal.suberror, (unsigned long long)kvm_md_pc(vcpu), insn);
	return (kvm_exit_error(vcpu, EIO, run->internal.suberror));
}

#define	NBREAK		4U		/* DR0 to DR3 */

/* A point per debug register, in order (SDM vol. 3 17.2.4); these are the host's while the guest runs, and the guest's own are kept aside. */
int
kvm_md_debug(struct vmctx *vm, bool steps, struct kvm_guest_debug *d)
{
	static const uint8_t rw[] = { [VM_DEBUG_EXEC] = 0, [VM_DEBUG_WRITE] = 1, [VM_DEBUG_READ] = 3, [VM_DEBUG_ACCESS] = 3 };
	static const uint8_t len[9] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	uint64_t dr7 = 0x400;

	if (vm->debug.n == 0)
		return (0);
	if ((kvm_vm(vm)->md->debug_flags & KVM_GUESTDBG_USE_HW_BP) == 0)
		return (vm_fail(ENOTSUP, "vm '%s': the kernel's KVM has no breakpoints for debuggers", vm->name));
	if (vm->debug.n > NBREAK)
		return (vm_fail(ENOSPC, "vm '%s': kvm has %u breakpoints and watchpoints, not %u", vm->name, NBREAK, vm->debug.n));
	for (unsigned i = 0; i < vm->debug.n; i++) {
		const struct vm_debug_point *p = &vm->debug.p[i];
		uint64_t n = p->kind == VM_DEBUG_EXEC ? 1 : p->len;

		if (n > 8 || (n & (n - 1)) != 0 || (p->addr & (n - 1)) != 0)
			return (vm_fail(ENOTSUP, "vm '%s': kvm watches aligned ranges of 1, 2, 4 or 8 bytes, not %ju at %#jx", vm->name,
			    (uintmax_t)n, (uintmax_t)p->addr));
		d->arch.debugreg[i] = p->addr;
		if (!steps || p->kind != VM_DEBUG_EXEC)
			dr7 |= 2ULL << 2 * i | (uint64_t)(len[n] << 2 | rw[p->kind]) << (16 + 4 * i);
	}
	d->arch.debugreg[7] = dr7;
	d->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	return (0);
}

static enum accel_run
debug_exit(struct vcpu *vcpu)
{
	const struct kvm_debug_exit_arch *d = &kvm_cpu(vcpu)->run->debug.arch;
	const struct vm_debug *points = &vcpu->vm->debug;
	struct vm_exit *e;

	kvm_cpu(vcpu)->pc = d->pc;
	e = kvm_exit_new(vcpu, VM_EXIT_DEBUG);
	e->u.debug.addr = d->pc;
	e->md[0] = d->dr6;
	if (d->exception == 3) {
		e->u.debug.reason = VM_AMD64_DEBUG_INT3;
		e->insn_len = 1;
		return (ACCEL_EXIT);
	}
	e->u.debug.reason = (d->dr6 & 0x4000) != 0 ? VM_AMD64_DEBUG_STEP : VM_AMD64_DEBUG_DR;	/* DR6.BS (SDM vol. 3 17.2.3) */
	e->u.debug.why = VM_DEBUG_BY_STEP;
	for (unsigned i = 0; i < points->n && i < NBREAK; i++) {
		if ((d->dr6 >> i & 1) != 0) {
			debug_fill(e, &points->p[i], points->p[i].addr, e->u.debug.reason);
			break;
		}
	}
	return (ACCEL_EXIT);
}

enum accel_run
kvm_md_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = kvm_cpu(vcpu)->run;

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return (internal_error(vcpu));
	case KVM_EXIT_DEBUG:
		return (debug_exit(vcpu));
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_TPR_ACCESS:
	case KVM_EXIT_X86_BUS_LOCK:
	case KVM_EXIT_NOTIFY:
		return (ACCEL_AGAIN);
	default:
		(void)vm_fail(EIO, "vcpu %d: kvm: exit reason %u is unknown", vcpu->id, run->exit_reason);
		return (kvm_exit_error(vcpu, EIO, run->exit_reason));
	}
}

void
kvm_md_events(struct vcpu *vcpu, uint32_t events)
{
	/* INIT and start-up messages are between the kernel's local APICs. */
	if ((events & AMD64_EV_NMI) != 0)
		(void)kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_NMI, NULL);
}

/* SECTION: interrupts */

uint32_t
kvm_md_irq(unsigned line)
{
	return (line);
}

/*
 * Lines 0 to 15 reach both controllers, except that line 0 is on I/O APIC input 2 and line 2, the
 * cascade, is nowhere.
 */
unsigned
kvm_md_routes(struct kvm_irq_routing_entry *tab)
{
	unsigned n = 0;

	for (unsigned line = 0; line < AMD64_NLINES; line++) {
		if (line == 2)
			continue;
		if (line < 16) {
			tab[n].gsi = line;
			tab[n].type = KVM_IRQ_ROUTING_IRQCHIP;
			tab[n].u.irqchip.irqchip = line < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
			tab[n++].u.irqchip.pin = line & 7;
		}
		tab[n].gsi = line;
		tab[n].type = KVM_IRQ_ROUTING_IRQCHIP;
		tab[n].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		tab[n++].u.irqchip.pin = line == 0 ? 2 : line;
	}
	return (n);
}

/* Messages are writes to FEEx xxxxh (SDM vol. 3 10.11.1). */
bool
kvm_md_is_msi(struct vmctx *vm, uint64_t addr)
{
	return ((addr & ~0xfffffULL) == APIC_DEFAULT);
}

uint32_t
kvm_md_msi_flags(void)
{
	return (0);
}

int
kvm_md_msi_send(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = (uint32_t)addr, .data = data };

	if (!kvm_md_is_msi(vm, addr)) {
		errno = EINVAL;
		return (-1);
	}
	/* More than 0: delivered; 0: the guest holds it back, as a processor may. */
	return (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_SIGNAL_MSI, &msi) < 0 ? -1 : 0);
}

bool
kvm_md_resample(void)
{
	return (true);
}

/* SECTION: capabilities */

static int
debug_set(struct vcpu *vcpu, uint32_t flag, int val)
{
	if (val && (kvm_vm(vcpu->vm)->md->debug_flags & flag) == 0)
		return (vm_fail(ENOTSUP, "vcpu %d: the kernel's KVM does not have this capability", vcpu->id));
	return (kvm_debug_set(vcpu, flag, val));
}

/* A feature of the processor: it is there, or it is not. */
static int
feature_set(struct vcpu *vcpu, uint32_t leaf, int reg, unsigned bit, int val)
{
	if (val && !kvm_cpuid_has(vcpu->vm, leaf, reg, bit))
		return (vm_fail(ENOTSUP, "vcpu %d: this host's processor does not have this capability", vcpu->id));
	return (0);
}

int
kvm_md_cap_set(struct vcpu *vcpu, int cap, int val)
{
	switch (cap) {
	case VM_CAP_SINGLE_STEP:
		return (debug_set(vcpu, KVM_GUESTDBG_SINGLESTEP, val));
	case VM_CAP_BREAK_EXIT:
		return (debug_set(vcpu, KVM_GUESTDBG_USE_SW_BP, val));
	case VM_CAP_MASK_INTR:
		return (debug_set(vcpu, KVM_GUESTDBG_BLOCKIRQ, val));
	case VM_CAP_UNRESTRICTED_GUEST:
		return (0);			/* kvm runs real mode, one way or the other */
	case VM_AMD64_CAP_ENABLE_INVPCID:
		return (feature_set(vcpu, 0x7, 1, 10, val));
	case VM_AMD64_CAP_RDPID:
		return (feature_set(vcpu, 0x7, 2, 22, val));
	case VM_AMD64_CAP_RDTSCP:
		return (feature_set(vcpu, 0x80000001, 3, 27, val));
	default:
		/* Waiting and spinning stay in the kernel, with its interrupt controllers. */
		if (val)
			return (vm_fail(ENOTSUP, "vcpu %d: kvm does not have capability %s", vcpu->id,
			    vm_capability_type2name(cap)));
		return (0);
	}
}

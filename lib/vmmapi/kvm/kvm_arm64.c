/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_arm64.c - the kvm back end on arm64 hosts: PSCI is the kernel's, and so is the GICv3 (kvm_arm64_gic.c).  Registers are in
 * kvm_arm64_reg.c.
 *
 * The kernel's distributor has no message registers (GICD_TYPER.MBIS); the library takes messages
 * to GICD_SETSPI_NSR and pulses the line.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_arm64.h"

#define	GICD_SETSPI_NSR	0x40U
#define	GITS_TRANSLATER	0x10040U

const enum vm_arch kvm_md_arch = VM_ARCH_ARM64;

const struct kvm_need kvm_md_needs[] = {
	{ KVM_CAP_ONE_REG, "access to registers" },
	{ KVM_CAP_ARM_PSCI_0_2, "PSCI" },
	{ KVM_CAP_DEVICE_CTRL, "devices" },
	{ KVM_CAP_IRQFD_RESAMPLE, "ends of interrupts" },
	{ 0, NULL }
};

/* SECTION: probe */

static int
vcpu_init(int vmfd, int fd, bool off)
{
	struct kvm_vcpu_init init;

	memset(&init, 0, sizeof(init));
	if (kvm_ioctl(vmfd, KVM_ARM_PREFERRED_TARGET, &init) != 0)
		return (-1);
	init.features[0] |= 1U << KVM_ARM_VCPU_PSCI_0_2;
	if (off)
		init.features[0] |= 1U << KVM_ARM_VCPU_POWER_OFF;
	return (kvm_ioctl(fd, KVM_ARM_VCPU_INIT, &init));
}

int
kvm_md_fits(struct vmctx *vm, int kvmfd)
{
	if (vm->cpu_model == NULL)
		return (0);
	return (vm_fail(ENOTSUP, "kvm: it shows arm64 guests the host's processor, not model %s: use soft", vm->cpu_model));
}

int
kvm_md_probe_load(int vmfd, int vcpufd, uint8_t *page, uint32_t n)
{
	/* 1: subs w0, w0, #1; b.ne 1b; str w0, [x1] */
	static const uint32_t code[] = { 0x71000400, 0x54ffffe1, 0xb9000020 };
	uint64_t pc = 0, x0 = n, x1 = 0x10000;

	memcpy(page, code, sizeof(code));
	__builtin___clear_cache((char *)page, (char *)page + sizeof(code));
	if (vcpu_init(vmfd, vcpufd, false) != 0 || kvm_reg_set(vcpufd, KVM_CORE(regs.pc), &pc) != 0 ||
	    kvm_reg_set(vcpufd, KVM_CORE_X(0), &x0) != 0 || kvm_reg_set(vcpufd, KVM_CORE_X(1), &x1) != 0)
		return (-1);
	return (0);
}

/* SECTION: life */

unsigned long
kvm_md_vm_type(int kvmfd)
{
	int bits = ioctl(kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	/* 0 means ARM64_PA_BITS, which a few processors do not have. */
	return (bits > 0 && bits < ARM64_PA_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned)bits) : 0);
}

int
kvm_md_vm_create(struct vmctx *vm)
{
	struct kvm_enable_cap nisv = { .cap = KVM_CAP_ARM_NISV_TO_USER };
	struct kvm_vm *kv = kvm_vm(vm);

	kv->md = calloc(1, sizeof(*kv->md));
	if (kv->md == NULL)
		return (vm_fail(ENOMEM, "vm '%s': kvm: out of memory", vm->name));
	kv->md->gicfd = kv->md->itsfd = -1;
	/* Let accesses that the kernel cannot emulate come out: see no_syndrome(). */
	if (ioctl(kv->vmfd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_NISV_TO_USER) > 0 &&
	    ioctl(kv->vmfd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_INJECT_EXT_DABT) > 0)
		(void)kvm_ioctl(kv->vmfd, KVM_ENABLE_CAP, &nisv);
	return (kvm_gic_create(vm));
}

void
kvm_md_vm_destroy(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);

	if (kv->md == NULL)
		return;
	kvm_gic_destroy(vm);
	free(kv->md);
	kv->md = NULL;
}

static uint64_t
host_hz(void)
{
	uint64_t hz;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r" (hz));
	return (hz);
}

int
kvm_md_vm_finalize(struct vmctx *vm)
{
	uint64_t hz = host_hz();

	if (vm->counter_hz != hz && vm->counter_set)
		return (vm_fail(ENOTSUP, "vm '%s': kvm cannot run the counter at %llu Hz on this host, only at %llu Hz",
		    vm->name, (unsigned long long)vm->counter_hz, (unsigned long long)hz));
	vm->counter_hz = hz;
	return (kvm_gic_finalize(vm));
}

int
kvm_md_vcpu_create(struct vcpu *vcpu)
{
	const struct arm64_state *st = vcpu->state;
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	kc->md = calloc(1, sizeof(*kc->md));
	if (kc->md == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	kc->md->off = arm64_load32(&st->run_state) == VM_ARM64_OFF;
	if (vcpu_init(kvm_vm(vcpu->vm)->vmfd, kc->fd, kc->md->off) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm cannot initialise it", vcpu->id));
	return (kvm_cpu_learn(vcpu));
}

void
kvm_md_vcpu_destroy(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	if (kc->md != NULL)
		free(kc->md->others);
	free(kc->md);
	kc->md = NULL;
}

/* The pages follow, and say the same: all but the first vCPU are off. */
int
kvm_md_reset(struct vmctx *vm)
{
	for (int i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu == NULL)
			continue;
		if (vcpu_init(kvm_vm(vm)->vmfd, kvm_cpu(vcpu)->fd, i != 0) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm cannot initialise it", i));
		kvm_cpu(vcpu)->md->off = i != 0;
	}
	return (kvm_gic_reset(vm));
}

/* SECTION: time */

static struct vcpu *
first_vcpu(struct vmctx *vm)
{
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			return (vm->vcpus[i]->accel_cpu == NULL ? NULL : vm->vcpus[i]);
	}
	return (NULL);
}

/*
 * One write moves the virtual counters of all vCPUs.  The physical counter is the host's, and goes on in a pause; a kernel that does not tell
 * it has no call for its timer either.
 */
static void
counter_set(struct vmctx *vm, struct vcpu *first)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	uint64_t phys, count;

	(void)kvm_reg_set(kvm_cpu(first)->fd, KVM_REG_ARM_TIMER_CNT, &md->count);
	if (kvm_reg_get(kvm_cpu(first)->fd, KVM_REG_ARM_PTIMER_CNT, &phys) == 0 &&
	    kvm_reg_get(kvm_cpu(first)->fd, KVM_REG_ARM_TIMER_CNT, &count) == 0)
		md->phys = phys - count;
}

void
kvm_counter_load(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct vcpu *first = first_vcpu(vm);

	if (first == NULL)
		return;
	md->count = muldiv64(vm_clock_now(vm), vm->counter_hz, 1000000000);
	md->started = md->stopped = true;
	counter_set(vm, first);
}

int
kvm_md_clock_run(struct vmctx *vm, bool run, uint64_t ns)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct vcpu *first = first_vcpu(vm);
	uint64_t due = muldiv64(ns, vm->counter_hz, 1000000000);

	if (first == NULL)
		return (0);
	if (!run) {
		/* Paused within a pause, it stands since the first. */
		if (!md->stopped)
			md->stopped = md->started && kvm_reg_get(kvm_cpu(first)->fd, KVM_REG_ARM_TIMER_CNT, &md->count) == 0;
		return (0);
	}
	if (!md->started || md->stopped) {
		/* It shows the VM's clock, but never less than the guest has seen. */
		if (!md->started || md->count < due)
			md->count = due;
		counter_set(vm, first);
	}
	md->started = true;
	md->stopped = false;
	return (0);
}

/* SECTION: exits */

unsigned
kvm_md_access(struct kvm_run *run, bool *write)
{
	return (0);
}

bool
kvm_md_access_own(struct vcpu *vcpu)
{
	return (false);
}

void
kvm_md_access_exit(struct vcpu *vcpu)
{
}

void
kvm_md_access_reply(struct vcpu *vcpu, uint64_t val)
{
}

void
kvm_md_refuse(struct vcpu *vcpu)
{
}

static enum accel_run
system_event(struct vcpu *vcpu)
{
	const struct kvm_run *run = kvm_cpu(vcpu)->run;

	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		(void)vm_suspend(vcpu->vm, VM_SUSPEND_POWEROFF);
		return (ACCEL_AGAIN);
	case KVM_SYSTEM_EVENT_RESET:
		(void)vm_suspend(vcpu->vm, VM_SUSPEND_RESET);
		return (ACCEL_AGAIN);
	default:
		(void)vm_fail(EIO, "vcpu %d: kvm: system event %u", vcpu->id, run->system_event.type);
		return (kvm_exit_error(vcpu, EIO, run->system_event.type));
	}
}

/* SECTION: debuggers */

#define	BCR_ON		0x1e7U		/* DBGBCR_EL1 (Arm ARM D17.3.2): E, PMC EL1 and EL0, BAS a word */
#define	WCR_ON		0x7U		/* DBGWCR_EL1 (Arm ARM D17.3.11): E, PAC EL1 and EL0 */
#define	WCR_LSC_LOAD	0x08U
#define	WCR_LSC_STORE	0x10U
#define	WCR_BAS_SHIFT	5
#define	ISS_WNR		0x40U		/* of a watchpoint: a write */

/* What the processor has for debuggers while guests run, whose own such registers are kept aside then. */
static unsigned
npoints(struct vmctx *vm, int cap)
{
	int n = ioctl(kvm_vm(vm)->vmfd, KVM_CHECK_EXTENSION, cap);

	return (n <= 0 ? 0 : n > KVM_ARM_MAX_DBG_REGS ? KVM_ARM_MAX_DBG_REGS : (unsigned)n);
}

static int
too_many(struct vmctx *vm, const char *what, unsigned has)
{
	if (has == 0)
		return (vm_fail(ENOTSUP, "vm '%s': the kernel's KVM has no %s for debuggers", vm->name, what));
	return (vm_fail(ENOSPC, "vm '%s': kvm has %u %s on this host's processor, and no more", vm->name, has, what));
}

int
kvm_md_debug(struct vmctx *vm, bool steps, struct kvm_guest_debug *d)
{
	static const uint32_t lsc[] = { [VM_DEBUG_WRITE] = WCR_LSC_STORE, [VM_DEBUG_READ] = WCR_LSC_LOAD,
	    [VM_DEBUG_ACCESS] = WCR_LSC_LOAD | WCR_LSC_STORE };
	unsigned nexec = 0, ndata = 0, hasexec, hasdata;

	if (vm->debug.n == 0)
		return (0);
	hasexec = npoints(vm, KVM_CAP_GUEST_DEBUG_HW_BPS);
	hasdata = npoints(vm, KVM_CAP_GUEST_DEBUG_HW_WPS);
	for (unsigned i = 0; i < vm->debug.n; i++) {
		const struct vm_debug_point *p = &vm->debug.p[i];

		if (p->kind == VM_DEBUG_EXEC) {
			if ((p->addr & 3) != 0)
				return (vm_fail(ENOTSUP, "vm '%s': no instruction is at %#jx: arm64's are at multiples of 4", vm->name,
				    (uintmax_t)p->addr));
			if (nexec == hasexec)
				return (too_many(vm, "breakpoints", hasexec));
			d->arch.dbg_bvr[nexec] = p->addr;
			d->arch.dbg_bcr[nexec++] = steps ? 0 : BCR_ON;
			continue;
		}
		if (p->len > 8 || (p->len & (p->len - 1)) != 0 || (p->addr & (p->len - 1)) != 0)
			return (vm_fail(ENOTSUP, "vm '%s': kvm watches aligned ranges of 1, 2, 4 or 8 bytes, not %ju at %#jx", vm->name,
			    (uintmax_t)p->len, (uintmax_t)p->addr));
		if (ndata == hasdata)
			return (too_many(vm, "watchpoints", hasdata));
		d->arch.dbg_wvr[ndata] = p->addr & ~7ULL;
		d->arch.dbg_wcr[ndata++] = WCR_ON | lsc[p->kind] | ((1ULL << p->len) - 1) << (p->addr & 7) << WCR_BAS_SHIFT;
	}
	d->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
	return (0);
}

/*
 * The processor tells an address of the access that is not above the last one that is watched (Arm ARM D2.10.5): what was hit is there, or the next
 * above.  NULL: it is not known.
 */
static const struct vm_debug_point *
watched(const struct vm_debug *d, uint64_t far, bool write, uint64_t *at)
{
	const struct vm_debug_point *found = NULL;

	for (unsigned i = 0; i < d->n; i++) {
		const struct vm_debug_point *p = &d->p[i];
		uint64_t first = far > p->addr ? far : p->addr;

		if (p->kind == VM_DEBUG_EXEC || p->kind == (write ? VM_DEBUG_READ : VM_DEBUG_WRITE) || first - p->addr >= p->len)
			continue;
		if (found == NULL || first < *at) {
			found = p;
			*at = first;
		}
	}
	return (found);
}

static enum accel_run
debug_exit(struct vcpu *vcpu)
{
	const struct kvm_debug_exit_arch *d = &kvm_cpu(vcpu)->run->debug.arch;
	const struct vm_debug_point *p = NULL;
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	unsigned class = d->hsr >> 26;
	bool own = class == EC_BRK || class == EC_BKPT;
	struct vm_exit *e;
	uint64_t at = 0;

	/* While there are points or steps the guest's own instructions for debuggers come out, too; it may be that nobody has asked for them. */
	if (own && (kc->debug & KVM_GUESTDBG_USE_SW_BP) == 0) {
		if (kvm_cpu_exception(vcpu, d->hsr) != 0)
			return (kvm_exit_error(vcpu, EIO, d->hsr));
		if ((kc->debug & KVM_GUESTDBG_SINGLESTEP) == 0)
			return (ACCEL_AGAIN);
		own = false;
	}
	kc->pc = kvm_md_pc(vcpu);
	e = kvm_exit_new(vcpu, VM_EXIT_DEBUG);
	e->u.debug.addr = kc->pc;
	e->insn_len = 4;
	switch (class) {
	case EC_BREAKPOINT:
		p = debug_find(vcpu->vm, VM_DEBUG_EXEC, kc->pc, 1, &at);
		break;
	case EC_WATCHPOINT:
		/* A tag is no part of where it is. */
		p = watched(&vcpu->vm->debug, (uint64_t)((int64_t)(d->far << 8) >> 8), (d->hsr & ISS_WNR) != 0, &at);
		break;
	default:
		break;
	}
	if (p != NULL) {
		debug_fill(e, p, at, VM_ARM64_DEBUG_POINT);
	} else if (own) {
		e->u.debug.reason = VM_ARM64_DEBUG_BRK;
		e->u.debug.why = VM_DEBUG_BY_GUEST;
	} else {
		e->u.debug.reason = VM_ARM64_DEBUG_STEP;
		e->u.debug.why = VM_DEBUG_BY_STEP;
	}
	return (ACCEL_EXIT);
}

/* SECTION: exits that are the architecture's */

/*
 * Outside of memory, and in memory that it may not write, the processor tells the kernel what an instruction wanted only if that accesses one
 * general register (Arm ARM D17.2.37, ISS.ISV).  Pairs, vectors, atomics and the like have no business there: they are an external abort, as on
 * a bus that does not do such transfers.
 */
static enum accel_run
no_syndrome(struct vcpu *vcpu)
{
	struct kvm_vcpu_events ev;

	memset(&ev, 0, sizeof(ev));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_VCPU_EVENTS, &ev) == 0) {
		ev.exception.ext_dabt_pending = 1;
		if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_VCPU_EVENTS, &ev) == 0)
			return (ACCEL_AGAIN);
	}
	(void)vm_fail(EIO, "vcpu %d: kvm: it cannot emulate the instruction at 0x%llx, which accesses 0x%llx", vcpu->id,
	    (unsigned long long)kvm_md_pc(vcpu), (unsigned long long)kvm_cpu(vcpu)->run->arm_nisv.fault_ipa);
	return (kvm_exit_error(vcpu, EIO, kvm_cpu(vcpu)->run->arm_nisv.esr_iss));
}

enum accel_run
kvm_md_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = kvm_cpu(vcpu)->run;

	switch (run->exit_reason) {
	case KVM_EXIT_SYSTEM_EVENT:
		return (system_event(vcpu));
	case KVM_EXIT_DEBUG:
		return (debug_exit(vcpu));
	case KVM_EXIT_ARM_NISV:
		return (no_syndrome(vcpu));
	case KVM_EXIT_INTERNAL_ERROR:
		(void)vm_fail(EIO, "vcpu %d: kvm: internal error (suberror %u) at 0x%llx", vcpu->id,
		    run->internal.suberror, (unsigned long long)kvm_md_pc(vcpu));
		return (kvm_exit_error(vcpu, EIO, run->internal.suberror));
	default:
		(void)vm_fail(EIO, "vcpu %d: kvm: exit reason %u is unknown", vcpu->id, run->exit_reason);
		return (kvm_exit_error(vcpu, EIO, run->exit_reason));
	}
}

void
kvm_md_events(struct vcpu *vcpu, uint32_t events)
{
	/* PSCI is the kernel's: nobody posts CPU_ON. */
}

/* SECTION: interrupts */

uint32_t
kvm_md_irq(unsigned line)
{
	return ((uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (line + 32));
}

/* The kernel's own routes, line N to SPI N, are what we want. */
unsigned
kvm_md_routes(struct kvm_irq_routing_entry *tab)
{
	return (0);
}

/* To the ITS.  The kernel knows no messages to the distributor. */
bool
kvm_md_is_msi(struct vmctx *vm, uint64_t addr)
{
	const struct arm64_vm *av = arm64_vm(vm);

	return (av != NULL && av->its != 0 && addr == av->its + GITS_TRANSLATER);
}

uint32_t
kvm_md_msi_flags(void)
{
	return (KVM_MSI_VALID_DEVID);
}

int
kvm_md_msi_send(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	const struct arm64_vm *av = arm64_vm(vm);
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data, .flags = KVM_MSI_VALID_DEVID,
		.devid = requester,
	};

	if (kvm_md_is_msi(vm, addr))
		return (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_SIGNAL_MSI, &msi) < 0 ? -1 : 0);
	if (av == NULL || addr != av->gicd + GICD_SETSPI_NSR || data < 32 || data >= KVM_ARM64_NIRQS) {
		errno = EINVAL;
		return (-1);
	}
	for (int level = 1; level >= 0; level--) {
		if (vm->accel->irq_set(vm, data - 32, level != 0) != 0)
			return (-1);
	}
	return (0);
}

bool
kvm_md_resample(void)
{
	return (false);
}

/* SECTION: capabilities */

int
kvm_md_cap_set(struct vcpu *vcpu, int cap, int val)
{
	switch (cap) {
	case VM_CAP_SINGLE_STEP:
		return (kvm_debug_set(vcpu, KVM_GUESTDBG_SINGLESTEP, val));
	case VM_CAP_BREAK_EXIT:
		return (kvm_debug_set(vcpu, KVM_GUESTDBG_USE_SW_BP, val));
	case VM_CAP_UNRESTRICTED_GUEST:
		return (0);
	default:
		if (val)
			return (vm_fail(ENOTSUP, "vcpu %d: kvm does not have capability %s", vcpu->id,
			    vm_capability_type2name(cap)));
		return (0);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_arm64.c - the kvm back end on arm64 hosts: GICv3 and PSCI are the kernel's, the state page
 * goes register by register (Documentation/virt/kvm/api.rst of the kernel, KVM_SET_ONE_REG).
 *
 * The kernel's distributor has no message registers (GICD_TYPER.MBIS); the library takes messages
 * to GICD_SETSPI_NSR and pulses the line.  The state of the kernel's GICv3 does not go into streams
 * yet: saving fails and says so.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../arm64/arm64.h"
#include "kvm.h"

#define	GICD_SETSPI_NSR	0x40U
#define	GITS_TRANSLATER	0x10040U
#define	NIRQS		(32 + ARM64_NSPI)

#define	EC_STEP_LOWER	0x32U		/* debug exits: software step, from the guest */

struct kvm_md_vm {
	int		 gicfd;
	int		 itsfd;		/* -1: there is none */
	uint64_t	 count;			/* virtual counter when the clock was stopped */
	bool		 started, stopped;
};

const enum vm_arch kvm_md_arch = VM_ARCH_ARM64;

const struct kvm_need kvm_md_needs[] = {
	{ KVM_CAP_ONE_REG, "access to registers" },
	{ KVM_CAP_ARM_PSCI_0_2, "PSCI" },
	{ KVM_CAP_DEVICE_CTRL, "devices" },
	{ KVM_CAP_IRQFD_RESAMPLE, "ends of interrupts" },
	{ 0, NULL }
};

/* SECTION: registers */

static int
reg_get(int fd, uint64_t id, void *val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)val };

	return (kvm_ioctl(fd, KVM_GET_ONE_REG, &r));
}

static int
reg_set(int fd, uint64_t id, const void *val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)val };

	return (kvm_ioctl(fd, KVM_SET_ONE_REG, &r));
}

#define	CORE(f)		(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(f))
#define	CORE32(f)	(KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(f))
#define	CORE128(f)	(KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(f))
/* General registers are two 32-bit units of the core space each, vector registers four. */
#define	CORE_X(n)	(CORE(regs.regs[0]) + 2U * (n))
#define	CORE_V(n)	(CORE128(fp_regs.vregs[0]) + 4U * (n))

#define	TIMER_ENABLE	1U		/* CNTP_CTL_EL0.ENABLE (Arm ARM D17.11.16) */

struct reg_field {
	const char	*name;
	uint64_t	id;
	uint16_t	offset;
	bool		readonly;
	bool		ptimer;		/* of the physical timer, for which kernels older than some have no call */
};

#define	F(i, f)		{ .name = #f, .id = (i), .offset = offsetof(struct arm64_state, f) }
#define	PTIMER(i, f)	{ .name = #f, .id = (i), .offset = offsetof(struct arm64_state, f), .ptimer = true }
#define	S(f, o0, o1, n, m, o2)	F(ARM64_SYS_REG(o0, o1, n, m, o2), f)

static const struct reg_field reg_fields[] = {
	F(CORE(regs.sp), sp_el0), F(CORE(sp_el1), sp_el1), F(CORE(regs.pc), pc), F(CORE(regs.pstate), pstate),
	F(CORE(spsr[KVM_SPSR_EL1]), spsr_el1), F(CORE(elr_el1), elr_el1),
	S(esr_el1, 3, 0, 5, 2, 0), S(far_el1, 3, 0, 6, 0, 0), S(vbar_el1, 3, 0, 12, 0, 0),
	S(sctlr_el1, 3, 0, 1, 0, 0), S(ttbr0_el1, 3, 0, 2, 0, 0), S(ttbr1_el1, 3, 0, 2, 0, 1), S(tcr_el1, 3, 0, 2, 0, 2),
	S(mair_el1, 3, 0, 10, 2, 0), S(cpacr_el1, 3, 0, 1, 0, 2), S(contextidr_el1, 3, 0, 13, 0, 1),
	S(tpidr_el0, 3, 3, 13, 0, 2), S(tpidrro_el0, 3, 3, 13, 0, 3), S(tpidr_el1, 3, 0, 13, 0, 4),
	S(cntkctl_el1, 3, 0, 14, 1, 0),
	F(KVM_REG_ARM_TIMER_CVAL, cntv_cval_el0), F(KVM_REG_ARM_TIMER_CTL, cntv_ctl_el0),
	PTIMER(KVM_REG_ARM_PTIMER_CVAL, cntp_cval_el0), PTIMER(KVM_REG_ARM_PTIMER_CTL, cntp_ctl_el0),
	{ .name = "midr_el1", .id = ARM64_SYS_REG(3, 0, 0, 0, 0), .offset = offsetof(struct arm64_state, midr_el1), .readonly = true },
};

static uint64_t *
field(struct arm64_state *st, const struct reg_field *f)
{
	return ((uint64_t *)(void *)((uint8_t *)st + f->offset));
}

static int
field_get(int fd, struct arm64_state *st, const struct reg_field *f)
{
	if (reg_get(fd, f->id, field(st, f)) == 0)
		return (0);
	if (!f->ptimer || errno != ENOENT)
		return (-1);
	*field(st, f) = 0;
	return (0);
}

/* A timer that is off need not be known to the kernel, whatever its comparator holds. */
static int
field_set(int fd, struct arm64_state *st, const struct reg_field *f)
{
	if (f->readonly || reg_set(fd, f->id, field(st, f)) == 0)
		return (0);
	return (f->ptimer && errno == ENOENT && (st->cntp_ctl_el0 & TIMER_ENABLE) == 0 ? 0 : -1);
}

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
kvm_md_probe_load(int vmfd, int vcpufd, uint8_t *page, uint32_t n)
{
	/* 1: subs w0, w0, #1; b.ne 1b; str w0, [x1] */
	static const uint32_t code[] = { 0x71000400, 0x54ffffe1, 0xb9000020 };
	uint64_t pc = 0, x0 = n, x1 = 0x10000;

	memcpy(page, code, sizeof(code));
	__builtin___clear_cache((char *)page, (char *)page + sizeof(code));
	if (vcpu_init(vmfd, vcpufd, false) != 0 || reg_set(vcpufd, CORE(regs.pc), &pc) != 0 ||
	    reg_set(vcpufd, CORE_X(0), &x0) != 0 || reg_set(vcpufd, CORE_X(1), &x1) != 0)
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

static int
device_attr(int fd, uint32_t group, uint64_t attr, void *val)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)val };

	return (kvm_ioctl(fd, KVM_SET_DEVICE_ATTR, &a));
}

static int
gic_attr(struct vmctx *vm, uint32_t group, uint64_t attr, void *val)
{
	return (device_attr(kvm_vm(vm)->md->gicfd, group, attr, val));
}

int
kvm_md_vm_create(struct vmctx *vm)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct kvm_vm *kv = kvm_vm(vm);

	kv->md = calloc(1, sizeof(*kv->md));
	if (kv->md == NULL)
		return (vm_fail(ENOMEM, "vm '%s': kvm: out of memory", vm->name));
	kv->md->gicfd = kv->md->itsfd = -1;
	if (kvm_ioctl(kv->vmfd, KVM_CREATE_DEVICE, &d) != 0)
		return (vm_fail(ENOTSUP, "vm '%s': kvm: this host has no GICv3 for guests: %s", vm->name,
		    strerror(errno)));
	kv->md->gicfd = (int)d.fd;
	return (0);
}

void
kvm_md_vm_destroy(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);

	if (kv->md == NULL)
		return;
	if (kv->md->itsfd >= 0)
		(void)close(kv->md->itsfd);
	if (kv->md->gicfd >= 0)
		(void)close(kv->md->gicfd);
	free(kv->md);
	kv->md = NULL;
}

/* Behind the initialization of the controller that it belongs to. */
static int
its_finalize(struct vmctx *vm, uint64_t base)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_ARM_VGIC_ITS };
	struct kvm_md_vm *md = kvm_vm(vm)->md;

	if (base == 0)
		return (0);
	if (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_CREATE_DEVICE, &d) != 0)
		return (vm_fail(ENOTSUP, "vm '%s': kvm: this host has no interrupt translation service for guests: %s", vm->name,
		    strerror(errno)));
	md->itsfd = (int)d.fd;
	if (device_attr(md->itsfd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base) != 0 ||
	    device_attr(md->itsfd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: interrupt translation service at 0x%llx", vm->name,
		    (unsigned long long)base));
	return (0);
}

static int
gic_finalize(struct vmctx *vm)
{
	const struct arm64_vm *av = arm64_vm(vm);
	uint32_t nirqs = NIRQS;
	uint64_t gicd, gicr;

	if (av == NULL)
		return (-1);
	gicd = av->gicd;
	gicr = av->gicr;
	if (gic_attr(vm, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nirqs) != 0 ||
	    gic_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &gicd) != 0 ||
	    gic_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &gicr) != 0 ||
	    gic_attr(vm, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: GICv3 with distributor 0x%llx, redistributors 0x%llx",
		    vm->name, (unsigned long long)gicd, (unsigned long long)gicr));
	return (its_finalize(vm, av->its));
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

	if (vm->counter_hz != hz && vm->counter_hz != vm->md->counter_hz)
		return (vm_fail(ENOTSUP, "vm '%s': kvm cannot run the counter at %llu Hz on this host, only at %llu Hz",
		    vm->name, (unsigned long long)vm->counter_hz, (unsigned long long)hz));
	vm->counter_hz = hz;
	return (gic_finalize(vm));
}

struct kvm_md_cpu {
	bool		 off;		/* what the kernel was told, or said, last */
};

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
	return (0);
}

void
kvm_md_vcpu_destroy(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	free(kc->md);
	kc->md = NULL;
}

/* SECTION: the page */

uint64_t
kvm_md_pc(struct vcpu *vcpu)
{
	uint64_t pc;

	return (reg_get(kvm_cpu(vcpu)->fd, CORE(regs.pc), &pc) == 0 ? pc : 0);
}

uint64_t
kvm_md_page_pc(struct vcpu *vcpu)
{
	return (((const struct arm64_state *)vcpu->state)->pc);
}

int
kvm_md_regs_get(struct vcpu *vcpu, void *buf, size_t len)
{
	uint64_t *r = buf;

	for (unsigned i = 0; i < 31; i++) {
		if (reg_get(kvm_cpu(vcpu)->fd, CORE_X(i), &r[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not give its registers", vcpu->id));
	}
	r[31] = kvm_md_pc(vcpu);
	return (0);
}

_Static_assert(32 * sizeof(uint64_t) <= KVM_MD_REGS, "registers");

int
kvm_md_regs_set(struct vcpu *vcpu, const void *buf, size_t len)
{
	const uint64_t *r = buf;

	for (unsigned i = 0; i < 31; i++) {
		if (reg_set(kvm_cpu(vcpu)->fd, CORE_X(i), &r[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not take its registers", vcpu->id));
	}
	if (reg_set(kvm_cpu(vcpu)->fd, CORE(regs.pc), &r[31]) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its registers", vcpu->id));
	return (0);
}

int
kvm_md_state_save(struct vcpu *vcpu)
{
	struct arm64_state *st = vcpu->state;
	struct kvm_mp_state m = { 0 };
	int fd = kvm_cpu(vcpu)->fd;

	for (unsigned i = 0; i < 31; i++) {
		if (reg_get(fd, CORE_X(i), &st->x[i]) != 0)
			goto bad;
	}
	for (unsigned i = 0; i < 32; i++) {
		if (reg_get(fd, CORE_V(i), &st->v[2 * i]) != 0)
			goto bad;
	}
	for (size_t i = 0; i < nitems(reg_fields); i++) {
		if (field_get(fd, st, &reg_fields[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not give its register %s", vcpu->id, reg_fields[i].name));
	}
	if (reg_get(fd, CORE32(fp_regs.fpcr), &st->fpcr) != 0 || reg_get(fd, CORE32(fp_regs.fpsr), &st->fpsr) != 0 ||
	    kvm_ioctl(fd, KVM_GET_MP_STATE, &m) != 0)
		goto bad;
	/*
	 * Waiting for an interrupt is the kernel's; going on is allowed at any time (Arm ARM
	 * D1.6.2).
	 */
	kvm_cpu(vcpu)->md->off = m.mp_state == KVM_MP_STATE_STOPPED;
	arm64_store32(&st->run_state, kvm_cpu(vcpu)->md->off ? VM_ARM64_OFF : VM_ARM64_RUNNING);
	st->exc_pending = 0;
	return (0);
bad:
	return (vm_fail_sys(errno, "vcpu %d: kvm does not give its state", vcpu->id));
}

/* Take an injected exception to EL1 (Arm ARM D1.3.3): the kernel has no call for it. */
static void
take_exception(struct arm64_state *st)
{
	uint64_t offset;

	if ((st->pstate & PSTATE_MODE) == PSTATE_EL0T)
		offset = 0x400;
	else
		offset = (st->pstate & PSTATE_MODE) == PSTATE_EL1T ? 0 : 0x200;
	st->spsr_el1 = st->pstate;
	st->elr_el1 = st->pc;
	st->esr_el1 = st->exc_esr;
	st->far_el1 = st->exc_far;
	st->pc = st->vbar_el1 + offset;
	st->pstate = (st->pstate & PSTATE_NZCV) | PSTATE_DAIF | PSTATE_EL1H;
	st->exc_pending = 0;
}

int
kvm_md_reset(struct vmctx *vm)
{
	return (vm_fail(ENOTSUP, "vm '%s': kvm cannot reset its interrupt controller: make the VM anew", vm->name));
}

/* The page has the counter's offset, which stays. */
void
kvm_md_refresh(struct vcpu *vcpu, void *copy)
{
}

int
kvm_md_state_load(struct vcpu *vcpu)
{
	struct arm64_state *st = vcpu->state;
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;
	bool off = arm64_load32(&st->run_state) == VM_ARM64_OFF;
	struct kvm_mp_state m = { .mp_state = off ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE };
	int fd = kvm_cpu(vcpu)->fd;

	if (st->exc_pending)
		take_exception(st);
	for (unsigned i = 0; i < 31; i++) {
		if (reg_set(fd, CORE_X(i), &st->x[i]) != 0)
			goto bad;
	}
	for (unsigned i = 0; i < 32; i++) {
		if (reg_set(fd, CORE_V(i), &st->v[2 * i]) != 0)
			goto bad;
	}
	for (size_t i = 0; i < nitems(reg_fields); i++) {
		if (field_set(fd, st, &reg_fields[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not take its register %s", vcpu->id, reg_fields[i].name));
	}
	if (reg_set(fd, CORE32(fp_regs.fpcr), &st->fpcr) != 0 || reg_set(fd, CORE32(fp_regs.fpsr), &st->fpsr) != 0)
		goto bad;
	/* Another vCPU may have turned it on since (PSCI CPU_ON is the kernel's): it is not turned off a second time. */
	if (!(off && md->off) && kvm_ioctl(fd, KVM_SET_MP_STATE, &m) != 0)
		goto bad;
	md->off = off;
	return (0);
bad:
	return (vm_fail_sys(errno, "vcpu %d: kvm does not take its state", vcpu->id));
}

/* SECTION: time */

/* One write moves the virtual counters of all vCPUs. */
int
kvm_md_clock_run(struct vmctx *vm, bool run, uint64_t ns)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct vcpu *first = NULL;

	for (int i = 0; i < VM_MAXCPU && first == NULL; i++)
		first = vm->vcpus[i];
	if (first == NULL || first->accel_cpu == NULL)
		return (0);
	if (!run) {
		/* Paused within a pause, it stands since the first. */
		if (!md->stopped)
			md->stopped = md->started && reg_get(kvm_cpu(first)->fd, KVM_REG_ARM_TIMER_CNT, &md->count) == 0;
		return (0);
	}
	if (!md->started)
		md->count = muldiv64(ns, vm->counter_hz, 1000000000);
	if (!md->started || md->stopped)
		(void)reg_set(kvm_cpu(first)->fd, KVM_REG_ARM_TIMER_CNT, &md->count);
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

int
kvm_md_debug(struct vmctx *vm, bool steps, struct kvm_guest_debug *d)
{
	if (vm->debug.n == 0)
		return (0);
	return (vm_fail(ENOTSUP, "vm '%s': on arm64 kvm has no points for debuggers here", vm->name));
}

enum accel_run
kvm_md_exit(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct kvm_run *run = kc->run;
	struct vm_exit *e;

	switch (run->exit_reason) {
	case KVM_EXIT_SYSTEM_EVENT:
		return (system_event(vcpu));
	case KVM_EXIT_DEBUG:
		kc->pc = kvm_md_pc(vcpu);
		e = kvm_exit_new(vcpu, VM_EXIT_DEBUG);
		e->u.debug.addr = kc->pc;
		e->u.debug.reason =
		    run->debug.arch.hsr >> 26 == EC_STEP_LOWER ? VM_ARM64_DEBUG_STEP : VM_ARM64_DEBUG_BRK;
		e->u.debug.why = e->u.debug.reason == VM_ARM64_DEBUG_STEP ? VM_DEBUG_BY_STEP : VM_DEBUG_BY_GUEST;
		e->insn_len = 4;
		return (ACCEL_EXIT);
	case KVM_EXIT_ARM_NISV:
		(void)vm_fail(EIO, "vcpu %d: kvm: it cannot emulate the instruction at 0x%llx, which accesses 0x%llx",
		    vcpu->id, (unsigned long long)kvm_md_pc(vcpu), (unsigned long long)run->arm_nisv.fault_ipa);
		return (kvm_exit_error(vcpu, EIO, run->arm_nisv.esr_iss));
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
	if (av == NULL || addr != av->gicd + GICD_SETSPI_NSR || data < 32 || data >= NIRQS) {
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

/* SECTION: capabilities, streams */

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

int
kvm_md_vm_save(struct vmctx *vm, struct vm_state_out *out)
{
	return (vm_fail(ENOTSUP, "vm '%s': kvm: the state of the kernel's GICv3 cannot be saved", vm->name));
}

int
kvm_md_vm_load(struct vmctx *vm, struct vm_state_in *in)
{
	return (vm_fail(ENOTSUP, "vm '%s': kvm: the state of the kernel's GICv3 cannot be loaded", vm->name));
}

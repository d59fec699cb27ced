/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md_arm64.c - arm64 as the machine-independent part sees it: registers, capabilities, layout, and bhyve's calls for arm64.
 */
#include <errno.h>
#include <stdlib.h>

#include "arm64.h"

#define	REG_(n, num_, member, bits_, ro)						\
	{ .name = (n), .num = (num_), .offset = offsetof(struct arm64_state, member),	\
	  .size = sizeof(((struct arm64_state *)0)->member), .bits = (bits_), .readonly = (ro) }
#define	REG(n, num_, member)	REG_(n, num_, member, 64, false)
#define	REG32(n, num_, member)	REG_(n, num_, member, 32, false)
#define	X(i)			REG("x" #i, VM_ARM64_REG_X0 + (i), x[i])

static const struct md_reg regs[] = {
	X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9),
	X(10), X(11), X(12), X(13), X(14), X(15), X(16), X(17), X(18), X(19),
	X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29),
	REG("lr", VM_ARM64_REG_LR, x[30]),
	REG("sp_el0", VM_ARM64_REG_SP_EL0, sp_el0),
	REG("sp_el1", VM_ARM64_REG_SP_EL1, sp_el1),
	REG("pc", VM_ARM64_REG_PC, pc),
	REG("pstate", VM_ARM64_REG_PSTATE, pstate),
	REG("spsr_el1", VM_ARM64_REG_SPSR_EL1, spsr_el1),
	REG("elr_el1", VM_ARM64_REG_ELR_EL1, elr_el1),
	REG("esr_el1", VM_ARM64_REG_ESR_EL1, esr_el1),
	REG("far_el1", VM_ARM64_REG_FAR_EL1, far_el1),
	REG("vbar_el1", VM_ARM64_REG_VBAR_EL1, vbar_el1),
	REG("sctlr_el1", VM_ARM64_REG_SCTLR_EL1, sctlr_el1),
	REG("ttbr0_el1", VM_ARM64_REG_TTBR0_EL1, ttbr0_el1),
	REG("ttbr1_el1", VM_ARM64_REG_TTBR1_EL1, ttbr1_el1),
	REG("tcr_el1", VM_ARM64_REG_TCR_EL1, tcr_el1),
	REG("mair_el1", VM_ARM64_REG_MAIR_EL1, mair_el1),
	REG("cpacr_el1", VM_ARM64_REG_CPACR_EL1, cpacr_el1),
	REG_("contextidr_el1", VM_ARM64_REG_CONTEXTIDR_EL1, contextidr_el1, 32, false),
	REG("tpidr_el0", VM_ARM64_REG_TPIDR_EL0, tpidr_el0),
	REG("tpidrro_el0", VM_ARM64_REG_TPIDRRO_EL0, tpidrro_el0),
	REG("tpidr_el1", VM_ARM64_REG_TPIDR_EL1, tpidr_el1),
	REG_("midr_el1", VM_ARM64_REG_MIDR_EL1, midr_el1, 32, true),
	REG_("mpidr_el1", VM_ARM64_REG_MPIDR_EL1, mpidr_el1, 64, true),
	REG32("fpcr", VM_ARM64_REG_FPCR, fpcr),
	REG32("fpsr", VM_ARM64_REG_FPSR, fpsr),
	REG32("run_state", VM_ARM64_REG_RUN_STATE, run_state),
};
_Static_assert(nitems(regs) == VM_ARM64_REG_LAST - VM_ARM64_REG_FIRST, "a register is missing");

static const struct md_cap caps[] = {
	{ VM_CAP_HALT_EXIT,		"halt_exit",		0, false },
	{ VM_CAP_PAUSE_EXIT,		"pause_exit",		0, false },
	{ VM_CAP_UNRESTRICTED_GUEST,	"unrestricted_guest",	1, true },
	{ VM_CAP_MASK_INTR,		"mask_hwintr",		0, false },
	{ VM_CAP_SINGLE_STEP,		"single_step",		0, false },
	{ VM_CAP_BREAK_EXIT,		"bpt_exit",		0, false },
};

/*
 * The memory map that stock AAVMF and U-Boot expect: flash and devices below 1 GiB, RAM from there; PCIe configuration space and
 * the large BARs between 256 GiB and the end of the 40-bit address space.
 */
static const struct vm_layout virt = {
	.name = "virt",
	.nram = 1,
	.nhole = 2,
	.ram = { { 0x40000000, 0x4000000000 } },
	.hole = { { 0, 0x40000000 }, { 0x4000000000, 0x10000000000 } },
};

static const int told[] = {
	VM_ARM64_REG_PC, VM_ARM64_REG_PSTATE, VM_ARM64_REG_LR, VM_ARM64_REG_SP_EL0, VM_ARM64_REG_SP_EL1, VM_ARM64_REG_ESR_EL1,
	VM_ARM64_REG_FAR_EL1, VM_ARM64_REG_ELR_EL1, VM_ARM64_REG_SCTLR_EL1, -1
};

static const struct intc_ops *const intcs[] = {
	&intc_gicv3,
	NULL
};

/*
 * What a register cannot hold.  PSTATE is what an exception return to EL0 or EL1 in AArch64 state would accept (Arm ARM
 * C5.2.18, D1.11): without EL2, EL3 and AArch32 the other modes do not exist.
 */
static int
reg_check(struct vcpu *vcpu, const struct md_reg *reg, uint64_t val)
{
	uint64_t mode = val & PSTATE_MODE;

	switch (reg->num) {
	case VM_ARM64_REG_PSTATE:
		if ((val & ~arm64_pstate_bits(vcpu->state, val)) != 0)
			return (vm_fail(EINVAL, "vcpu %d: pstate: value 0x%llx has reserved bits", vcpu->id,
			    (unsigned long long)val));
		if (mode != PSTATE_EL0T && mode != PSTATE_EL1T && mode != PSTATE_EL1H)
			return (vm_fail(EINVAL, "vcpu %d: pstate: mode 0x%llx does not exist", vcpu->id,
			    (unsigned long long)mode));
		break;
	case VM_ARM64_REG_RUN_STATE:
		if (val > VM_ARM64_OFF)
			return (vm_fail(EINVAL, "vcpu %d: run_state: no state %llu", vcpu->id,
			    (unsigned long long)val));
		break;
	default:
		break;
	}
	return (0);
}

/*
 * Made without a lock, because vm_assert_irq() may be called by a range handler: whoever is first puts it there.
 */
struct arm64_vm *
arm64_vm(struct vmctx *vm)
{
	struct arm64_vm *av;
	void *old;

	if ((old = __atomic_load_n(&vm->md_vm, __ATOMIC_ACQUIRE)) != NULL)
		return (old);
	if ((av = calloc(1, sizeof(*av))) == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': no memory for its arm64 part", vm->name));
	av->gicd = ARM64_GICD_BASE;
	av->gicr = ARM64_GICR_BASE;
	if (!__atomic_compare_exchange_n(&vm->md_vm, &old, av, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		free(av);
		return (old);
	}
	return (av);
}

static void
fini(struct vmctx *vm)
{
	struct arm64_vm *av = vm->md_vm;

	if (av == NULL)
		return;
	for (unsigned i = 0; i < ARM64_NSPI; i++)
		vm_irq_close(av->spi[i]);
	free(av);
	vm->md_vm = NULL;
}

static int
check_vm(struct vmctx *ctx, const char *what)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "%s: no vm", what));
	if (ctx->md != &md_arm64)
		return (vm_fail(EINVAL, "vm '%s': %s is for arm64 guests, this is one of %s", ctx->name, what,
		    ctx->md->name));
	return (0);
}

/* The handle behind an SPI, opened when first asked for. */
static struct vm_irq *
shim_irq(struct vmctx *ctx, uint32_t irq, const char *what)
{
	struct arm64_vm *av;
	struct vm_irq *h, *other = NULL;

	if (check_vm(ctx, what) != 0)
		return (NULL);
	if (irq < 32 || irq - 32 >= ARM64_NSPI)
		return (vm_fail_null(EINVAL, "vm '%s': %s: no shared peripheral interrupt %u, they are 32 to %u",
		    ctx->name, what, irq, 32 + ARM64_NSPI - 1));
	if ((av = arm64_vm(ctx)) == NULL)
		return (NULL);
	h = __atomic_load_n(&av->spi[irq - 32], __ATOMIC_ACQUIRE);
	if (h != NULL)
		return (h);
	if ((h = vm_irq_open_line(ctx, irq - 32)) == NULL)
		return (NULL);
	if (!__atomic_compare_exchange_n(&av->spi[irq - 32], &other, h, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_ACQUIRE)) {
		vm_irq_close(h);
		h = other;
	}
	return (h);
}

int
vm_assert_irq(struct vmctx *ctx, uint32_t irq)
{
	struct vm_irq *h = shim_irq(ctx, irq, "vm_assert_irq");

	return (h == NULL ? -1 : vm_irq_assert(h));
}

int
vm_deassert_irq(struct vmctx *ctx, uint32_t irq)
{
	struct vm_irq *h = shim_irq(ctx, irq, "vm_deassert_irq");

	return (h == NULL ? -1 : vm_irq_deassert(h));
}

static bool
overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return (a < b + blen && b < a + alen);
}

int
vm_attach_vgic(struct vmctx *ctx, uint64_t dist_start, size_t dist_size, uint64_t redist_start, size_t redist_size)
{
	struct arm64_vm *av;
	uint64_t need;

	if (check_vm(ctx, "vm_attach_vgic") != 0)
		return (-1);
	if (ctx->accel != NULL)
		return (vm_fail(EBUSY, "vm '%s': the interrupt controller cannot move after vm_start()", ctx->name));
	need = (uint64_t)(ctx->ncpus == 0 ? 1 : ctx->ncpus) * ARM64_GICR_SIZE;
	if (dist_start % ARM64_GICD_SIZE != 0 || redist_start % ARM64_GICD_SIZE != 0)
		return (vm_fail(EINVAL, "vm '%s': distributor 0x%llx and redistributors 0x%llx must be aligned to 64 KiB",
		    ctx->name, (unsigned long long)dist_start, (unsigned long long)redist_start));
	if (dist_size < ARM64_GICD_SIZE)
		return (vm_fail(EINVAL, "vm '%s': the distributor takes 0x%x bytes, not 0x%zx", ctx->name,
		    ARM64_GICD_SIZE, dist_size));
	if (redist_size < need)
		return (vm_fail(EINVAL, "vm '%s': %u vCPUs' redistributors take 0x%llx bytes, not 0x%zx", ctx->name,
		    ctx->ncpus, (unsigned long long)need, redist_size));
	if (dist_start >= md_arm64.maxpa || dist_size > md_arm64.maxpa - dist_start ||
	    redist_start >= md_arm64.maxpa || redist_size > md_arm64.maxpa - redist_start)
		return (vm_fail(EINVAL, "vm '%s': the interrupt controller is beyond the physical address space",
		    ctx->name));
	if (overlaps(dist_start, dist_size, redist_start, redist_size))
		return (vm_fail(EINVAL, "vm '%s': the distributor at 0x%llx overlaps the redistributors at 0x%llx",
		    ctx->name, (unsigned long long)dist_start, (unsigned long long)redist_start));
	if ((av = arm64_vm(ctx)) == NULL)
		return (-1);
	av->gicd = dist_start;
	av->gicr = redist_start;
	av->gicr_size = redist_size;
	return (0);
}

int
vm_attach_its(struct vmctx *ctx, uint64_t base)
{
	struct arm64_vm *av;

	if (check_vm(ctx, "vm_attach_its") != 0)
		return (-1);
	if (ctx->accel != NULL)
		return (vm_fail(EBUSY, "vm '%s': the interrupt controller cannot change after vm_start()", ctx->name));
	if ((av = arm64_vm(ctx)) == NULL)
		return (-1);
	if (base == 0 || base % ARM64_GICD_SIZE != 0)
		return (vm_fail(EINVAL, "vm '%s': the interrupt translation service at 0x%llx must be aligned to 64 KiB, and not at 0",
		    ctx->name, (unsigned long long)base));
	if (base >= md_arm64.maxpa || md_arm64.maxpa - base < ARM64_ITS_SIZE)
		return (vm_fail(EINVAL, "vm '%s': the interrupt translation service is beyond the physical address space",
		    ctx->name));
	if (overlaps(base, ARM64_ITS_SIZE, av->gicd, ARM64_GICD_SIZE) ||
	    overlaps(base, ARM64_ITS_SIZE, av->gicr, (uint64_t)(ctx->ncpus == 0 ? 1 : ctx->ncpus) * ARM64_GICR_SIZE))
		return (vm_fail(EINVAL, "vm '%s': the interrupt translation service at 0x%llx overlaps the rest of the controller",
		    ctx->name, (unsigned long long)base));
	av->its = base;
	return (0);
}

int
vm_arm64_get_gic(struct vmctx *ctx, struct vm_arm64_gic *gic)
{
	struct arm64_vm *av;

	if (gic == NULL)
		return (vm_fail(EINVAL, "vm_arm64_get_gic: a NULL argument"));
	if (check_vm(ctx, "vm_arm64_get_gic") != 0 || (av = arm64_vm(ctx)) == NULL)
		return (-1);
	*gic = (struct vm_arm64_gic){
		.dist = av->gicd, .dist_size = ARM64_GICD_SIZE, .redist = av->gicr,
		.redist_size = av->gicr_size != 0 ? av->gicr_size : (uint64_t)(ctx->ncpus != 0 ? ctx->ncpus : 1) * ARM64_GICR_SIZE,
		.its = av->its, .its_size = av->its != 0 ? ARM64_ITS_SIZE : 0,
	};
	return (0);
}

int
vm_arm64_inject_exception(struct vcpu *vcpu, uint64_t esr, uint64_t far)
{
	struct arm64_state *s;
	int error = 0;

	if (vcpu == NULL)
		return (vm_fail(EINVAL, "vm_arm64_inject_exception: no vcpu"));
	if (check_vm(vcpu->vm, "vm_arm64_inject_exception") != 0)
		return (-1);
	if (esr > UINT32_MAX)
		return (vm_fail(EINVAL, "vcpu %d: syndrome 0x%llx is wider than 32 bits", vcpu->id,
		    (unsigned long long)esr));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	s = vcpu->state;
	if (s->exc_pending) {
		error = vm_fail(EBUSY, "vcpu %d: an exception is pending already", vcpu->id);
	} else {
		s->exc_pending = 1;
		s->exc_esr = esr;
		s->exc_far = far;
	}
	vcpu_release(vcpu, error == 0);
	return (error);
}

const struct md_ops md_arm64 = {
	.arch = VM_ARCH_ARM64,
	.name = "arm64",
	.regs = regs,
	.nregs = nitems(regs),
	.told = told,
	.caps = caps,
	.ncaps = nitems(caps),
	.layout = &virt,
	.maxpa = 1ULL << ARM64_PA_BITS,
	/* A tick is exactly 16 ns, and a 32-bit TimerValue still reaches 34 seconds. */
	.counter_hz = 62500000,
	.nlines = ARM64_NSPI,
	.has_io = false,
	.state_size = sizeof(struct arm64_state),
	.vcpu_state = &arm64_state_table,
	.cpu_models = arm64_cpu_models,
	.intcs = intcs,
	.cpu_model_set = arm64_model_set,
	.vcpu_reset = arm64_reset,
	.reg_check = reg_check,
	.vcpu_event = arm64_event,
	.vcpu_runnable = arm64_runnable,
	.vm_fini = fini,
	.translate = arm64_translate,
};

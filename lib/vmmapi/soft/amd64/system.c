/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * system.c - instructions that concern the processor as such: CPUID, model-specific registers,
 * counters, waiting, fences, random numbers, bases of FS and GS, calls to the hypervisor (Intel SDM
 * vol. 2).
 */
#include <sys/random.h>

#include "sys.h"

static void
set_edx_eax(struct x86 *x, uint64_t v)
{
	x86_gpr_set(x, RAX, 4, v);
	x86_gpr_set(x, RDX, 4, v >> 32);
}

static enum x86_status
op_cpuid(struct x86 *x, const struct x86_insn *i)
{
	uint32_t r[4];

	x86_cpuid(x, (uint32_t)x->s->gpr[RAX], (uint32_t)x->s->gpr[RCX], r);
	x86_gpr_set(x, RAX, 4, r[0]);
	x86_gpr_set(x, RBX, 4, r[1]);
	x86_gpr_set(x, RCX, 4, r[2]);
	x86_gpr_set(x, RDX, 4, r[3]);
	return (X_DONE);
}

static enum x86_status
op_rdmsr(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = 0;

	TRY(x86_rdmsr(x, (uint32_t)x->s->gpr[RCX], &v));
	set_edx_eax(x, v);
	return (X_DONE);
}

static enum x86_status
op_wrmsr(struct x86 *x, const struct x86_insn *i)
{
	return (x86_wrmsr(x, (uint32_t)x->s->gpr[RCX], x86_gpr(x, RDX, 4) << 32 | x86_gpr(x, RAX, 4)));
}

static enum x86_status
op_rdtsc(struct x86 *x, const struct x86_insn *i)
{
	if ((x->s->cr4 & CR4_TSD) != 0 && x86_cpl(x) != 0)
		return (GP0(x));
	set_edx_eax(x, x86_tsc(x));
	return (X_DONE);
}

static enum x86_status
op_rdtscp(struct x86 *x, const struct x86_insn *i)
{
	TRY(op_rdtsc(x, i));
	x86_gpr_set(x, RCX, 4, x->s->tsc_aux);
	return (X_DONE);
}

/* There are no performance counters: any number is that of none. */
static enum x86_status
op_rdpmc(struct x86 *x, const struct x86_insn *i)
{
	return (GP0(x));
}

static enum x86_status
op_hlt(struct x86 *x, const struct x86_insn *i)
{
	x86_sync(x);
	soft_mark(x->cpu);
	x->s->run_state = VM_AMD64_HALTED;
	return (X_HALT);
}

/* With REX.B the bytes are those of XCHG. */
static bool
bind_pause(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	return (d->z->raw.rex.B == 0);
}

static enum x86_status
op_pause(struct x86 *x, const struct x86_insn *i)
{
	if (x->vcpu->caps[VM_CAP_PAUSE_EXIT] != 1)
		return (X_YIELD);
	x86_sync(x);
	(void)soft_exit(x->cpu, VM_EXIT_PAUSE, false);
	x86_after_device(x);
	return (X_DONE);
}

/* Loads and stores of the guest are the host's, in the same order: only MFENCE adds to that. */
static enum x86_status
op_mfence(struct x86 *x, const struct x86_insn *i)
{
	atomic_thread_fence(memory_order_seq_cst);
	return (X_DONE);
}

static enum x86_status
op_fence(struct x86 *x, const struct x86_insn *i)
{
	atomic_signal_fence(memory_order_seq_cst);
	return (X_DONE);
}

/* CF says that there was a number; the other flags are cleared. */
static enum x86_status
op_rdrand(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = 0;
	bool got = true;

	if (clock_is_icount(x->vcpu->vm))
		v = splitmix64(&x->prng);	/* the same numbers in every run with one seed */
	else
		got = getrandom(&v, sizeof(v), 0) == (ssize_t)sizeof(v);
	x86_reg_set(x, i->r[0], i->opsize, got ? v : 0);
	x86_flags(x, got ? FL_CF : 0, FL_ARITH);
	return (X_DONE);
}

static enum x86_status
op_rdbase(struct x86 *x, const struct x86_insn *i)
{
	if ((x->s->cr4 & CR4_FSGSBASE) == 0)
		return (UD(x));
	x86_reg_set(x, i->r[0], i->opsize, x->s->seg[i->arg].base);
	return (X_DONE);
}

static enum x86_status
op_wrbase(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = x86_reg(x, i->r[0], i->opsize);

	if ((x->s->cr4 & CR4_FSGSBASE) == 0)
		return (UD(x));
	if (!amd64_canonical(v, x->s->cr4))
		return (GP0(x));
	x->s->seg[i->arg].base = v;
	return (X_DONE);
}

/* In 64-bit mode only; a prefix does not make them shorter than 32 bits. */
static bool
bind_base(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (i->opsize != 8)
		i->opsize = 4;
	return ((d->mode & X86_MODE_SIZE) == X86_MODE_64);
}

/* The guest calls, and who called vm_run() answers in RAX. */
static enum x86_status
op_vmcall(struct x86 *x, const struct x86_insn *i)
{
	static const enum amd64_gpr args[] = { RBX, RCX, RDX, RSI, RDI, R8, R9 };
	struct vm_exit *ex;
	uint64_t v;

	if (soft_replied(x->cpu, VM_EXIT_HYPERCALL, x->s->gpr[RAX], &v)) {
		x->s->gpr[RAX] = v;
		return (X_DONE);
	}
	x86_sync(x);
	ex = soft_exit(x->cpu, VM_EXIT_HYPERCALL, true);
	x->cpu->open_addr = ex->u.hypercall.func = x->s->gpr[RAX];
	for (size_t n = 0; n < nitems(args); n++)
		ex->u.hypercall.args[n] = x->s->gpr[args[n]];
	return (X_EXIT);
}

#define	M(n)	ZYDIS_MNEMONIC_##n

/* What is not here is undefined: UD0 to UD2, MONITOR, MWAIT, XGETBV, RSM. */
const struct x86_opdesc x86_ops_system[] = {
	{ M(CPUID), 0, 0, op_cpuid, NULL },
	{ M(RDMSR), XD_CPL0, 0, op_rdmsr, NULL },
	{ M(WRMSR), XD_END | XD_CPL0, 0, op_wrmsr, NULL },
	{ M(RDTSC), 0, 0, op_rdtsc, NULL },
	{ M(RDTSCP), 0, 0, op_rdtscp, NULL },
	{ M(RDPMC), 0, 0, op_rdpmc, NULL },
	{ M(HLT), XD_END | XD_CPL0, 0, op_hlt, NULL },
	{ M(PAUSE), 0, 0, op_pause, bind_pause },
	{ M(LFENCE), 0, 0, op_fence, NULL },
	{ M(SFENCE), 0, 0, op_fence, NULL },
	{ M(MFENCE), 0, 0, op_mfence, NULL },
	{ M(RDRAND), 0, 0, op_rdrand, NULL },
	{ M(RDFSBASE), 0, SEG_FS, op_rdbase, bind_base },
	{ M(RDGSBASE), 0, SEG_GS, op_rdbase, bind_base },
	{ M(WRFSBASE), 0, SEG_FS, op_wrbase, bind_base },
	{ M(WRGSBASE), 0, SEG_GS, op_wrbase, bind_base },
	{ M(VMCALL), 0, 0, op_vmcall, NULL },
	{ 0 },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interp.c - the amd64 core of the software back end: the opcode table and the loop.
 */
#include <errno.h>

#include "cpu.h"

/* NULL: undefined.  0x100 + second byte behind 0x0f. */
static x86_op *const ops[512] = {
	[0x00 ... 0x03] = x86_op_alu, [0x04 ... 0x05] = x86_op_alu_acc, [0x06] = x86_op_push_sreg,
	[0x07] = x86_op_pop_sreg,
	[0x08 ... 0x0b] = x86_op_alu, [0x0c ... 0x0d] = x86_op_alu_acc, [0x0e] = x86_op_push_sreg,
	[0x10 ... 0x13] = x86_op_alu, [0x14 ... 0x15] = x86_op_alu_acc, [0x16] = x86_op_push_sreg,
	[0x17] = x86_op_pop_sreg,
	[0x18 ... 0x1b] = x86_op_alu, [0x1c ... 0x1d] = x86_op_alu_acc, [0x1e] = x86_op_push_sreg,
	[0x1f] = x86_op_pop_sreg,
	[0x20 ... 0x23] = x86_op_alu, [0x24 ... 0x25] = x86_op_alu_acc,
	[0x28 ... 0x2b] = x86_op_alu, [0x2c ... 0x2d] = x86_op_alu_acc,
	[0x30 ... 0x33] = x86_op_alu, [0x34 ... 0x35] = x86_op_alu_acc,
	[0x38 ... 0x3b] = x86_op_alu, [0x3c ... 0x3d] = x86_op_alu_acc,
	[0x40 ... 0x4f] = x86_op_incdec_reg,		/* REX in 64-bit mode: the decoder's */
	[0x50 ... 0x57] = x86_op_push, [0x58 ... 0x5f] = x86_op_pop,
	[0x60] = x86_op_pusha, [0x61] = x86_op_popa, [0x63] = x86_op_movsxd,
	[0x68] = x86_op_push_imm, [0x69] = x86_op_imul3, [0x6a] = x86_op_push_imm,
	[0x6b] = x86_op_imul3,
	[0x6c ... 0x6f] = x86_op_string,
	[0x70 ... 0x7f] = x86_op_jcc,
	[0x80 ... 0x83] = x86_op_group1, [0x84 ... 0x85] = x86_op_test,
	[0x86 ... 0x87] = x86_op_xchg,
	[0x88 ... 0x89] = x86_op_mov_rm_r, [0x8a ... 0x8b] = x86_op_mov_r_rm,
	[0x8c] = x86_op_mov_sreg, [0x8d] = x86_op_lea,
	[0x8e] = x86_op_mov_to_sreg, [0x8f] = x86_op_pop_rm,
	[0x90 ... 0x97] = x86_op_xchg_acc, [0x98] = x86_op_cbw, [0x99] = x86_op_cwd,
	[0x9a] = x86_op_far,
	[0x9c] = x86_op_pushf, [0x9d] = x86_op_popf, [0x9e] = x86_op_sahf, [0x9f] = x86_op_lahf,
	[0xa0 ... 0xa3] = x86_op_mov_moffs, [0xa4 ... 0xa7] = x86_op_string,
	[0xa8 ... 0xa9] = x86_op_test_acc,
	[0xaa ... 0xaf] = x86_op_string,
	[0xb0 ... 0xbf] = x86_op_mov_imm,
	[0xc0 ... 0xc1] = x86_op_shift, [0xc2 ... 0xc3] = x86_op_ret,
	[0xc6 ... 0xc7] = x86_op_mov_rm_imm, [0xc8] = x86_op_enter,
	[0xc9] = x86_op_leave, [0xca ... 0xcb] = x86_op_retf, [0xcc] = x86_op_int3,
	[0xcd] = x86_op_int, [0xce] = x86_op_into,
	[0xcf] = x86_iret,
	[0xd0 ... 0xd3] = x86_op_shift, [0xd7] = x86_op_xlat,
	[0xe0 ... 0xe3] = x86_op_loop, [0xe4 ... 0xe5] = x86_op_in, [0xe6 ... 0xe7] = x86_op_out,
	[0xe8] = x86_op_call,
	[0xe9] = x86_op_jmp, [0xea] = x86_op_far, [0xeb] = x86_op_jmp, [0xec ... 0xed] = x86_op_in,
	[0xee ... 0xef] = x86_op_out,
	[0xf4] = x86_op_hlt, [0xf5] = x86_op_flag, [0xf6 ... 0xf7] = x86_op_group3,
	[0xf8 ... 0xf9] = x86_op_flag, [0xfa] = x86_op_cli,
	[0xfb] = x86_op_sti, [0xfc ... 0xfd] = x86_op_flag, [0xfe] = x86_op_group4,
	[0xff] = x86_op_group5,

	[0x100] = x86_op_group6, [0x101] = x86_op_group7, [0x106] = x86_op_clts,
	[0x108 ... 0x109] = x86_op_wbinvd, [0x10b] = x86_op_ud,
	[0x10d] = x86_op_nop, [0x118 ... 0x11f] = x86_op_nop,
	[0x120] = x86_op_mov_from_cr, [0x121] = x86_op_mov_from_dr, [0x122] = x86_op_mov_to_cr,
	[0x123] = x86_op_mov_to_dr,
	[0x130] = x86_op_wrmsr, [0x131] = x86_op_rdtsc, [0x132] = x86_op_rdmsr,
	[0x140 ... 0x14f] = x86_op_cmov, [0x180 ... 0x18f] = x86_op_jcc,
	[0x190 ... 0x19f] = x86_op_setcc,
	[0x1a0] = x86_op_push_sreg, [0x1a1] = x86_op_pop_sreg, [0x1a2] = x86_op_cpuid,
	[0x1a3] = x86_op_bt,
	[0x1a4 ... 0x1a5] = x86_op_shiftd, [0x1a8] = x86_op_push_sreg, [0x1a9] = x86_op_pop_sreg,
	[0x1ab] = x86_op_bt,
	[0x1ac ... 0x1ad] = x86_op_shiftd, [0x1ae] = x86_op_fence, [0x1af] = x86_op_imul2,
	[0x1b0 ... 0x1b1] = x86_op_cmpxchg, [0x1b3] = x86_op_bt, [0x1b6 ... 0x1b7] = x86_op_movzx,
	[0x1ba] = x86_op_bt_imm,
	[0x1bb] = x86_op_bt, [0x1bc] = x86_op_bsf, [0x1bd] = x86_op_bsr,
	[0x1be ... 0x1bf] = x86_op_movsx,
	[0x1c0 ... 0x1c1] = x86_op_xadd, [0x1c3] = x86_op_mov_rm_r, [0x1c7] = x86_op_cmpxchg8b,
	[0x1c8 ... 0x1cf] = x86_op_bswap,
};

#define	DR6_BS	0x4000U

/*
 * The trap after an instruction that started with TF set; what enters a handler has cleared it for
 * good.
 */
static bool
traps(const struct x86 *x, uint64_t flags)
{
	return ((flags & FL_TF) != 0 && (x->insn.op < 0xcc || x->insn.op > 0xce) && x->shadow != 2);
}

/* Execute one instruction. */
static enum soft_stop
step(struct x86 *x, uint64_t *retired)
{
	struct amd64_state *s = x->s;
	uint64_t flags = s->rflags;
	enum x86_status r;
	x86_op *op;

	x->shadow = 0;
	x->again = x->took = false;
	r = x86_decode(x);
	if (r == X_OK) {
		op = ops[x->insn.op];
		r = op != NULL ? op(x) : x86_fault(x, EXC_UD);
	}
	switch (r) {
	case X_EXIT:
	case X_STOP:
		return (SOFT_EXIT);
	case X_FAULT:
		(*retired)++;		/* a handler that faults must not stop the time */
		r = x86_exception(x);
		return (r == X_EXIT || x->cpu->exiting ? SOFT_EXIT : SOFT_OK);
	default:
		break;
	}
	if (!x->again) {
		s->rip = x->next;
		s->rflags &= ~(uint64_t)(x->insn.op == 0xcf ? 0 : FL_RF);
	}
	s->intr_shadow = x->shadow;
	(*retired)++;
	if (traps(x, flags)) {
		s->dr6 |= DR6_BS;
		(void)x86_fault(x, EXC_DB);
		if (x86_exception(x) == X_EXIT)
			return (SOFT_EXIT);
	}
	if (x->cpu->exiting)
		return (SOFT_EXIT);
	return (r == X_HALT ? SOFT_IDLE : r == X_YIELD ? SOFT_YIELD : SOFT_OK);
}

static bool
events_pending(const struct x86 *x)
{
	const struct amd64_state *s = x->s;

	return (s->exc_pending || s->intr_pending || s->nmi_pending ||
	    (x->intr && (s->rflags & FL_IF) != 0));
}

static enum soft_stop
core_run(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired)
{
	struct x86 *x = x86_of(cpu);
	struct vcpu *vcpu = cpu->vcpu;
	const struct intc_ops *intc = vcpu->vm->intc_ops;
	enum soft_stop stop;
	enum x86_status r;

	x86_tsc_check(x);
	x->took = false;
	if (x->s->run_state == VM_AMD64_HALTED) {
		/*
		 * HLT is behind it: no shadow, and no instruction to execute again, keeps an event
		 * away.
		 */
		x->s->intr_shadow = 0;
		cpu->replay = false;
	}
	x->intr = intc != NULL && intc->pending != NULL && intc->pending(vcpu);
	for (;;) {
		if (atomic_load_explicit(&vcpu->request, memory_order_relaxed) != 0)
			return (SOFT_REQUEST);
		if (*retired >= budget)
			return (SOFT_BUDGET);
		x->insn.len = 0;
		if (events_pending(x)) {
			r = x86_events(x);
			if (r == X_EXIT || cpu->exiting)
				return (SOFT_EXIT);
			if (r == X_OK)
				continue;
		}
		if (x->s->run_state != VM_AMD64_RUNNING)
			return (SOFT_IDLE);
		stop = step(x, retired);
		if (stop != SOFT_OK) {
			if (stop == SOFT_EXIT)
				vcpu->exit.insn_len = x->insn.len;
			return (stop);
		}
	}
}

static int
core_create(struct soft_cpu *cpu)
{
	struct x86 *x = x86_of(cpu);

	x->cpu = cpu;
	x->vcpu = cpu->vcpu;
	x->s = cpu->vcpu->state;
	x86_tsc_adopt(x, vm_clock_now(x->vcpu->vm));
	return (0);
}

static int
core_probe(void)
{
#ifdef __x86_64__
	return (0);
#else
	return (vm_fail(ENOTSUP,
	    "soft: amd64 guests need an amd64 host: their memory order and 80-bit "
	    "floating point are not modelled on others yet"));
#endif
}

/* Nothing is derived from memory that outlives an instruction. */
static void
core_flush(struct soft_cpu *cpu)
{
}

static bool
core_wakeable(struct soft_cpu *cpu)
{
	return (x86_wakeable(x86_of(cpu)));
}

static bool
core_halted(struct soft_cpu *cpu)
{
	return (x86_of(cpu)->s->run_state == VM_AMD64_HALTED);
}

static uint64_t
core_pc(struct soft_cpu *cpu)
{
	return (x86_of(cpu)->s->rip);
}

static void
core_save(struct soft_cpu *cpu)
{
	x86_tsc_save(x86_of(cpu));
}

static void
core_load(struct soft_cpu *cpu, bool exact)
{
	if (!exact)
		x86_tsc_adopt(x86_of(cpu), vm_clock_now(cpu->vcpu->vm));
}

static const struct vm_state_field core_fields[] = {
	VM_STATE_U64(struct x86, tsc_offset),
	VM_STATE_U64(struct x86, tsc_seen),
};
static const struct vm_state_table core_state = VM_STATE_TABLE("soft.amd64", 1, 1, core_fields,
    NULL);

const struct soft_core soft_core_amd64 = {
	.arch = VM_ARCH_AMD64,
	.size = sizeof(struct x86),
	.create = core_create,
	.run = core_run,
	.flush = core_flush,
	.wakeable = core_wakeable,
	.halted = core_halted,
	.probe = core_probe,
	.pc = core_pc,
	.step_reason = VM_AMD64_DEBUG_STEP,
	.save = core_save,
	.load = core_load,
	.state = &core_state,
};

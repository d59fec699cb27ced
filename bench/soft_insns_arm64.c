/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_insns_arm64.c - loops for the software arm64 processor.
 *
 * Each runs until it stores where nobody is.
 */
#include <vmmapi/arm64.h>

#include "insns.h"

#define	RAM	0x40000000ULL
#define	TABLES	(RAM + 0x10000)
#define	STACK	(RAM + 0x40000)

/* X28 is RAM + 1 MiB, X27 RAM + 8 MiB. */

static const uint32_t loop_alu[] = {
	0xd2800020,	/* mov x0, #0x1 */
	0x52909009,	/* mov w9, #0x8480 */
	0x72a003c9,	/* movk w9, #0x1e, lsl #16 */
	0x8b000021,	/* add x1, x1, x0 */
	0x4a020022,	/* eor w2, w1, w2 */
	0x8b000440,	/* add x0, x2, x0, lsl #1 */
	0x12005c42,	/* and w2, w2, #0xffffff */
	0xcb020108,	/* sub x8, x8, x2 */
	0xaa0803ea,	/* mov x10, x8 */
	0xaa0a016b,	/* orr x11, x11, x10 */
	0xeb0b011f,	/* cmp x8, x11 */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54fffee1,	/* b.ne c */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const uint32_t loop_memory[] = {
	0x52909009,	/* mov w9, #0x8480 */
	0x72a003c9,	/* movk w9, #0x1e, lsl #16 */
	0xf9400380,	/* ldr x0, [x28] */
	0xf9400781,	/* ldr x1, [x28, #8] */
	0x8b010000,	/* add x0, x0, x1 */
	0xf9000b80,	/* str x0, [x28, #16] */
	0x38696b82,	/* ldrb w2, [x28, x9] */
	0xb8295b62,	/* str w2, [x27, w9, uxtw #2] */
	0xa9bf0be0,	/* stp x0, x2, [sp, #-16]! */
	0xa8c113e3,	/* ldp x3, x4, [sp], #16 */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54fffee1,	/* b.ne 8 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const uint32_t loop_branch[] = {
	0x52909009,	/* mov w9, #0x8480 */
	0x72a003c9,	/* movk w9, #0x1e, lsl #16 */
	0x52800020,	/* mov w0, #0x1 */
	0x5289cda5,	/* mov w5, #0x4e6d */
	0x72a838c5,	/* movk w5, #0x41c6, lsl #16 */
	0x52860726,	/* mov w6, #0x3039 */
	0x1b051800,	/* madd w0, w0, w5, w6 */
	0x36800060,	/* tbz w0, #16, 28 */
	0x11000442,	/* add w2, w2, #0x1 */
	0x14000002,	/* b 2c */
	0x11000421,	/* add w1, w1, #0x1 */
	0x720f041f,	/* tst w0, #0x60000 */
	0x54000041,	/* b.ne 38 */
	0x0b020021,	/* add w1, w1, w2 */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54fffee1,	/* b.ne 18 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const uint32_t loop_call[] = {
	0x52800360,	/* mov w0, #0x1b */
	0x94000002,	/* bl c */
	0x14000010,	/* b 48 */
	0xa9be7bfd,	/* stp x29, x30, [sp, #-32]! */
	0xf9000bf3,	/* str x19, [sp, #16] */
	0x2a0003f3,	/* mov w19, w0 */
	0x7100081f,	/* cmp w0, #0x2 */
	0x54000103,	/* b.cc 3c */
	0x51000660,	/* sub w0, w19, #0x1 */
	0x97fffffa,	/* bl c */
	0xf9000fe0,	/* str x0, [sp, #24] */
	0x51000a60,	/* sub w0, w19, #0x2 */
	0x97fffff7,	/* bl c */
	0xf9400fe1,	/* ldr x1, [sp, #24] */
	0x0b010000,	/* add w0, w0, w1 */
	0xf9400bf3,	/* ldr x19, [sp, #16] */
	0xa8c27bfd,	/* ldp x29, x30, [sp], #32 */
	0xd65f03c0,	/* ret */
	0xd503201f,	/* nop */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const uint32_t loop_crc[] = {
	0x52a00089,	/* mov w9, #0x40000 */
	0x12800000,	/* mov w0, #0xffffffff */
	0x52906405,	/* mov w5, #0x8320 */
	0x72bdb705,	/* movk w5, #0xedb8, lsl #16 */
	0x38401782,	/* ldrb w2, [x28], #1 */
	0x4a020000,	/* eor w0, w0, w2 */
	0x52800101,	/* mov w1, #0x8 */
	0x7200001f,	/* tst w0, #0x1 */
	0x1a9f10a2,	/* csel w2, w5, wzr, ne */
	0x4a400440,	/* eor w0, w2, w0, lsr #1 */
	0x71000421,	/* subs w1, w1, #0x1 */
	0x54ffff81,	/* b.ne 1c */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54fffee1,	/* b.ne 10 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const uint32_t loop_sort[] = {
	0x5280fa09,	/* mov w9, #0x7d0 */
	0x52800020,	/* mov w0, #0x1 */
	0x5289cda5,	/* mov w5, #0x4e6d */
	0x72a838c5,	/* movk w5, #0x41c6, lsl #16 */
	0x52860726,	/* mov w6, #0x3039 */
	0x1b051800,	/* madd w0, w0, w5, w6 */
	0x51000523,	/* sub w3, w9, #0x1 */
	0xb8235b80,	/* str w0, [x28, w3, uxtw #2] */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54ffff81,	/* b.ne 14 */
	0x5280f9e9,	/* mov w9, #0x7cf */
	0x52800001,	/* mov w1, #0x0 */
	0xaa1c03e4,	/* mov x4, x28 */
	0x29400880,	/* ldp w0, w2, [x4] */
	0x6b02001f,	/* cmp w0, w2 */
	0x54000049,	/* b.ls 44 */
	0x29000082,	/* stp w2, w0, [x4] */
	0x91001084,	/* add x4, x4, #0x4 */
	0x11000421,	/* add w1, w1, #0x1 */
	0x6b09003f,	/* cmp w1, w9 */
	0x54ffff23,	/* b.cc 34 */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54fffea1,	/* b.ne 2c */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const uint32_t loop_atomic[] = {
	0x52884809,	/* mov w9, #0x4240 */
	0x72a001e9,	/* movk w9, #0xf, lsl #16 */
	0xd2800021,	/* mov x1, #0x1 */
	0xc85f7f80,	/* ldxr x0, [x28] */
	0x91000400,	/* add x0, x0, #0x1 */
	0xc8027f80,	/* stxr w2, x0, [x28] */
	0x35ffffa2,	/* cbnz w2, c */
	0xf8210363,	/* ldadd x1, x3, [x27] */
	0x71000529,	/* subs w9, w9, #0x1 */
	0x54ffff41,	/* b.ne c */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

static const struct loop loops[] = {
#define	ENTRY(n)	{ .name = #n, .code = loop_##n, .end = loop_##n + sizeof(loop_##n) / sizeof(uint32_t) }
	ENTRY(alu), ENTRY(memory), ENTRY(branch), ENTRY(call), ENTRY(crc), ENTRY(sort), ENTRY(atomic),
};

/* 1 GiB of Normal memory and 1 GiB of devices, as they are. */
static void
registers(struct vmctx *vm, struct vcpu *vcpu)
{
	uint64_t tables[2] = { 0x405, RAM | 0x401 };

	need(vm_gpa_write(vm, TABLES, tables, sizeof(tables)) == 0, "tables");
	set(vcpu, VM_ARM64_REG_TTBR0_EL1, TABLES);
	set(vcpu, VM_ARM64_REG_TCR_EL1, 2ULL << 32 | 1 << 23 | 25);
	set(vcpu, VM_ARM64_REG_MAIR_EL1, 0x00ff);
	set(vcpu, VM_ARM64_REG_SCTLR_EL1, 0x30d00801);
	set(vcpu, VM_ARM64_REG_SP_EL1, STACK);
	set(vcpu, (int)VM_ARM64_REG_X0 + 28, RAM + 0x100000);
	set(vcpu, (int)VM_ARM64_REG_X0 + 27, RAM + 0x800000);
	set(vcpu, VM_ARM64_REG_PC, RAM);
}

static bool
at_end(const struct vm_exit *ex)
{
	return (ex->code == VM_EXIT_MMIO && ex->u.mmio.gpa == 0x9000000);
}

const struct insns insns = {
	.program = "soft_insns_arm64",
	.arch = VM_ARCH_ARM64,
	.ram = RAM,
	.at = RAM,
	.loops = loops,
	.nloops = sizeof(loops) / sizeof(loops[0]),
	.ready = registers,
	.at_end = at_end,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * emit.h: what it emits is what Zydis reads, in Intel's syntax, and jumps lead where they should.
 */
#include <test.h>

#include <Zydis/Zydis.h>

#include "soft/jit/emit.h"

static uint8_t buf[4096];
static struct emit e;

static void
begin(void)
{
	e = (struct emit){ .start = buf, .at = buf, .end = buf + sizeof(buf), .run = 0x1000 - (intptr_t)(uintptr_t)buf };
}

/* All of what was emitted is one instruction that reads so; it runs at 0x1000. */
static void
expect(const char *text)
{
	ZydisDisassembledInstruction d;

	CHECK(!e.full);
	CHECKF(ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, 0x1000, buf, (size_t)(e.at - buf), &d)), "%s", text);
	CHECK_EQ(d.info.length, (size_t)(e.at - buf));
	CHECK_STR(d.text, text);
	begin();
}

#define	IS(call, text)	do { begin(); call; expect(text); } while (0)

TEST(moves)
{
	IS(emit_mov_rr(&e, 8, H_RAX, H_R15), "mov rax, r15");
	IS(emit_mov_rr(&e, 4, H_R8, H_RDX), "mov r8d, edx");
	IS(emit_mov_rr(&e, 1, H_RSI, H_RBP), "mov sil, bpl");
	IS(emit_mov_rm(&e, 8, H_RCX, emit_at(H_RBP, -128)), "mov rcx, [rbp-0x80]");
	IS(emit_mov_rm(&e, 4, H_R9, emit_at(H_R13, 0)), "mov r9d, [r13]");
	IS(emit_mov_rm(&e, 8, H_RAX, emit_at(H_R12, 8)), "mov rax, [r12+0x08]");
	IS(emit_mov_mr(&e, 2, emit_at(H_RSP, 16), H_RDI), "mov [rsp+0x10], di");
	IS(emit_mov_mr(&e, 1, emit_at(H_RAX, 0), H_RSI), "mov [rax], sil");
	IS(emit_mov_mr(&e, 8, emit_at(H_R15, 0x1234), H_R14), "mov [r15+0x1234], r14");
	IS(emit_mov_rm(&e, 8, H_RAX, emit_idx(H_RBX, H_R9, 8, 4)), "mov rax, [rbx+r9*8+0x04]");
	IS(emit_mov_rm(&e, 8, H_RAX, emit_idx(EMIT_NOREG, H_R9, 4, 0x40)), "mov rax, [r9*4+0x40]");
	IS(emit_mov_mi(&e, 8, emit_at(H_RBP, 0), -1), "mov qword ptr [rbp], 0xFFFFFFFFFFFFFFFF");
	IS(emit_mov_mi(&e, 1, emit_at(H_RBP, 1), 0x12), "mov byte ptr [rbp+0x01], 0x12");
	IS(emit_mov_mi(&e, 2, emit_at(H_RDI, 1), 0x1234), "mov word ptr [rdi+0x01], 0x1234");
	IS(emit_mov_ri(&e, H_R10, 5), "mov r10d, 0x05");
	IS(emit_mov_ri(&e, H_R10, UINT64_MAX), "mov r10, 0xFFFFFFFFFFFFFFFF");
	IS(emit_mov_ri(&e, H_RAX, 0x123456789abcULL), "mov rax, 0x123456789ABC");
	IS(emit_movzx_rr(&e, 1, H_RAX, H_RSI), "movzx eax, sil");
	IS(emit_movzx_rm(&e, 2, H_R8, emit_at(H_RDX, 0)), "movzx r8d, word ptr [rdx]");
	IS(emit_movsx_rr(&e, 8, 4, H_RAX, H_RCX), "movsxd rax, ecx");
	IS(emit_movsx_rm(&e, 8, 1, H_RAX, emit_at(H_RCX, 0)), "movsx rax, byte ptr [rcx]");
	IS(emit_movsx_rm(&e, 4, 2, H_R9, emit_at(H_RCX, 0)), "movsx r9d, word ptr [rcx]");
	IS(emit_lea(&e, 8, H_RDI, emit_idx(H_RAX, H_RCX, 2, -8)), "lea rdi, [rax+rcx*2-0x08]");
	IS(emit_push(&e, H_R12), "push r12");
	IS(emit_pop(&e, H_RBX), "pop rbx");
}

TEST(arithmetic)
{
	IS(emit_alu_rr(&e, 8, ALU_ADD, H_RAX, H_R9), "add rax, r9");
	IS(emit_alu_rm(&e, 4, ALU_SUB, H_RCX, emit_at(H_RBP, 8)), "sub ecx, [rbp+0x08]");
	IS(emit_alu_mr(&e, 8, ALU_XOR, emit_at(H_R15, 8), H_RDX), "xor [r15+0x08], rdx");
	IS(emit_alu_mr(&e, 1, ALU_OR, emit_at(H_R15, 8), H_RSI), "or [r15+0x08], sil");
	IS(emit_alu_ri(&e, 8, ALU_AND, H_R11, -4096), "and r11, 0xFFFFFFFFFFFFF000");
	IS(emit_alu_ri(&e, 2, ALU_CMP, H_RAX, 0x1234), "cmp ax, 0x1234");
	IS(emit_alu_ri(&e, 1, ALU_ADD, H_RAX, 0x7f), "add al, 0x7F");
	IS(emit_alu_ri(&e, 4, ALU_SBB, H_RDX, 3), "sbb edx, 0x03");
	IS(emit_alu_mi(&e, 4, ALU_SUB, emit_at(H_R15, 0x100), 12), "sub dword ptr [r15+0x100], 0x0C");
	IS(emit_alu_mi(&e, 1, ALU_CMP, emit_at(H_RBP, 3), 0x40), "cmp byte ptr [rbp+0x03], 0x40");
	IS(emit_alu_mi(&e, 8, ALU_ADC, emit_at(H_RBP, 3), 0x12345), "adc qword ptr [rbp+0x03], 0x12345");
	IS(emit_test_rr(&e, 8, H_RAX, H_RAX), "test rax, rax");
	IS(emit_test_ri(&e, 1, H_RDI, 15), "test dil, 0x0F");
	IS(emit_test_mi(&e, 1, emit_at(H_RBP, 8), 15), "test byte ptr [rbp+0x08], 0x0F");
	IS(emit_shift_ri(&e, 8, SH_SHR, H_RAX, 12), "shr rax, 0x0C");
	IS(emit_shift_ri(&e, 4, SH_ROR, H_R8, 31), "ror r8d, 0x1F");
	IS(emit_shift_cl(&e, 8, SH_SAR, H_RDX), "sar rdx, cl");
	IS(emit_unary_r(&e, 8, UN_NOT, H_RAX), "not rax");
	IS(emit_unary_r(&e, 4, UN_NEG, H_R9), "neg r9d");
	IS(emit_unary_r(&e, 8, UN_DIV, H_RCX), "div rcx");
	IS(emit_unary_r(&e, 8, UN_IMUL, H_RCX), "imul rcx");
	IS(emit_incdec_r(&e, 8, 0, H_RAX), "inc rax");
	IS(emit_incdec_r(&e, 4, 1, H_R8), "dec r8d");
	IS(emit_imul_rr(&e, 8, H_RAX, H_R10), "imul rax, r10");
	IS(emit_imul_rm(&e, 4, H_RAX, emit_at(H_RBP, 0)), "imul eax, [rbp]");
	IS(emit_imul_rri(&e, 4, H_RAX, H_RCX, 1000), "imul eax, ecx, 0x3E8");
	IS(emit_cqo(&e, 8), "cqo");
	IS(emit_cqo(&e, 4), "cdq");
	IS(emit_bswap(&e, 8, H_R9), "bswap r9");
	IS(emit_bt_ri(&e, 8, 4, H_RAX, 33), "bt rax, 0x21");
	IS(emit_bt_mi(&e, 8, 6, emit_at(H_RBP, 8), 33), "btr qword ptr [rbp+0x08], 0x21");
}

TEST(atomics)
{
	IS((emit_lock(&e), emit_cmpxchg_mr(&e, 1, emit_at(H_RDX, 0), H_RSI)), "lock cmpxchg [rdx], sil");
	IS((emit_lock(&e), emit_xadd_mr(&e, 8, emit_at(H_RDX, 8), H_R9)), "lock xadd [rdx+0x08], r9");
	IS(emit_xchg_mr(&e, 2, emit_at(H_R12, 0), H_RAX), "xchg [r12], ax");
	IS((emit_lock(&e), emit_alu_mi(&e, 4, ALU_OR, emit_at(H_RSP, 0), 0)), "lock or dword ptr [rsp], 0x00");
}

TEST(conditions)
{
	IS(emit_setcc_r(&e, CC_O, H_RAX), "seto al");
	IS(emit_setcc_r(&e, CC_NE, H_RDI), "setnz dil");
	IS(emit_setcc_m(&e, CC_B, emit_at(H_R15, 1)), "setb [r15+0x01]");
	IS(emit_cmov_rr(&e, 8, CC_LE, H_RAX, H_RCX), "cmovle rax, rcx");
	IS(emit_cmov_rm(&e, 4, CC_A, H_R8, emit_at(H_RBP, 8)), "cmovnbe r8d, [rbp+0x08]");
	IS(emit_lahf(&e), "lahf");
	IS(emit_sahf(&e), "sahf");
	IS(emit_cmc(&e), "cmc");
}

TEST(vectors)
{
	IS(emit_sse_rm(&e, SSE_MOVDQU_LOAD, 1, emit_at(H_RAX, 16)), "movdqu xmm1, [rax+0x10]");
	IS(emit_sse_rm(&e, SSE_MOVDQU_STORE, 9, emit_at(H_R15, 0)), "movdqu [r15], xmm9");
	IS(emit_sse_rr(&e, OP(0x66, EMIT_0F, 0xef), 3, 12), "pxor xmm3, xmm12");
	IS(emit_sse_rr(&e, OP(0x66, EMIT_0F38, 0x00), 1, 2), "pshufb xmm1, xmm2");
	IS(emit_rr(&e, 8, SSE_MOVD_LOAD, 1, H_RAX), "movq xmm1, rax");
	IS(emit_sse_rr(&e, OP(0xf2, EMIT_0F, 0x58), 0, 1), "addsd xmm0, xmm1");
	IS(emit_sse_rm(&e, SSE_MOVQ_STORE, 8, emit_at(H_RBP, 1)), "movq [rbp+0x01], xmm8");
	IS(emit_vex_rr(&e, 8, OP(0x66, EMIT_0F38, 0xb8), 9, 1, 12), "vfmadd231pd xmm9, xmm1, xmm12");
	IS(emit_vex_rr(&e, 4, OP(0x66, EMIT_0F, 0xd4), 2, 8, 0), "vpaddq xmm2, xmm8, xmm0");
	IS(emit_vex_rr(&e, 4, OP(0x66, EMIT_0F38, 0x0f), 1, 0, 1), "vtestpd xmm1, xmm1");
	IS(emit_vex_rr(&e, 4, OP(0xf2, EMIT_0F, 0x58), 11, 0, 7), "vaddsd xmm11, xmm0, xmm7");
	IS(emit_vex_rr(&e, 4, OP(0xf3, EMIT_0F, 0x5e), 3, 15, 9), "vdivss xmm3, xmm15, xmm9");
	IS(emit_vex_rm(&e, 4, OP(0x66, EMIT_0F, 0x54), 1, 12, emit_at(H_RCX, 0)), "vandpd xmm1, xmm12, [rcx]");
	IS(emit_vex_rm(&e, 4, OP(0, EMIT_0F, 0x54), 9, 3, emit_at(H_R13, 0x1000)), "vandps xmm9, xmm3, [r13+0x1000]");
	IS(emit_vex_rm(&e, 8, OP(0x66, EMIT_0F38, 0xb9), 3, 4, emit_idx(H_RSP, H_R9, 8, 16)), "vfmadd231sd xmm3, xmm4, [rsp+r9*8+0x10]");
	IS((emit_vex_rm(&e, 4, OP(0x66, EMIT_0F, 0xc2), 1, 1, emit_at(H_RCX, 16)), emit8(&e, 8)), "vcmppd xmm1, xmm1, [rcx+0x10], 0x08");
}

TEST(going_elsewhere)
{
	IS(emit_jmp_r(&e, H_R9), "jmp r9");
	IS(emit_jmp_m(&e, emit_at(H_RAX, 24)), "jmp [rax+0x18]");
	IS(emit_ret(&e), "ret");
	IS(emit_jmp_to(&e, (void *)0x2000), "jmp 0x0000000000002000");
	IS(emit_jcc_to(&e, CC_S, (void *)0x2000), "js 0x0000000000002000");
	IS(emit_call_to(&e, (void *)0x2000), "call 0x0000000000002000");
	begin();
	emit_call_to(&e, (void *)0x123456789000);
	CHECK_EQ(e.at - e.start, 12);
}

static int32_t
rel32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, 4);
	return (v);
}

TEST(labels)
{
	struct emit_label l = { 0 }, data = { 0 }, far = { 0 };
	uint8_t *over;

	begin();
	emit_jmp(&e, &l);				/* 0 to 5 */
	emit_jcc(&e, CC_E, &l);				/* 5 to 11 */
	emit_mov_mi(&e, 4, emit_rip(&data), 7);		/* 11 to 21 */
	over = emit_jcc_over(&e, CC_NE);		/* 21 to 23 */
	emit_ret(&e);
	emit_here(&e, over);
	emit_bind(&e, &l);				/* 24 */
	emit_jmp(&e, &l);				/* to itself, short */
	emit_bind(&e, &data);				/* 26 */
	CHECK(!e.full);
	CHECK_EQ(rel32(buf + 1), 24 - 5);
	CHECK_EQ(rel32(buf + 7), 24 - 11);
	CHECK_EQ(rel32(buf + 13), 26 - 21);
	CHECK_EQ(buf[22], 1);
	CHECK_EQ(buf[24], 0xeb);
	CHECK_EQ(buf[25], 0xfe);
	for (unsigned i = 0; i < 200; i++)
		emit8(&e, 0x90);
	emit_jcc(&e, CC_B, &l);
	CHECK_EQ(rel32(e.at - 4), 24 - (int32_t)(e.at - buf));

	/* Once full it stays so, and what it was asked to write is not there. */
	begin();
	e.end = buf + 6;
	emit_jmp(&e, &far);
	emit_jmp(&e, &far);
	CHECK(e.full);
	emit_bind(&e, &far);
	CHECK(e.full && e.at <= e.end);
}

TEST_MAIN()

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
	IS(emit_mov_rr(&e, 8, RAX, R15), "mov rax, r15");
	IS(emit_mov_rr(&e, 4, R8, RDX), "mov r8d, edx");
	IS(emit_mov_rr(&e, 1, RSI, RBP), "mov sil, bpl");
	IS(emit_mov_rm(&e, 8, RCX, emit_at(RBP, -128)), "mov rcx, [rbp-0x80]");
	IS(emit_mov_rm(&e, 4, R9, emit_at(R13, 0)), "mov r9d, [r13]");
	IS(emit_mov_rm(&e, 8, RAX, emit_at(R12, 8)), "mov rax, [r12+0x08]");
	IS(emit_mov_mr(&e, 2, emit_at(RSP, 16), RDI), "mov [rsp+0x10], di");
	IS(emit_mov_mr(&e, 1, emit_at(RAX, 0), RSI), "mov [rax], sil");
	IS(emit_mov_mr(&e, 8, emit_at(R15, 0x1234), R14), "mov [r15+0x1234], r14");
	IS(emit_mov_rm(&e, 8, RAX, emit_idx(RBX, R9, 8, 4)), "mov rax, [rbx+r9*8+0x04]");
	IS(emit_mov_rm(&e, 8, RAX, emit_idx(EMIT_NOREG, R9, 4, 0x40)), "mov rax, [r9*4+0x40]");
	IS(emit_mov_mi(&e, 8, emit_at(RBP, 0), -1), "mov qword ptr [rbp], 0xFFFFFFFFFFFFFFFF");
	IS(emit_mov_mi(&e, 1, emit_at(RBP, 1), 0x12), "mov byte ptr [rbp+0x01], 0x12");
	IS(emit_mov_mi(&e, 2, emit_at(RDI, 1), 0x1234), "mov word ptr [rdi+0x01], 0x1234");
	IS(emit_mov_ri(&e, R10, 5), "mov r10d, 0x05");
	IS(emit_mov_ri(&e, R10, UINT64_MAX), "mov r10, 0xFFFFFFFFFFFFFFFF");
	IS(emit_mov_ri(&e, RAX, 0x123456789abcULL), "mov rax, 0x123456789ABC");
	IS(emit_movzx_rr(&e, 1, RAX, RSI), "movzx eax, sil");
	IS(emit_movzx_rm(&e, 2, R8, emit_at(RDX, 0)), "movzx r8d, word ptr [rdx]");
	IS(emit_movsx_rr(&e, 8, 4, RAX, RCX), "movsxd rax, ecx");
	IS(emit_movsx_rm(&e, 8, 1, RAX, emit_at(RCX, 0)), "movsx rax, byte ptr [rcx]");
	IS(emit_movsx_rm(&e, 4, 2, R9, emit_at(RCX, 0)), "movsx r9d, word ptr [rcx]");
	IS(emit_lea(&e, 8, RDI, emit_idx(RAX, RCX, 2, -8)), "lea rdi, [rax+rcx*2-0x08]");
	IS(emit_push(&e, R12), "push r12");
	IS(emit_pop(&e, RBX), "pop rbx");
}

TEST(arithmetic)
{
	IS(emit_alu_rr(&e, 8, ALU_ADD, RAX, R9), "add rax, r9");
	IS(emit_alu_rm(&e, 4, ALU_SUB, RCX, emit_at(RBP, 8)), "sub ecx, [rbp+0x08]");
	IS(emit_alu_mr(&e, 8, ALU_XOR, emit_at(R15, 8), RDX), "xor [r15+0x08], rdx");
	IS(emit_alu_mr(&e, 1, ALU_OR, emit_at(R15, 8), RSI), "or [r15+0x08], sil");
	IS(emit_alu_ri(&e, 8, ALU_AND, R11, -4096), "and r11, 0xFFFFFFFFFFFFF000");
	IS(emit_alu_ri(&e, 2, ALU_CMP, RAX, 0x1234), "cmp ax, 0x1234");
	IS(emit_alu_ri(&e, 1, ALU_ADD, RAX, 0x7f), "add al, 0x7F");
	IS(emit_alu_ri(&e, 4, ALU_SBB, RDX, 3), "sbb edx, 0x03");
	IS(emit_alu_mi(&e, 4, ALU_SUB, emit_at(R15, 0x100), 12), "sub dword ptr [r15+0x100], 0x0C");
	IS(emit_alu_mi(&e, 1, ALU_CMP, emit_at(RBP, 3), 0x40), "cmp byte ptr [rbp+0x03], 0x40");
	IS(emit_alu_mi(&e, 8, ALU_ADC, emit_at(RBP, 3), 0x12345), "adc qword ptr [rbp+0x03], 0x12345");
	IS(emit_test_rr(&e, 8, RAX, RAX), "test rax, rax");
	IS(emit_test_ri(&e, 1, RDI, 15), "test dil, 0x0F");
	IS(emit_test_mi(&e, 1, emit_at(RBP, 8), 15), "test byte ptr [rbp+0x08], 0x0F");
	IS(emit_shift_ri(&e, 8, SH_SHR, RAX, 12), "shr rax, 0x0C");
	IS(emit_shift_ri(&e, 4, SH_ROR, R8, 31), "ror r8d, 0x1F");
	IS(emit_shift_cl(&e, 8, SH_SAR, RDX), "sar rdx, cl");
	IS(emit_unary_r(&e, 8, UN_NOT, RAX), "not rax");
	IS(emit_unary_r(&e, 4, UN_NEG, R9), "neg r9d");
	IS(emit_unary_r(&e, 8, UN_DIV, RCX), "div rcx");
	IS(emit_unary_r(&e, 8, UN_IMUL, RCX), "imul rcx");
	IS(emit_incdec_r(&e, 8, 0, RAX), "inc rax");
	IS(emit_incdec_r(&e, 4, 1, R8), "dec r8d");
	IS(emit_imul_rr(&e, 8, RAX, R10), "imul rax, r10");
	IS(emit_imul_rm(&e, 4, RAX, emit_at(RBP, 0)), "imul eax, [rbp]");
	IS(emit_imul_rri(&e, 4, RAX, RCX, 1000), "imul eax, ecx, 0x3E8");
	IS(emit_cqo(&e, 8), "cqo");
	IS(emit_cqo(&e, 4), "cdq");
	IS(emit_bswap(&e, 8, R9), "bswap r9");
	IS(emit_bt_ri(&e, 8, 4, RAX, 33), "bt rax, 0x21");
	IS(emit_bt_mi(&e, 8, 6, emit_at(RBP, 8), 33), "btr qword ptr [rbp+0x08], 0x21");
}

TEST(atomics)
{
	IS((emit_lock(&e), emit_cmpxchg_mr(&e, 1, emit_at(RDX, 0), RSI)), "lock cmpxchg [rdx], sil");
	IS((emit_lock(&e), emit_xadd_mr(&e, 8, emit_at(RDX, 8), R9)), "lock xadd [rdx+0x08], r9");
	IS(emit_xchg_mr(&e, 2, emit_at(R12, 0), RAX), "xchg [r12], ax");
	IS((emit_lock(&e), emit_alu_mi(&e, 4, ALU_OR, emit_at(RSP, 0), 0)), "lock or dword ptr [rsp], 0x00");
}

TEST(conditions)
{
	IS(emit_setcc_r(&e, CC_O, RAX), "seto al");
	IS(emit_setcc_r(&e, CC_NE, RDI), "setnz dil");
	IS(emit_setcc_m(&e, CC_B, emit_at(R15, 1)), "setb [r15+0x01]");
	IS(emit_cmov_rr(&e, 8, CC_LE, RAX, RCX), "cmovle rax, rcx");
	IS(emit_cmov_rm(&e, 4, CC_A, R8, emit_at(RBP, 8)), "cmovnbe r8d, [rbp+0x08]");
	IS(emit_lahf(&e), "lahf");
	IS(emit_sahf(&e), "sahf");
	IS(emit_cmc(&e), "cmc");
}

TEST(vectors)
{
	IS(emit_sse_rm(&e, SSE_MOVDQU_LOAD, 1, emit_at(RAX, 16)), "movdqu xmm1, [rax+0x10]");
	IS(emit_sse_rm(&e, SSE_MOVDQU_STORE, 9, emit_at(R15, 0)), "movdqu [r15], xmm9");
	IS(emit_sse_rr(&e, OP(0x66, EMIT_0F, 0xef), 3, 12), "pxor xmm3, xmm12");
	IS(emit_sse_rr(&e, OP(0x66, EMIT_0F38, 0x00), 1, 2), "pshufb xmm1, xmm2");
	IS(emit_rr(&e, 8, SSE_MOVD_LOAD, 1, RAX), "movq xmm1, rax");
	IS(emit_sse_rr(&e, OP(0xf2, EMIT_0F, 0x58), 0, 1), "addsd xmm0, xmm1");
	IS(emit_sse_rm(&e, SSE_MOVQ_STORE, 8, emit_at(RBP, 1)), "movq [rbp+0x01], xmm8");
}

TEST(going_elsewhere)
{
	IS(emit_jmp_r(&e, R9), "jmp r9");
	IS(emit_jmp_m(&e, emit_at(RAX, 24)), "jmp [rax+0x18]");
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_string.c - string instructions of the software amd64 CPU: wrap-around and direction,
 * overlap, and what may come between two iterations: traps, exits, kicks, page faults.
 */
#include <pthread.h>

#include "soft_amd64_guest.h"

#ifdef __x86_64__

/* Strings in a 64 KiB segment: the index registers wrap, elements that cross the end fault. */
GUEST(string16_code, 16,
    "	movw	$0x2000, %ax\n"
    "	movw	%ax, %es\n"
    "	movl	$0xaaaafffe, %edi\n"
    "	movl	$0xbbbb0004, %ecx\n"
    "	movb	$0x5a, %al\n"
    "	cld\n"
    "	rep stosb\n"
    "	movl	%edi, %ebx\n"
    "	movw	$0xfffb, %di\n"
    "	movw	$0x1234, %ax\n"
    "	movw	$4, %cx\n"
    "	rep stosw\n"				/* the third one is at 0xffff */
    FINISH
    "	.org	string16_code + 0x100\n"
    "	movw	%cx, %dx\n"
    "	movw	%di, %si\n"
    FINISH);

TEST(string_indexes_wrap_at_the_address_size)
{
	struct guest g;

	OPEN(&g, string16_code);
	mode16(&g);
	gate16(&g, 13, 0x100);
	finish(&g);
	CHECK_EQ(peek(&g, 0x20000, 2), 0x5a5a);
	CHECK_EQ(peek(&g, 0x20002, 1), 0);
	CHECK_EQ(peek(&g, 0x30000, 1), 0);
	CHECK_EQ(GET(&g, RBX), 0xaaaa0002);
	CHECK_EQ(GET(&g, RCX), 0xbbbb0002);
	CHECK_EQ(peek(&g, 0x2fffb, 4), 0x12341234);
	CHECK_EQ(peek(&g, 0x2ffff, 1), 0x5a);
	CHECK_EQ(GET(&g, RDX) & 0xffff, 2);
	CHECK_EQ(GET(&g, RSI) & 0xffff, 0xffff);
}

GUEST(down_code, 32,
    "	std\n"
    "	movl	$0x22003, %esi\n"
    "	movl	$0x24ffe, %edi\n"
    "	movl	$0x1800, %ecx\n"
    "	rep movsb\n"				/* over page ends, out of step */
    "	movl	%edi, %ebx\n"
    "	movl	$0x26003, %esi\n"
    "	movl	$0x26004, %edi\n"
    "	movl	$4, %ecx\n"
    "	rep movsb\n"				/* overlapping: a plain move */
    "	movl	$0x26014, %esi\n"
    "	movl	$0x26013, %edi\n"
    "	movl	$4, %ecx\n"
    "	rep movsb\n"				/* and one that propagates */
    "	cld\n"
    "	movl	$0x26020, %esi\n"
    "	movl	$0x26021, %edi\n"
    "	movl	$0x1003, %ecx\n"
    "	rep movsb\n"
    "	movl	$0x28000, %esi\n"
    "	movl	$0x28002, %edi\n"
    "	movl	$3, %ecx\n"
    "	rep movsl\n"
    FINISH);

TEST(copies_in_both_directions_with_overlap)
{
	struct guest g;

	OPEN(&g, down_code);
	mode32(&g);
	for (unsigned i = 0; i < 0x3000; i++)
		poke(&g, 0x20000 + i, i * 7 + (i >> 8), 1);
	poke(&g, 0x26000, 0x04030201, 4);
	poke(&g, 0x26011, 0x44332211, 4);
	poke(&g, 0x26020, 0x99, 1);
	poke(&g, 0x28000, 0x0807060504030201, 8);
	finish(&g);
	for (unsigned i = 0; i < 0x1800; i++)
		CHECK_EQ(peek(&g, 0x24ffe - i, 1), (uint8_t)((0x2003 - i) * 7 + ((0x2003 - i) >> 8)));
	CHECK_EQ(GET(&g, RBX), 0x24ffe - 0x1800);
	CHECK_EQ(peek(&g, 0x26001, 4), 0x04030201);
	CHECK_EQ(peek(&g, 0x26010, 5), 0x4444444444);
	for (unsigned i = 0; i <= 0x1003; i++)
		CHECK_EQ(peek(&g, 0x26020 + i, 1), 0x99);
	CHECK_EQ(peek(&g, 0x26020 + 0x1004, 1), 0);
	CHECK_EQ(peek(&g, 0x28002, 4), 0x04030201);
	CHECK_EQ(peek(&g, 0x28006, 4), 0x08070403);
}

GUEST(compare_code, 32,
    "	movl	$0x20ff0, %esi\n"
    "	movl	$0x24000, %edi\n"
    "	movl	$0x2000, %ecx\n"
    "	repe cmpsb\n"
    "	movl	%ecx, %ebx\n"
    "	pushfl\n"
    "	popl	%edx\n"
    "	movl	$0x24000, %edi\n"
    "	movl	$0x2000, %ecx\n"
    "	movl	$0x1234, %eax\n"
    "	repne scasw\n"
    "	movl	%edi, %ebp\n"
    "	std\n"
    "	movl	$0x25ffc, %edi\n"
    "	movl	$0x1000, %ecx\n"
    "	xorl	%eax, %eax\n"
    "	repe scasl\n"
    "	cld\n"
    FINISH);

TEST(comparisons_stop_behind_the_difference)
{
	struct guest g;

	OPEN(&g, compare_code);
	mode32(&g);
	poke(&g, 0x20ff0 + 0x1801, 5, 1);
	poke(&g, 0x24000 + 0x1c00, 0x1234, 2);
	finish(&g);
	CHECK_EQ(GET(&g, RBX), 0x2000 - 0x1802);
	CHECK_EQ(GET(&g, RDX) & (CF | ZF), 0);
	CHECK_EQ(GET(&g, RBP), 0x24000 + 0x1c02);
	CHECK_EQ(GET(&g, RDI), 0x24000 + 0x1c00 - 4);
}

/* Between two iterations */

GUEST(trap_code, 32,
    "	movl	$0x20000, %edi\n"
    "	movl	$3, %ecx\n"
    "	pushfl\n"
    "	orl	$0x100, (%esp)\n"
    "	popfl\n"
    "	rep stosb\n"
    "	nop\n"
    FINISH
    "	.org	trap_code + 0x100\n"
    "	movl	%ecx, 0x21000(,%ebx,8)\n"
    "	movl	(%esp), %edx\n"
    "	movl	%edx, 0x21004(,%ebx,8)\n"
    "	incl	%ebx\n"
    "	cmpl	$4, %ebx\n"
    "	jne	1f\n"
    "	andl	$~0x100, 8(%esp)\n"
    "1:	iretl\n");

/* A single-step trap comes behind each iteration, with RIP at the instruction until the last one (SDM vol. 1 7.3.9.2). */
TEST(repetition_traps_behind_each_iteration)
{
	struct guest g;
	uint32_t at;

	OPEN(&g, trap_code);
	mode32(&g);
	gate32(&g, 1, 0x100);
	SET(&g, RBX, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RBX), 4);
	at = (uint32_t)peek(&g, 0x21004, 4);
	CHECK_EQ(peek(&g, 0x21000, 4), 2);
	CHECK_EQ(peek(&g, 0x21008, 4), 1);
	CHECK_EQ(peek(&g, 0x2100c, 4), at);
	CHECK_EQ(peek(&g, 0x21010, 4), 0);
	CHECK_EQ(peek(&g, 0x21014, 4), at + 2);		/* behind REP STOSB */
	CHECK_EQ(peek(&g, 0x2101c, 4), at + 3);		/* behind NOP */
	CHECK_EQ(GET(&g, RDI), 0x20003);
}

GUEST(ports_code, 32,
    "	movl	$0x510, %edx\n"
    "	movl	$0x20000, %edi\n"
    "	movl	$5, %ecx\n"
    "	rep insw\n"
    "	movl	$0x20000, %esi\n"
    "	movl	$5, %ecx\n"
    "	rep outsw\n"
    "	movl	$0xc0000000, %edi\n"
    "	movl	$0x20002, %esi\n"
    "	movl	$3, %ecx\n"
    "	rep movsb\n"
    "	movl	$0xc0000004, %esi\n"
    "	movl	$0x20100, %edi\n"
    "	movl	$3, %ecx\n"
    "	rep movsb\n"
    FINISH);

/* Every iteration leaves for the caller, with the registers of those done; twice, if restarted. */
static void
port_iterations(bool restart)
{
	struct guest g;

	OPEN(&g, ports_code);
	mode32(&g);
	for (unsigned i = 0; i < 5; i++) {
		for (int again = restart; again >= 0; again--) {
			run(&g);
			CHECK_EQ(g.ex.code, VM_EXIT_IO);
			CHECK(!g.ex.u.io.write);
			CHECK_EQ(g.ex.u.io.port, 0x510);
			CHECK_EQ(g.ex.u.io.size, 2);
			CHECK_EQ(GET(&g, RCX), 5 - i);
			CHECK_EQ(GET(&g, RDI), 0x20000 + 2 * i);
			if (again != 0)
				CHECK_EQ(vm_restart_instruction(g.vcpu), 0);
		}
		CHECK_EQ(vm_exit_reply(g.vcpu, 0x1111 * (i + 1)), 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		for (int again = restart; again >= 0; again--) {
			run(&g);
			CHECK_EQ(g.ex.code, VM_EXIT_IO);
			CHECK(g.ex.u.io.write);
			CHECK_EQ(g.ex.u.io.data, 0x1111 * (i + 1));
			CHECK_EQ(GET(&g, RCX), 4 - i);
			CHECK_EQ(GET(&g, RSI), 0x20002 + 2 * i);
			if (again != 0) {
				CHECK_EQ(vm_restart_instruction(g.vcpu), 0);
				CHECK_EQ(GET(&g, RCX), 5 - i);
				CHECK_EQ(GET(&g, RSI), 0x20000 + 2 * i);
			}
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		run(&g);
		CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
		CHECK(g.ex.u.mmio.write);
		CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000000 + i);
		CHECK_EQ(g.ex.u.mmio.data, i == 2 ? 0x33 : 0x22);
		CHECK_EQ(GET(&g, RCX), 2 - i);
	}
	for (unsigned i = 0; i < 3; i++) {
		run(&g);
		CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
		CHECK(!g.ex.u.mmio.write);
		CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000004 + i);
		CHECK_EQ(vm_exit_reply(g.vcpu, 0xa0 + i), 0);
	}
	finish(&g);
	CHECK_EQ(peek(&g, 0x20100, 4), 0xa2a1a0);
	CHECK_EQ(GET(&g, RCX), 0);
}

TEST(each_iteration_at_a_port_is_an_exit)
{
	port_iterations(false);
}

TEST(an_iteration_at_a_port_restarts_alone)
{
	port_iterations(true);
}

GUEST(long_code, 64,
    "	movq	$0x200000, %rdi\n"
    "	movq	$0x800000, %rcx\n"
    "	movb	$0x77, %al\n"
    "	rep stosb\n"
    FINISH);

/* Kicked again and again: it goes on where it was. */
TEST(a_long_repetition_can_be_left)
{
	struct guest g;
	unsigned kicks = 0;

	OPEN(&g, long_code);
	mode64(&g, g.vcpu);
	for (;;) {
		uint64_t left, at;

		CHECK_EQ(vm_vcpu_kick(g.vcpu), 0);
		run(&g);
		if (g.ex.code == VM_EXIT_IO)
			break;
		CHECK_EQ(g.ex.code, VM_EXIT_KICKED);
		left = GET(&g, RCX);
		at = GET(&g, RDI);
		if (left < 0x800000 && at >= 0x200000)
			CHECK_EQ(left + at, 0xa00000);
		kicks++;
		CHECK(kicks < 1000000);
		/* A kick that is there before the run stops it before the first instruction. */
		run(&g);
		if (g.ex.code == VM_EXIT_IO)
			break;
	}
	CHECK_EQ(GET(&g, RCX), 0);
	for (unsigned i = 0x200000; i < 0xa00000; i++)
		if (g.mem[i] != 0x77)
			CHECK_EQ(i, 0);
}

static void *
kicker(void *arg)
{
	struct guest *g = arg;

	while (__atomic_load_n(&g->mem[0xa00000], __ATOMIC_RELAXED) == 0) {
		(void)vm_vcpu_kick(g->vcpu);
		usleep(50);
	}
	return (NULL);
}

GUEST(again_code, 64,
    "	movl	$50, %ebx\n"
    "1:	movl	$0x200000, %edi\n"
    "	movl	$0x800000, %ecx\n"
    "	movb	%bl, %al\n"
    "	rep stosb\n"
    "	movl	$0x200000, %edi\n"
    "	movl	$0x800000, %ecx\n"
    "	repe scasb\n"
    "	jne	2f\n"
    "	movl	$0x1ff000, %edi\n"
    "	movl	$0x200800, %esi\n"
    "	movl	$0x200000, %ecx\n"
    "	rep movsw\n"
    "	cmpl	$0x5ff000, %edi\n"
    "	jne	2f\n"
    "	decl	%ebx\n"
    "	jnz	1b\n"
    "2:\n"
    FINISH);

TEST(repetitions_survive_kicks_from_another_thread)
{
	struct guest g;
	pthread_t t;
	unsigned kicks = 0;

	OPEN(&g, again_code);
	mode64(&g, g.vcpu);
	CHECK_EQ(pthread_create(&t, NULL, kicker, &g), 0);
	for (;;) {
		run(&g);
		if (g.ex.code == VM_EXIT_IO)
			break;
		CHECK_EQ(g.ex.code, VM_EXIT_KICKED);
		CHECK(GET(&g, RCX) <= 0x800000);
		kicks++;
	}
	__atomic_store_n(&g.mem[0xa00000], 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	CHECK_EQ(GET(&g, RBX), 0);
	CHECK(kicks != 0);
}

/* Restarts after page faults */

GUEST(pf_string_code, 32,
    "	movl	$0x30ff0, %esi\n"
    "	movl	$0x40ffa, %edi\n"
    "	movl	$0x20, %ecx\n"
    "	rep movsb\n"
    "	movl	%esi, %ebx\n"
    "	movl	%edi, %edx\n"
    "	addl	$1, 0x42000\n"
    "	cmpxchg	%eax, 0x43000\n"
    FINISH
    "	.org	pf_string_code + 0x200\n"
    PF32);

TEST(a_repetition_goes_on_behind_a_page_fault)
{
	struct guest g;

	OPEN(&g, pf_string_code);
	paging32(&g);
	gate32(&g, 14, 0x200);
	SET(&g, CR0, 0x80010011);
	poke(&g, PTE32(0x31000), 0x31000 | 6, 4);
	poke(&g, PTE32(0x41000), 0x41000 | 6, 4);
	poke(&g, PTE32(0x42000), 0x42000 | 5, 4);	/* read-only: the fault is one of a write */
	for (unsigned i = 0; i < 0x20; i++)
		poke(&g, 0x30ff0 + i, 0x40 + i, 1);
	poke(&g, 0x42000, 7, 4);
	finish(&g);
	CHECK_EQ(peek(&g, 0x22000, 4), 0x41000);
	CHECK_EQ(peek(&g, 0x22008, 4), 0x20 - 6);
	CHECK_EQ(peek(&g, 0x22010, 4), 0x31000);
	CHECK_EQ(peek(&g, 0x22018, 4), 0x20 - 0x10);
	CHECK_EQ(peek(&g, 0x22020, 4), 0x42000);
	CHECK_EQ(peek(&g, 0x42000, 4), 8);
	CHECK_EQ(GET(&g, RBX), 0x31010);
	CHECK_EQ(GET(&g, RDX), 0x4101a);
	for (unsigned i = 0; i < 0x20; i++)
		CHECK_EQ(peek(&g, 0x40ffa + i, 1), 0x40 + i);
}

/* What a repetition writes over is executed as it is then. */
GUEST(modify_code, 64,
    "	movl	$2, %ebx\n"
    "1:	leaq	3f(%rip), %rsi\n"
    "	leaq	2f(%rip), %rdi\n"
    "	movl	$5, %ecx\n"
    "	rep movsb\n"
    "2:	movl	$1, %edx\n"
    "	addl	%edx, %ebp\n"
    "	incb	3f + 1(%rip)\n"
    "	decl	%ebx\n"
    "	jnz	1b\n"
    FINISH
    "3:	movl	$0x10, %edx\n");

TEST(a_repetition_may_change_the_code_behind_it)
{
	struct guest g;

	OPEN(&g, modify_code);
	mode64(&g, g.vcpu);
	SET(&g, RBP, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RBP), 0x21);
}

/* A repetition is one instruction, however often it was left. */
static uint64_t
counted(bool kicked)
{
	struct guest g;
	pthread_t t;
	int n;

	OPEN(&g, again_code);
	mode64(&g, g.vcpu);
	if (kicked)
		CHECK_EQ(pthread_create(&t, NULL, kicker, &g), 0);
	do
		run(&g);
	while (g.ex.code == VM_EXIT_KICKED);
	CHECK_EQ(g.ex.code, VM_EXIT_IO);
	__atomic_store_n(&g.mem[0xa00000], 1, __ATOMIC_RELAXED);
	if (kicked)
		pthread_join(t, NULL);
	return (vm_get_stats(g.vcpu, &n)[VM_STAT_INSNS]);
}

TEST(a_repetition_counts_as_one_instruction)
{
	uint64_t n = counted(false);

	CHECK_EQ(n, 1 + 50 * 16 + 1);
	CHECK_EQ(counted(true), n);
}

#endif

TEST_MAIN()

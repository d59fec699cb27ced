/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_points.c - where a debugger wants an amd64 processor to stop (vm_debug_set()), single steps, processors that are held, and
 * fields of their state.
 */
#include "soft_amd64_guest.h"

/* A loop that is native code soon: at 5 ECX counts down, at 7 is the NOP that points are at, at 8 the store, behind which is 15. */
GUEST(loop, 64,
    "	movl	$100000, %ecx\n"
    "1:	decl	%ecx\n"
    "	nop\n"
    "	movl	%ecx, 0x20000\n"
    "	testl	%ecx, %ecx\n"
    "	jnz	1b\n"
    FINISH);
#define	AT_NOP		(CODE + 7)
#define	AT_STORE	(CODE + 8)

static void
points(struct guest *g, const struct vm_debug_point *p, unsigned n)
{
	CHECK_EQ(vm_pause(g->vm), 0);
	CHECKF(vm_debug_set(g->vm, p, n) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_resume(g->vm), 0);
}

static void
expect(struct guest *g, enum vm_debug_kind kind, uint64_t addr, uint64_t rip)
{
	run(g);
	CHECKF(g->ex.code == VM_EXIT_DEBUG, "exit %d at %#llx", g->ex.code, (unsigned long long)g->ex.pc);
	CHECK_EQ(g->ex.u.debug.why, VM_DEBUG_AT_POINT);
	CHECK_EQ(g->ex.u.debug.kind, kind);
	CHECK_EQ(g->ex.u.debug.addr, addr);
	CHECK_EQ(GET(g, RIP), rip);
}

static void
expect_end(struct guest *g)
{
	run(g);
	CHECKF(g->ex.code == VM_EXIT_IO && g->ex.u.io.port == END, "exit %d at %#llx", g->ex.code, (unsigned long long)g->ex.pc);
}

static void
step(struct guest *g, uint64_t rip)
{
	CHECK_EQ(vm_set_capability(g->vcpu, VM_CAP_SINGLE_STEP, 1), 0);
	run(g);
	CHECK_EQ(g->ex.code, VM_EXIT_DEBUG);
	CHECK_EQ(g->ex.u.debug.why, VM_DEBUG_BY_STEP);
	CHECK_EQ(GET(g, RIP), rip);
	CHECK_EQ(vm_set_capability(g->vcpu, VM_CAP_SINGLE_STEP, 0), 0);
}

static void
open_loop(struct guest *g)
{
	guest_open(g, loop, loop_end);
	mode64(g, g->vcpu);
	CHECKF(vm_start(g->vm) == 0, "%s", vm_errmsg());
	/* Once through: blocks are decoded, translated and joined. */
	expect_end(g);
	SET(g, RIP, CODE);
}

TEST(stops_at_an_instruction_that_ran_before)
{
	static const struct vm_debug_point p[] = { { VM_DEBUG_EXEC, AT_NOP, 1 }, { VM_DEBUG_EXEC, CODE + 0x1007, 1 } };
	struct guest g;

	open_loop(&g);
	poke(&g, DATA, 0, 4);
	points(&g, p, 2);
	for (uint64_t left = 99999; left > 99990; left--) {
		expect(&g, VM_DEBUG_EXEC, AT_NOP, AT_NOP);
		CHECK_EQ(GET(&g, RCX), left);
		CHECK_EQ(peek(&g, DATA, 4), left == 99999 ? 0 : left + 1);
		/* It stops again until somebody steps over it. */
		expect(&g, VM_DEBUG_EXEC, AT_NOP, AT_NOP);
		CHECK_EQ(GET(&g, RCX), left);
		step(&g, AT_STORE);
	}
	/* Memory is the guest's. */
	CHECK_EQ(memcmp(g.mem + CODE, loop, (size_t)(loop_end - loop)), 0);
	points(&g, NULL, 0);
	expect_end(&g);
	CHECK_EQ(GET(&g, RCX), 0);
	vm_close(g.vm);
}

/* The offsets that code is made by may be more than the points: one that is gone stops nobody, one that comes back does. */
TEST(points_come_and_go)
{
	static const struct vm_debug_point nop = { VM_DEBUG_EXEC, AT_NOP, 1 }, store = { VM_DEBUG_EXEC, AT_STORE, 1 };
	const struct vm_debug_point both[] = { nop, store };
	struct guest g;

	open_loop(&g);
	points(&g, both, 2);
	expect(&g, VM_DEBUG_EXEC, AT_NOP, AT_NOP);
	points(&g, &store, 1);
	expect(&g, VM_DEBUG_EXEC, AT_STORE, AT_STORE);
	points(&g, &nop, 1);
	expect(&g, VM_DEBUG_EXEC, AT_NOP, AT_NOP);
	CHECK_EQ(GET(&g, RCX), 99998);
	points(&g, both, 2);
	step(&g, AT_STORE);
	expect(&g, VM_DEBUG_EXEC, AT_STORE, AT_STORE);
	CHECK_EQ(GET(&g, RCX), 99998);
	points(&g, NULL, 0);
	expect_end(&g);
	vm_close(g.vm);
}

TEST(stops_behind_accesses_to_data)
{
	static const struct vm_debug_point w = { VM_DEBUG_WRITE, DATA + 2, 1 }, r = { VM_DEBUG_READ, DATA, 8 },
	    a = { VM_DEBUG_ACCESS, DATA - 4, 6 };
	struct guest g;

	open_loop(&g);
	points(&g, &w, 1);
	expect(&g, VM_DEBUG_WRITE, DATA + 2, CODE + 15);
	CHECK_EQ(GET(&g, RCX), 99999);
	CHECK_EQ(peek(&g, DATA, 4), 99999);
	expect(&g, VM_DEBUG_WRITE, DATA + 2, CODE + 15);
	CHECK_EQ(GET(&g, RCX), 99998);
	points(&g, &a, 1);
	expect(&g, VM_DEBUG_ACCESS, DATA, CODE + 15);
	CHECK_EQ(GET(&g, RCX), 99997);
	points(&g, &r, 1);
	expect_end(&g);
	CHECK_EQ(GET(&g, DR6) & 0xf, 0);
	CHECK_EQ(GET(&g, DR7) & 0xff, 0);
	vm_close(g.vm);
}

GUEST(strings, 64,
    "	movl	$0x20000, %edi\n"
    "	movl	$100, %ecx\n"
    "	rep stosb\n"
    "	lock incl 0x20080\n"
    "	pushq	$1\n"
    FINISH);

/* A string instruction is one: it is stopped at once, a step is all of it.  Other ways to memory. */
/* A step that comes to data that is watched is over with that: the next one executes the next instruction. */
TEST(steps_over_data)
{
	static const struct vm_debug_point p[] = { { VM_DEBUG_WRITE, DATA, 4 } };
	struct guest g;

	open_loop(&g);
	points(&g, p, 1);
	SET(&g, RIP, AT_STORE);
	CHECK_EQ(vm_set_capability(g.vcpu, VM_CAP_SINGLE_STEP, 1), 0);
	expect(&g, VM_DEBUG_WRITE, DATA, CODE + 15);
	step(&g, CODE + 17);
	vm_close(g.vm);
}

TEST(strings_and_atomics)
{
	static const struct vm_debug_point p[] = { { VM_DEBUG_EXEC, CODE + 10, 1 }, { VM_DEBUG_WRITE, DATA + 0x80, 4 },
	    { VM_DEBUG_WRITE, STACK - 8, 8 } };
	static const struct vm_debug_point byte = { VM_DEBUG_WRITE, DATA + 50, 1 };
	struct guest g;

	guest_open(&g, strings, strings_end);
	mode64(&g, g.vcpu);
	CHECK_EQ(vm_start(g.vm), 0);
	points(&g, p, 3);
	expect(&g, VM_DEBUG_EXEC, CODE + 10, CODE + 10);
	step(&g, CODE + 12);
	CHECK_EQ(GET(&g, RCX), 0);
	expect(&g, VM_DEBUG_WRITE, DATA + 0x80, CODE + 20);
	CHECK_EQ(peek(&g, DATA + 0x80, 4), 1);
	expect(&g, VM_DEBUG_WRITE, STACK - 8, CODE + 22);
	CHECK_EQ(GET(&g, RSP), STACK - 8);
	expect_end(&g);
	SET(&g, RIP, CODE);
	points(&g, &byte, 1);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_DEBUG);
	CHECK_EQ(g.ex.u.debug.addr, DATA + 50);
	expect_end(&g);
	vm_close(g.vm);
}

TEST(segments_have_linear_addresses)
{
	static const struct vm_debug_point p = { VM_DEBUG_EXEC, CODE + 3, 1 };
	struct guest g;

	guest_open(&g, loop, loop_end);
	mode16(&g);
	memcpy(g.mem + CODE, "\x90\x90\x90\x90\x90\xe6\xf4", 7);	/* out to END */
	CHECK_EQ(vm_start(g.vm), 0);
	points(&g, &p, 1);
	expect(&g, VM_DEBUG_EXEC, CODE + 3, 3);
	step(&g, 4);
	expect_end(&g);
	vm_close(g.vm);
}

/* While it is held it comes out of vm_run() only for a kick, and has executed nothing. */
TEST(held)
{
	struct tv_runner r = { 0 };
	struct guest g;

	open_loop(&g);
	CHECK_EQ(vm_pause(g.vm), 0);
	CHECK_EQ(vm_vcpu_hold(g.vcpu, true), 0);
	CHECK_EQ(vm_resume(g.vm), 0);
	CHECK_EQ(vm_vcpu_hold(g.vcpu, false), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(vm_vcpu_kick(g.vcpu), 0);
	r.cpu = g.vcpu;
	tv_run(&r, 1);
	CHECK_EQ(r.ex.code, VM_EXIT_KICKED);
	CHECK_EQ(GET(&g, RIP), CODE);
	/* It sleeps until it is let go. */
	CHECK_EQ(pthread_create(&r.thread, NULL, tv_runner_main, &r), 0);
	CHECK_EQ(vm_pause(g.vm), 0);
	CHECK_EQ(GET(&g, RIP), CODE);
	CHECK_EQ(vm_vcpu_hold(g.vcpu, false), 0);
	CHECK_EQ(vm_resume(g.vm), 0);
	pthread_join(r.thread, NULL);
	CHECK_EQ(r.ex.code, VM_EXIT_IO);
	vm_close(g.vm);
}

TEST(what_is_refused)
{
	struct vm_debug_point p[VM_DEBUG_MAX + 1] = { { VM_DEBUG_EXEC, CODE, 1 } };
	struct guest g;

	guest_open(&g, loop, loop_end);
	mode64(&g, g.vcpu);
	CHECK_EQ(vm_debug_set(g.vm, p, 1), -1);		/* not started */
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_start(g.vm), 0);
	CHECK_EQ(vm_debug_set(g.vm, p, 1), -1);		/* not paused */
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(vm_pause(g.vm), 0);
	CHECK_EQ(vm_debug_set(g.vm, p, VM_DEBUG_MAX + 1), -1);
	CHECK_EQ(errno, ENOSPC);
	p[0] = (struct vm_debug_point){ VM_DEBUG_WRITE, UINT64_MAX, 2 };
	CHECK_EQ(vm_debug_set(g.vm, p, 1), -1);
	CHECK_EQ(errno, EINVAL);
	p[0] = (struct vm_debug_point){ VM_DEBUG_WRITE, 0, 0 };
	CHECK_EQ(vm_debug_set(g.vm, p, 1), -1);
	p[0] = (struct vm_debug_point){ (enum vm_debug_kind)9, 0, 1 };
	CHECK_EQ(vm_debug_set(g.vm, p, 1), -1);
	CHECK_EQ(vm_debug_set(NULL, p, 0), -1);
	CHECK_EQ(vm_vcpu_hold(NULL, true), -1);
	vm_close(g.vm);
}

TEST(fields_of_the_state)
{
	uint8_t xmm[16], out[16];
	uint32_t mxcsr = 0x1f80, bad = 0x10000;
	struct guest g;

	guest_open(&g, loop, loop_end);
	for (unsigned i = 0; i < sizeof(xmm); i++)
		xmm[i] = (uint8_t)(i + 1);
	CHECKF(vm_vcpu_field_set(g.vcpu, "fxsave", 160 + 16 * 3, xmm, sizeof(xmm)) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_vcpu_field_get(g.vcpu, "fxsave", 160 + 16 * 3, out, sizeof(out)), 0);
	CHECK_EQ(memcmp(xmm, out, sizeof(xmm)), 0);
	/* An MXCSR that no processor takes changes nothing. */
	CHECK_EQ(vm_vcpu_field_set(g.vcpu, "fxsave", 24, &mxcsr, 4), 0);
	CHECK_EQ(vm_vcpu_field_set(g.vcpu, "fxsave", 24, &bad, 4), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_vcpu_field_get(g.vcpu, "fxsave", 24, &bad, 4), 0);
	CHECK_EQ(bad, mxcsr);
	CHECK_EQ(vm_vcpu_field_get(g.vcpu, "fxsave", 500, out, 13), -1);
	CHECK_EQ(vm_vcpu_field_get(g.vcpu, "fxsave", SIZE_MAX, out, 2), -1);
	CHECK_EQ(vm_vcpu_field_get(g.vcpu, "v", 0, out, 1), -1);
	vm_close(g.vm);
}

TEST_MAIN()

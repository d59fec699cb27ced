/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.c - the VM's clock and timers.
 *
 * With the host's time only what must hold on a machine of any load is checked: nothing fires
 * early, everything fires in the end, and nothing while the VM is paused.  With virtual time
 * everything is exact.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>

#include "test.h"

TEST_MAIN()

#define	NSEC		1000000000ULL
#define	MSEC		1000000ULL
#define	OK(call)	CHECKF((call) == 0, "%s: %s", #call, vm_errmsg())

static struct vmctx *
make(enum vm_clock_source clock, uint32_t insn_ns)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT, .clock = clock, .insn_ns = insn_ns };
	struct vmctx *ctx = vm_new(&spec);

	CHECKF(ctx != NULL, "%s", vm_errmsg());
	OK(vm_setup_memory(ctx, 1 << 20, VM_MMAP_ALL));
	CHECK(vm_vcpu_open(ctx, 0) != NULL);
	return (ctx);
}

static struct vmctx *
started(void)
{
	struct vmctx *ctx = make(VM_CLOCK_HOST, 0);

	OK(vm_start(ctx));
	return (ctx);
}

/* A timer that counts its firings and what the count was. */
struct probe {
	struct vmctx	*ctx;
	struct vm_timer	*timer;
	_Atomic unsigned fired;
	_Atomic uint64_t count, now;
	uint64_t	 again;		/* arm this much later, while more > 0 */
	unsigned	 more;
	bool		 close;		/* close itself */
	struct vcpu	*kick;
	unsigned	*order;		/* where to note the turn */
	unsigned	 turn;
};

static _Atomic unsigned turns;

static void
fire(void *arg)
{
	struct probe *p = arg;

	p->count = vm_timer_count(p->timer);
	p->now = vm_clock_now(p->ctx);
	p->turn = atomic_fetch_add(&turns, 1);
	if (p->more > 0) {
		p->more--;
		CHECK_EQ(vm_timer_arm(p->timer, p->count + p->again), 0);
	}
	if (p->close)
		vm_timer_close(p->timer);
	if (p->kick != NULL)
		CHECK_EQ(vm_vcpu_kick(p->kick), 0);
	atomic_fetch_add(&p->fired, 1);
}

static void
probe_open(struct probe *p, struct vmctx *ctx, uint64_t hz)
{
	memset(p, 0, sizeof(*p));
	p->ctx = ctx;
	p->timer = vm_timer_open(ctx, hz, fire, p);
	CHECKF(p->timer != NULL, "%s", vm_errmsg());
}

static void
wait_fired(struct probe *p, unsigned n)
{
	while (atomic_load(&p->fired) < n)
		usleep(500);
}

/* SECTION: the clock */

TEST(stands_before_the_start_and_while_paused)
{
	struct vmctx *ctx = make(VM_CLOCK_HOST, 0);
	uint64_t a, b;

	CHECK_EQ(vm_clock_now(ctx), 0);
	usleep(2000);
	CHECK_EQ(vm_clock_now(ctx), 0);
	OK(vm_start(ctx));
	while (vm_clock_now(ctx) < 2 * MSEC)
		usleep(500);
	OK(vm_pause(ctx));
	a = vm_clock_now(ctx);
	usleep(5000);
	CHECK_EQ(vm_clock_now(ctx), a);
	OK(vm_pause(ctx));
	OK(vm_resume(ctx));
	usleep(2000);
	CHECK_EQ(vm_clock_now(ctx), a);		/* pauses nest */
	OK(vm_resume(ctx));
	while ((b = vm_clock_now(ctx)) == a)
		;
	CHECK(b > a);
	vm_close(ctx);
}

TEST(never_runs_backwards)
{
	struct vmctx *ctx = started();
	uint64_t last = 0, now;

	for (int i = 0; i < 20000; i++) {
		if (i % 1000 == 999) {
			OK(vm_pause(ctx));
			OK(vm_resume(ctx));
		}
		now = vm_clock_now(ctx);
		CHECK(now >= last);
		last = now;
	}
	vm_close(ctx);
}

TEST(keeps_up_with_the_host)
{
	struct vmctx *ctx = started();
	struct timespec t0, t1;
	uint64_t a, b, host;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	a = vm_clock_now(ctx);
	usleep(50000);
	b = vm_clock_now(ctx);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	host = (uint64_t)(t1.tv_sec - t0.tv_sec) * NSEC + (uint64_t)t1.tv_nsec - (uint64_t)t0.tv_nsec;
	CHECK(b - a >= 50 * MSEC);
	CHECK(b - a <= host);
	vm_close(ctx);
}

TEST(can_be_set)
{
	struct vmctx *ctx = make(VM_CLOCK_HOST, 0);
	struct probe p;

	OK(vm_clock_set(ctx, 5 * NSEC));
	CHECK_EQ(vm_clock_now(ctx), 5 * NSEC);
	/* a timer's count is of that clock */
	probe_open(&p, ctx, 1000);
	CHECK_EQ(vm_timer_count(p.timer), 5000);
	/* an armed one keeps its count, so that it is due at once when the clock jumps past it */
	OK(vm_timer_arm(p.timer, 5000 + 3600 * 1000));
	OK(vm_start(ctx));
	OK(vm_pause(ctx));
	OK(vm_clock_set(ctx, 2 * 3600 * NSEC));
	CHECK_EQ(p.fired, 0);
	OK(vm_resume(ctx));
	wait_fired(&p, 1);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(counter_frequency)
{
	struct vmctx *ctx = make(VM_CLOCK_HOST, 0);

	CHECK(vm_get_counter_freq(ctx) >= 1000000);
	OK(vm_set_counter_freq(ctx, 1000000));
	CHECK_EQ(vm_get_counter_freq(ctx), 1000000);
	OK(vm_set_counter_freq(ctx, 10 * NSEC));
	CHECK_EQ(vm_get_counter_freq(ctx), 10 * NSEC);
	vm_close(ctx);
}

/* SECTION: timers on the host's time */

TEST(fires_once_and_not_early)
{
	static const uint64_t freqs[] = { 1, 7, 1000, 32768, 1193182, 3579545, 62500000, 1000000007, 10000000000ULL };
	struct vmctx *ctx = started();
	struct probe p[9];
	uint64_t deadline[9];

	for (int i = 0; i < 9; i++) {
		probe_open(&p[i], ctx, freqs[i]);
		deadline[i] = vm_timer_count(p[i].timer) + freqs[i] / 50 + 1;
		CHECK(!vm_timer_armed(p[i].timer, NULL));
		if (freqs[i] == 1)
			continue;		/* its tick is a second */
		OK(vm_timer_arm(p[i].timer, deadline[i]));
	}
	for (int i = 1; i < 9; i++) {
		wait_fired(&p[i], 1);
		CHECKF(p[i].count >= deadline[i], "%llu Hz: fired at %llu, before %llu", (unsigned long long)freqs[i],
		    (unsigned long long)p[i].count, (unsigned long long)deadline[i]);
		CHECK(!vm_timer_armed(p[i].timer, NULL));
	}
	usleep(30000);
	for (int i = 0; i < 9; i++) {
		CHECK_EQ(p[i].fired, i == 0 ? 0 : 1);
		vm_timer_close(p[i].timer);
	}
	vm_close(ctx);
}

TEST(a_past_deadline_fires_at_once)
{
	struct vmctx *ctx = started();
	struct probe p;

	probe_open(&p, ctx, 1000000);
	OK(vm_timer_set_count(p.timer, 1000));
	OK(vm_timer_arm(p.timer, 1000));
	wait_fired(&p, 1);
	OK(vm_timer_arm(p.timer, 0));
	wait_fired(&p, 2);
	/* up to half of the number circle behind */
	OK(vm_timer_arm(p.timer, vm_timer_count(p.timer) - (1ULL << 62)));
	wait_fired(&p, 3);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(disarm_and_rearm)
{
	struct vmctx *ctx = started();
	struct probe p;
	uint64_t at, deadline = 0;

	probe_open(&p, ctx, NSEC);
	at = vm_timer_count(p.timer) + 3600 * NSEC;
	OK(vm_timer_arm(p.timer, at));
	CHECK(vm_timer_armed(p.timer, &deadline));
	CHECK_EQ(deadline, at);
	OK(vm_timer_disarm(p.timer));
	CHECK(!vm_timer_armed(p.timer, NULL));
	OK(vm_timer_disarm(p.timer));
	/* the later arm counts: both ways */
	OK(vm_timer_arm(p.timer, at));
	OK(vm_timer_arm(p.timer, vm_timer_count(p.timer) + MSEC));
	wait_fired(&p, 1);
	OK(vm_timer_arm(p.timer, vm_timer_count(p.timer) + 3600 * NSEC));
	OK(vm_timer_disarm(p.timer));
	usleep(5000);
	CHECK_EQ(p.fired, 1);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(a_changed_count_moves_the_deadline_in_time)
{
	struct vmctx *ctx = started();
	struct probe p;

	probe_open(&p, ctx, 1000000);
	OK(vm_timer_set_count(p.timer, 0));
	OK(vm_timer_arm(p.timer, 3600ULL * 1000000));
	usleep(2000);
	CHECK_EQ(p.fired, 0);
	OK(vm_timer_set_count(p.timer, 3600ULL * 1000000 - 10));
	wait_fired(&p, 1);
	CHECK(p.count >= 3600ULL * 1000000);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(counts_wrap)
{
	struct vmctx *ctx = started();
	struct probe p;

	probe_open(&p, ctx, NSEC);
	OK(vm_timer_set_count(p.timer, UINT64_MAX - MSEC));
	OK(vm_timer_arm(p.timer, 5));
	wait_fired(&p, 1);
	CHECK(p.count >= 5 && p.count < 3600 * NSEC);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(a_timer_may_arm_itself)
{
	struct vmctx *ctx = started();
	struct probe p;

	probe_open(&p, ctx, 1000000);
	p.more = 49;
	p.again = 200;
	OK(vm_timer_arm(p.timer, vm_timer_count(p.timer) + 200));
	wait_fired(&p, 50);
	usleep(2000);
	CHECK_EQ(p.fired, 50);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(a_timer_may_close_itself)
{
	struct vmctx *ctx = started();
	struct probe p;

	probe_open(&p, ctx, 1000000);
	p.close = true;
	OK(vm_timer_arm(p.timer, 0));
	wait_fired(&p, 1);
	vm_close(ctx);
}

TEST(nothing_fires_while_paused)
{
	struct vmctx *ctx = started();
	struct probe p;
	uint64_t deadline;

	probe_open(&p, ctx, NSEC);
	deadline = vm_timer_count(p.timer) + 20 * MSEC;
	OK(vm_timer_arm(p.timer, deadline));
	OK(vm_pause(ctx));
	usleep(40000);
	CHECK_EQ(p.fired, 0);
	CHECK(vm_timer_count(p.timer) < deadline);
	CHECK(vm_timer_armed(p.timer, NULL));
	/* a deadline that has passed waits too */
	OK(vm_timer_arm(p.timer, vm_timer_count(p.timer) - 1));
	usleep(5000);
	CHECK_EQ(p.fired, 0);
	OK(vm_resume(ctx));
	wait_fired(&p, 1);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(deadlines_are_met_in_order)
{
	enum { N = 40 };
	struct vmctx *ctx = started();
	struct probe p[N];

	OK(vm_pause(ctx));
	for (int i = 0; i < N; i++) {
		probe_open(&p[i], ctx, 1000000);
		OK(vm_timer_arm(p[i].timer, vm_timer_count(p[i].timer) + 1000 + 100 * (uint64_t)((i * 7) % N)));
	}
	atomic_store(&turns, 0);
	OK(vm_resume(ctx));
	for (int i = 0; i < N; i++)
		wait_fired(&p[i], 1);
	for (int i = 0; i < N; i++) {
		CHECK_EQ(p[i].turn, (unsigned)(i * 7) % N);
		vm_timer_close(p[i].timer);
	}
	vm_close(ctx);
}

static void *
arm_a_lot(void *arg)
{
	struct probe *p = arg;

	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(vm_timer_arm(p->timer, vm_timer_count(p->timer) + (uint64_t)(i % 50)), 0);
		if (i % 3 == 0)
			CHECK_EQ(vm_timer_disarm(p->timer), 0);
		(void)vm_timer_armed(p->timer, NULL);
	}
	CHECK_EQ(vm_timer_arm(p->timer, 0), 0);
	return (NULL);
}

TEST(several_threads)
{
	struct vmctx *ctx = started();
	struct probe p[4];
	pthread_t threads[4];
	unsigned before;

	for (int i = 0; i < 4; i++)
		probe_open(&p[i], ctx, 1000000);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, arm_a_lot, &p[i]), 0);
	for (int i = 0; i < 10; i++) {
		OK(vm_pause(ctx));
		before = p[0].fired + p[1].fired + p[2].fired + p[3].fired;
		usleep(200);
		CHECK_EQ(p[0].fired + p[1].fired + p[2].fired + p[3].fired, before);
		OK(vm_resume(ctx));
	}
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
		wait_fired(&p[i], 1);
		vm_timer_close(p[i].timer);
	}
	vm_close(ctx);
}

/* SECTION: virtual time */

/* xor ecx, ecx; again: inc ecx; jmp again.  After n instructions ecx is n / 2. */
static const uint8_t spin[] = { 0x31, 0xc9, 0x41, 0xeb, 0xfd };

static struct vcpu *
load(struct vmctx *ctx, const void *code, size_t len)
{
	struct vcpu *vcpu = vm_vcpu_open(ctx, 0);

	CHECK(vcpu != NULL);
	OK(vm_gpa_write(ctx, 0x1000, code, len));
	OK(vm_setup_freebsd_registers_i386(vcpu, 0x1000, 0x800, 0x2000));
	return (vcpu);
}

TEST(icount_fires_at_the_exact_instruction)
{
	uint64_t rcx[3], now[3];

	for (int run = 0; run < 3; run++) {
		struct vmctx *ctx = make(VM_CLOCK_ICOUNT, 0);
		struct vcpu *vcpu = load(ctx, spin, sizeof(spin));
		struct vm_exit exit;
		struct probe p;

		probe_open(&p, ctx, NSEC);
		p.kick = vcpu;
		OK(vm_timer_arm(p.timer, 100001));
		CHECK_EQ(vm_clock_now(ctx), 0);
		OK(vm_run(vcpu, &exit));
		CHECK_EQ(exit.code, VM_EXIT_KICKED);
		CHECK_EQ(p.fired, 1);
		CHECK_EQ(p.count, 100001);
		CHECK_EQ(p.now, 100001);
		OK(vm_get_register(vcpu, VM_AMD64_REG_RCX, &rcx[run]));
		now[run] = vm_clock_now(ctx);
		CHECK_EQ(rcx[run], 100001 / 2);
		CHECK_EQ(rcx[run], rcx[0]);
		CHECK_EQ(now[run], now[0]);
		/* time stands when nothing is executed */
		usleep(1000);
		CHECK_EQ(vm_clock_now(ctx), now[run]);
		vm_timer_close(p.timer);
		vm_close(ctx);
	}
}

TEST(icount_instructions_may_take_longer)
{
	struct vmctx *ctx = make(VM_CLOCK_ICOUNT, 10);
	struct vcpu *vcpu = load(ctx, spin, sizeof(spin));
	struct vm_exit exit;
	struct probe p;
	uint64_t rcx;

	probe_open(&p, ctx, NSEC / 1000);
	p.kick = vcpu;
	OK(vm_timer_arm(p.timer, 200));			/* 200 us: 20000 instructions of 10 ns */
	OK(vm_run(vcpu, &exit));
	CHECK_EQ(exit.code, VM_EXIT_KICKED);
	CHECK_EQ(p.now, 200000);
	OK(vm_get_register(vcpu, VM_AMD64_REG_RCX, &rcx));
	CHECK_EQ(rcx, 10000);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(icount_jumps_over_idle_time)
{
	/* mov ecx, 5; hlt; jmp back to the hlt */
	static const uint8_t idle[] = { 0xb9, 5, 0, 0, 0, 0xf4, 0xeb, 0xfd };
	struct vmctx *ctx = make(VM_CLOCK_ICOUNT, 0);
	struct vcpu *vcpu = load(ctx, idle, sizeof(idle));
	struct timespec t0, t1;
	struct vm_exit exit;
	struct probe p;

	probe_open(&p, ctx, 1);
	p.kick = vcpu;
	OK(vm_timer_arm(p.timer, 24 * 3600));
	clock_gettime(CLOCK_MONOTONIC, &t0);
	OK(vm_run(vcpu, &exit));
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK_EQ(exit.code, VM_EXIT_KICKED);
	CHECK_EQ(p.count, 24 * 3600);
	CHECK_EQ(p.now, 24 * 3600 * NSEC);
	CHECK(t1.tv_sec - t0.tv_sec < 3600);
	vm_timer_close(p.timer);
	vm_close(ctx);
}

TEST(icount_periodic_timers_keep_their_grid)
{
	struct vmctx *ctx = make(VM_CLOCK_ICOUNT, 0);
	struct vcpu *vcpu = load(ctx, spin, sizeof(spin));
	struct vm_exit exit;
	struct probe p, end;

	probe_open(&p, ctx, NSEC);
	probe_open(&end, ctx, NSEC);
	p.more = 1000;
	p.again = 997;
	end.kick = vcpu;
	OK(vm_timer_arm(p.timer, 997));
	OK(vm_timer_arm(end.timer, 500 * 997));
	OK(vm_run(vcpu, &exit));
	CHECK_EQ(exit.code, VM_EXIT_KICKED);
	CHECK_EQ(p.fired, 500);
	CHECK_EQ(p.count, 500 * 997);
	vm_timer_close(p.timer);
	vm_timer_close(end.timer);
	vm_close(ctx);
}

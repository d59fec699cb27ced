/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anywhere.c - a VM is saved at any instruction and taken up by a fresh one, which goes on to the same memory, registers and
 * time; and two runs with one seed are the same, instruction for instruction (payload anywhere.S, virtual time).
 */
#include "amd64/amd64.h"
#include "harness.h"

#define	NCPU	2

/* A stop at an exact instruction. */
struct stop {
	struct vmctx	*ctx;
	sem_t		 happened;	/* posted at the stop, and by each vCPU that ends */
};

struct end {
	struct amd64_state state[NCPU];
	uint64_t	clock;
	uint64_t	insns;		/* of all, if the VM was never moved */
	uint8_t		*ram;
};

static struct h_vm *
start(const struct h_target *t, uint64_t seed)
{
	const struct h_opts o = { .ncpu = NCPU, .clock = VM_CLOCK_ICOUNT, .seed = seed };
	struct h_vm *h = h_open(t, "anywhere", &o);

	h_param(h, 0, 3000);
	h_param(h, 2, NCPU);
	return (h);
}

static struct end *
finish(struct h_vm *h)
{
	struct end *e = calloc(1, sizeof(*e));
	const void *ram;
	const uint64_t *stats;
	int n;

	CHECK(e != NULL && (e->ram = malloc(H_RAM)) != NULL);
	for (int i = 0; i < NCPU; i++) {
		uint64_t val;

		/* A look at a register brings the page up to date. */
		OK(vm_get_register(h->cpu[i].vcpu, VM_AMD64_REG_TSC, &val));
		memcpy(&e->state[i], h->cpu[i].vcpu->state, sizeof(e->state[i]));
		PTR(stats = vm_get_stats(h->cpu[i].vcpu, &n));
		e->insns += stats[VM_STAT_INSNS];
	}
	e->clock = vm_clock_now(h->ctx);
	PTR(ram = vm_map_read(h->ctx, 0, H_RAM));
	memcpy(e->ram, ram, H_RAM);
	h_close(h);
	return (e);
}

static void
end_free(struct end *e)
{
	free(e->ram);
	free(e);
}

static void
same(const struct end *a, const struct end *b)
{
	for (unsigned i = 0; i < NCPU; i++) {
		for (unsigned r = 0; r < 16; r++)
			CHECKF(a->state[i].gpr[r] == b->state[i].gpr[r], "vcpu %u: register %u is %#llx and %#llx", i, r,
			    (unsigned long long)a->state[i].gpr[r], (unsigned long long)b->state[i].gpr[r]);
		CHECK_EQ(a->state[i].rip, b->state[i].rip);
		CHECK_EQ(a->state[i].rflags, b->state[i].rflags);
		CHECK_EQ(a->state[i].tsc, b->state[i].tsc);
		CHECK(memcmp(&a->state[i], &b->state[i], sizeof(a->state[i])) == 0);
	}
	for (size_t off = 0; off < H_RAM; off += 8)
		CHECKF(memcmp(a->ram + off, b->ram + off, 8) == 0, "memory differs at %#zx", off);
	CHECK_EQ(a->clock, b->clock);
}

static bool
all_finished(const struct h_vm *h)
{
	for (int i = 0; i < NCPU; i++) {
		if (!atomic_load(&h->cpu[i].finished))
			return (false);
	}
	return (true);
}

/*
 * Run a vCPU until all have finished, or the VM is ended.  One that has finished stays inside vm_run(),
 * halted, since the others' turns depend on it.
 */
static void *
cpu_thread(void *arg)
{
	struct h_cpu *cpu = arg;
	struct h_vm *h = cpu->h;
	struct stop *stop = h->arg;

	for (;;) {
		OK(vm_run(cpu->vcpu, &cpu->exit));
		if (cpu->exit.code == VM_EXIT_SUSPENDED) {
			if (stop != NULL)
				sem_post(&stop->happened);
			return (NULL);
		}
		CHECK_EQ(cpu->exit.code, VM_EXIT_IO);
		if (!h_is_exit_byte(h->a, &cpu->exit))
			continue;
		atomic_store(&cpu->finished, true);
		if (all_finished(h))
			OK(vm_suspend(h->ctx, VM_SUSPEND_POWEROFF));
	}
}

static void
start_all(struct h_vm *h)
{
	OK(vm_start(h->ctx));
	for (int i = 0; i < NCPU; i++)
		CHECK_EQ(pthread_create(&h->cpu[i].thread, NULL, cpu_thread, &h->cpu[i]), 0);
}

static void
join_all(struct h_vm *h)
{
	for (int i = 0; i < NCPU; i++)
		CHECK_EQ(pthread_join(h->cpu[i].thread, NULL), 0);
}

static struct end *
whole(const struct h_target *t, uint64_t seed)
{
	struct h_vm *h = start(t, seed);

	start_all(h);
	join_all(h);
	CHECKF(h_result(h, 4) > 10, "%llu", (unsigned long long)h_result(h, 4));
	CHECK(h_result(h, 5) > 10);
	return (finish(h));
}

/* Move the VM into a fresh one. */
static struct h_vm *
move(struct h_vm *h, const struct h_target *t)
{
	struct h_vm *n = start(t, 0);		/* the stream brings the schedule */
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data, *from;
	void *to;
	size_t len;

	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	PTR(from = vm_map_read(h->ctx, 0, H_RAM));
	PTR(to = vm_map_gpa(n->ctx, 0, H_RAM));
	memcpy(to, from, H_RAM);
	PTR(in = vm_state_in_open(data, len));
	OK(vm_state_load(n->ctx, in));
	OK(vm_state_in_done(in));
	vm_state_in_close(in);
	vm_state_out_close(out);
	for (int i = 0; i < NCPU; i++)
		atomic_store(&n->cpu[i].finished, atomic_load(&h->cpu[i].finished));
	return (n);
}

/*
 * The instruction is there: have the VM paused before the next one.  On the thread of the vCPU whose turn it is; vm_pause() is
 * under way on the main thread when it is noted in the VM.
 */
static void
reached(void *arg)
{
	struct stop *stop = arg;

	sem_post(&stop->happened);
	while (atomic_load(&stop->ctx->paused) == 0)
		h_nap();
}

/* Run for so many instructions and pause; false if the guest ended before. */
static bool
run_for(struct h_vm *h, uint64_t insns)
{
	struct stop stop = { .ctx = h->ctx };
	struct vm_timer *timer;

	CHECK_EQ(sem_init(&stop.happened, 0, 0), 0);
	h->arg = &stop;
	PTR(timer = vm_timer_open(h->ctx, 1000000000, reached, &stop));
	OK(vm_timer_arm(timer, vm_timer_count(timer) + insns));
	start_all(h);
	h_wait(&stop.happened, "the stop");
	OK(vm_pause(h->ctx));
	vm_timer_close(timer);
	if (!all_finished(h))
		return (true);
	OK(vm_resume(h->ctx));
	join_all(h);
	h->arg = NULL;
	return (false);
}

/* End a VM that was paused and moved. */
static void
drop(struct h_vm *h)
{
	OK(vm_suspend(h->ctx, VM_SUSPEND_POWEROFF));
	OK(vm_resume(h->ctx));
	join_all(h);
	h_close(h);
}

/* Saved and taken up again `stops' times at odd places. */
static struct end *
moved(const struct h_target *t, uint64_t seed, uint64_t step, unsigned stops)
{
	struct h_vm *h = start(t, seed), *n;
	uint64_t draw = seed * 0x9e3779b97f4a7c15ULL + step;

	for (unsigned i = 0; i < stops; i++) {
		draw = draw * 6364136223846793005ULL + 1442695040888963407ULL;
		if (!run_for(h, 1 + (draw >> 33) % step))
			return (finish(h));
		n = move(h, t);
		drop(h);
		h = n;
	}
	start_all(h);
	join_all(h);
	return (finish(h));
}

H_TEST(same_seed, 0x1)
{
	struct end *a, *b;

	h_need(t);
	for (uint64_t seed = 1; seed < 1 + 3 * (uint64_t)test_long(5); seed++) {
		a = whole(t, seed);
		b = whole(t, seed);
		same(a, b);
		CHECK_EQ(a->insns, b->insns);
		end_free(a);
		end_free(b);
	}
}

H_TEST(saved_anywhere, 0x1)
{
	struct end *a, *b;

	h_need(t);
	for (uint64_t seed = 1; seed < 1 + 2 * (uint64_t)test_long(5); seed++) {
		a = whole(t, seed);
		/* A few stops far apart, and many that are close. */
		b = moved(t, seed, 200000, 12);
		same(a, b);
		end_free(b);
		b = moved(t, seed, 300, 60 * (unsigned)test_long(5));
		same(a, b);
		end_free(b);
		b = moved(t, seed, 3, 100 * (unsigned)test_long(5));
		same(a, b);
		end_free(b);
		end_free(a);
	}
}

TEST_MAIN()

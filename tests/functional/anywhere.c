/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anywhere.c - a VM is saved at any instruction and taken up by a fresh one, which goes on to the same memory, registers and
 * time; and two runs with one seed are the same, instruction for instruction (payload anywhere.S, virtual time).
 */
#include "../../lib/vmmapi/internal.h"
#include "harness.h"

#define	NCPU	2
#define	ITS	0x08080000UL
#define	LPI	8192U			/* the first */
#define	ICC_HPPIR1_EL1	(3UL << 14 | 12UL << 7 | 12UL << 3 | 2)	/* numbered as struct intc_ops says */

/* What is run: a payload's target, with or without an ITS. */
struct machine {
	const char	*name;
	const struct h_target *t;
	bool		 its;
	unsigned	 counts[9];		/* results that count interrupts; 0 ends */
};

static const struct machine machines[] = {
	{ "soft-amd64", &h_targets[0], false, { 4, 5 } },
	{ "soft-arm64", &h_targets[1], false, { 4, 5, 8, 9 } },
	{ "soft-arm64-its", &h_targets[1], true, { 4, 5, 8, 9, 12, 13 } },
};

/* What is dirty of the VM that is moved, and which pages it and those before it wrote: all that differs from a fresh one. */
static struct vm_dirty *dirty;
static uint64_t written[H_RAM / VM_PAGE_SIZE / 64];

/* How often a VM was moved with an interrupt pending, and with an LPI. */
static unsigned npending, nlpis;

/* A stop at an exact instruction. */
struct stop {
	struct vmctx	*ctx;
	sem_t		 happened;	/* posted at the stop, and by each vCPU that ends */
};

struct end {
	uint8_t		*state[NCPU];	/* the declared fields of the pages, as a stream has them */
	size_t		state_size;
	uint64_t	clock;
	uint64_t	insns;		/* of all, if the VM was never moved */
	uint8_t		*ram;
};

static struct h_vm *
start(const struct machine *m, uint64_t seed)
{
	const struct h_opts o = { .ncpu = NCPU, .clock = VM_CLOCK_ICOUNT, .seed = seed };
	struct h_vm *h = h_open(m->t, "anywhere", &o);

	h_param(h, 0, 3000);
	h_param(h, 1, 97);
	h_param(h, 2, NCPU);
	h_param(h, 3, m->its);
	if (m->its)
		OK(vm_attach_its(h->ctx, ITS));
	return (h);
}

/* A copy of a vCPU's declared state: a page has gaps too, and those are nobody's. */
static uint8_t *
declared(struct h_vm *h, int i, size_t *len)
{
	struct vm_state_out *out;
	const void *data;
	uint8_t *copy;

	PTR(out = vm_state_out_open());
	OK(vm_state_put(out, h->ctx->md->vcpu_state, "", h->cpu[i].vcpu->state));
	PTR(data = vm_state_out_data(out, len));
	PTR(copy = malloc(*len));
	memcpy(copy, data, *len);
	vm_state_out_close(out);
	return (copy);
}

static struct end *
finish(struct h_vm *h)
{
	struct end *e = calloc(1, sizeof(*e));
	struct vm_state_out *out;
	const void *ram;
	const uint64_t *stats;
	int n;

	CHECK(e != NULL && (e->ram = malloc(H_RAM)) != NULL);
	for (int i = 0; i < NCPU; i++) {
		uint64_t val;

		/* A look at a register brings the page up to date. */
		OK(vm_get_register(h->cpu[i].vcpu, h->a->pc, &val));
		e->state[i] = declared(h, i, &e->state_size);
		PTR(stats = vm_get_stats(h->cpu[i].vcpu, &n));
		e->insns += stats[VM_STAT_INSNS];
	}
	/* A save writes into guest memory what the ITS keeps there. */
	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	vm_state_out_close(out);
	e->clock = vm_clock_now(h->ctx);
	PTR(ram = vm_map_read(h->ctx, h->a->ram, H_RAM));
	memcpy(e->ram, ram, H_RAM);
	vm_dirty_close(dirty);
	dirty = NULL;
	h_close(h);
	return (e);
}

static void
end_free(struct end *e)
{
	for (int i = 0; i < NCPU; i++)
		free(e->state[i]);
	free(e->ram);
	free(e);
}

static void
same(const struct end *a, const struct end *b)
{
	CHECK_EQ(a->state_size, b->state_size);
	for (unsigned i = 0; i < NCPU; i++) {
		size_t off = 0;

		while (off < a->state_size && a->state[i][off] == b->state[i][off])
			off++;
		/* Strings of the stream before it say which field. */
		CHECKF(off == a->state_size, "vcpu %u: the state differs, at %#zx of its stream: %02x and %02x", i, off,
		    a->state[i][off], b->state[i][off]);
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
		CHECK_EQ(cpu->exit.code, h->a->exit.space == VM_SPACE_IO ? VM_EXIT_IO : VM_EXIT_MMIO);
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
whole(const struct machine *m, uint64_t seed)
{
	struct h_vm *h = start(m, seed);

	start_all(h);
	join_all(h);
	for (const unsigned *n = m->counts; *n != 0; n++)
		CHECKF(h_result(h, *n) > 10, "result %u is %llu", *n, (unsigned long long)h_result(h, *n));
	return (finish(h));
}

/* Is an interrupt on its way to a vCPU of the paused VM? */
static void
count_pending(struct h_vm *h)
{
	const struct intc_ops *ops = h->ctx->intc_ops;
	bool any = false, lpi = false;
	uint64_t intid = 0;

	for (int i = 0; i < NCPU; i++) {
		any |= ops->pending(h->cpu[i].vcpu);
		if (ops->sysreg != NULL && ops->sysreg(h->cpu[i].vcpu, ICC_HPPIR1_EL1, false, &intid))
			lpi |= intid >= LPI;
	}
	npending += any;
	nlpis += lpi;
}

/* Copy what was written, up to now, into the VM that takes over. */
static void
move_memory(struct h_vm *h, struct h_vm *n)
{
	uint64_t bits[H_RAM / VM_PAGE_SIZE / 64];
	const uint8_t *from;
	uint8_t *to;

	OK(vm_dirty_fetch(dirty, h->a->ram, H_RAM, bits));
	vm_dirty_close(dirty);
	PTR(dirty = vm_dirty_open(n->ctx));
	PTR(from = vm_map_read(h->ctx, h->a->ram, H_RAM));
	PTR(to = vm_map_gpa(n->ctx, h->a->ram, H_RAM));
	for (size_t i = 0; i < H_RAM / VM_PAGE_SIZE; i++) {
		written[i / 64] |= bits[i / 64] & 1ULL << i % 64;
		if ((written[i / 64] >> i % 64 & 1) != 0)
			memcpy(to + i * VM_PAGE_SIZE, from + i * VM_PAGE_SIZE, VM_PAGE_SIZE);
	}
}

/* Move the VM into a fresh one. */
static struct h_vm *
move(struct h_vm *h, const struct machine *m)
{
	struct h_vm *n = start(m, 0);		/* the stream brings the schedule */
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data;
	size_t len;

	count_pending(h);
	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	move_memory(h, n);
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
	static struct stop stop;	/* vCPUs post it when they are ended, later */
	struct vm_timer *timer;

	stop.ctx = h->ctx;
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
moved(const struct machine *m, uint64_t seed, uint64_t step, unsigned stops)
{
	struct h_vm *h = start(m, seed), *n;
	uint64_t draw = seed * 0x9e3779b97f4a7c15ULL + step;

	memset(written, 0, sizeof(written));
	PTR(dirty = vm_dirty_open(h->ctx));
	for (unsigned i = 0; i < stops; i++) {
		draw = draw * 6364136223846793005ULL + 1442695040888963407ULL;
		if (!run_for(h, 1 + (draw >> 33) % step))
			return (finish(h));
		n = move(h, m);
		drop(h);
		h = n;
	}
	start_all(h);
	join_all(h);
	return (finish(h));
}

static void
same_seed(const void *arg)
{
	const struct machine *m = arg;
	struct end *a, *b;

	h_need(m->t);
	for (uint64_t seed = 1; seed < 1 + 3 * (uint64_t)test_long(3); seed++) {
		a = whole(m, seed);
		b = whole(m, seed);
		same(a, b);
		CHECK_EQ(a->insns, b->insns);
		end_free(a);
		end_free(b);
	}
}

static void
saved_anywhere(const void *arg)
{
	/* A few stops far apart, and many that are close. */
	static const struct {
		uint64_t	step;
		unsigned	stops, longer;
	} ways[] = { { 200000, 12, 1 }, { 300, 30, 4 }, { 3, 40, 5 } };
	const struct machine *m = arg;
	struct end *a, *b;

	h_need(m->t);
	npending = nlpis = 0;
	for (uint64_t seed = 1; seed < 1 + 2 * (uint64_t)test_long(3); seed++) {
		a = whole(m, seed);
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			b = moved(m, seed, ways[i].step, ways[i].stops * (unsigned)test_long((int)ways[i].longer));
			same(a, b);
			end_free(b);
		}
		end_free(a);
	}
	printf("# moved with interrupts pending %u times, LPIs %u times\n", npending, nlpis);
	CHECK(npending > 0);
	CHECK(!m->its || nlpis > 0);
}

__attribute__((constructor)) static void
add_cases(void)
{
	static void (*const fns[])(const void *) = { same_seed, saved_anywhere };
	static const char *const names[] = { "same_seed", "saved_anywhere" };
	char *full;

	for (size_t f = 0; f < sizeof(fns) / sizeof(fns[0]); f++) {
		for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
			if (asprintf(&full, "%s/%s", names[f], machines[i].name) < 0)
				_exit(1);
			test_add_arg(full, fns[f], &machines[i]);
		}
	}
}

TEST_MAIN()

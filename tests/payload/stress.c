/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.c - processors that change page tables, address spaces and code under one another, and check everything they see.
 *
 * Pages have contents that tell which they are.  Each processor owns places in a window that all look through, functions that all
 * call, and address spaces that it alone uses.  An owner says what is there before and after each change by a sequence count: who finds the
 * count unchanged around an access knows what that access had to see.  Every processor has a word in each page that it alone adds to;
 * in the end there are as many additions as were made.  Timer and other processors' interrupts come at any time.
 *
 * PARAM(0): rounds, 0 until told to stop; PARAM(1): seed; PARAM(2): processors.
 * RESULT(0) on: what failed, on which processor, and three numbers.  RESULT(8 + n): rounds of processor n; 12: timer interrupts; 16: counted
 * interrupts; 20: changes of mappings, functions and spaces.
 */
#include "stress.h"

#define	NSLOTS		12U			/* in the window, of each processor */
#define	NSPARE		8U
#define	CODE_SLOT	(NCPU * NSLOTS)		/* all processors' functions, behind */
#define	NVALUES		16U
#define	NJUMPS		8U
#define	NSPACES		3U
#define	NOWN		12U			/* slots of an own leaf table */
#define	NFRAMES		(NCPU * (NSLOTS + NSPARE) + NCPU * NOWN_FRAMES)
#define	NOWN_FRAMES	(NSPACES * NOWN + 4)
#define	COUNTERS	(WORDS - NCPU)		/* word of a page where its counters begin */

/* What an owner says of a thing.  seq % 4: 0 it is so; 1 is being written; 2 is changing from old to now. */
struct said {
	_Atomic uint64_t seq, now, old;
};

/* now and old of a slot. */
#define	MAPPED(frame, gen, prot)	((uint64_t)(gen) << 32 | (uint64_t)(frame) << 8 | (prot))
#define	FRAME(m)			((unsigned)((m) >> 8 & 0xffffff))
#define	GEN(m)				((uint32_t)((m) >> 32))
#define	PROT(m)				((unsigned)((m) & 0xff))

struct space {
	uint64_t	*pages;			/* root, middle */
	uint64_t	*leaf[2];		/* one is in use */
	unsigned	 used;
	unsigned	 tag;
	bool		 stale;			/* to be forgotten when it is next used */
	uint64_t	 slot[NOWN];		/* MAPPED() */
};

struct cpu {
	uint64_t	 random, timer_random;
	uint64_t	 adds;			/* that were done */
	uint64_t	 changes;
	_Atomic uint64_t ticks, counted;
	unsigned	 spare[NSPARE], own_spare[NOWN_FRAMES], nown_spare;
	struct space	 space[NSPACES];
	unsigned	 current;
	bool		 global[NSLOTS], carries[NSLOTS];	/* what its entry is; its page was there before */
	uint64_t	 in[64], out[2][64];
};

static struct cpu cpus[NCPU];
static struct said slots[NCPU * NSLOTS], values[NCPU * NVALUES], jumps[NCPU * NJUMPS];
static uint32_t gens[NFRAMES];
static uint64_t found[NCPU];			/* additions seen in pages that came home; under found_lock */
static _Atomic uint32_t found_lock, sync_lock, sync_acks, ready, ended, final_word;
static _Atomic uint64_t sync_va, mailbox[NCPU], sent[NCPU];
_Atomic uint32_t stop_all;
static unsigned ncpu;

static uint64_t frames[NFRAMES][WORDS] __attribute__((aligned(4096)));
static uint64_t shared_leaf[LEAVES] __attribute__((aligned(4096)));
static uint64_t space_pages[NCPU][NSPACES][SPACE_PAGES][LEAVES] __attribute__((aligned(4096)));
static uint64_t own_leaves[NCPU][NSPACES][2][LEAVES] __attribute__((aligned(4096)));
static uint8_t code[NCPU][PAGE] __attribute__((aligned(4096)));

_Static_assert((NVALUES + NJUMPS) * CODE_STRIDE <= PAGE, "the functions of a processor are in a page");

/* Compilers may call these. */
void *
memset(void *p, int c, size_t n)
{
	for (volatile uint8_t *b = p; n > 0; n--)
		*b++ = (uint8_t)c;
	return (p);
}

void *
memcpy(void *to, const void *from, size_t n)
{
	volatile uint8_t *t = to;

	for (const uint8_t *f = from; n > 0; n--)
		*t++ = *f++;
	return (to);
}

static uint64_t
next(uint64_t *state)
{
	*state = *state * 6364136223846793005UL + 1442695040888963407UL;
	return (*state >> 33);
}

static unsigned
below(struct cpu *c, unsigned n)
{
	return ((unsigned)(next(&c->random) % n));
}

void
fail(enum failure what, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t was = 0;

	if (atomic_compare_exchange_strong(&stop_all, &was, 1)) {
		md_result(1, a);
		md_result(2, b);
		md_result(3, c);
		atomic_thread_fence(memory_order_seq_cst);
		md_result(0, what);
	}
}

/* Locks are waited for with interrupts on: the holder may wait for this processor's answer. */
static void
lock(_Atomic uint32_t *l)
{
	while (atomic_exchange(l, 1) != 0) {
		while (atomic_load(l) != 0 && atomic_load(&stop_all) == 0)
			md_pause();
		if (atomic_load(&stop_all) != 0)
			return;
	}
}

static void
unlock(_Atomic uint32_t *l)
{
	atomic_store(l, 0);
}

/* Contents */

static uint64_t
content(unsigned frame, uint32_t gen, unsigned word)
{
	uint64_t x = ((uint64_t)gen << 32 | frame << 10 | word) * 0x9e3779b97f4a7c15UL;

	return (x ^ x >> 29);
}

static void
fill(unsigned frame)
{
	for (unsigned w = 0; w < COUNTERS; w++)
		frames[frame][w] = content(frame, gens[frame], w);
}

/* Nobody can reach the page any more: take the additions, and see that nothing else changed.  Were there any? */
static bool
come_home(struct cpu *c, unsigned frame, bool all)
{
	bool any = false;
	unsigned w = below(c, COUNTERS);

	lock(&found_lock);
	for (unsigned n = 0; n < ncpu; n++) {
		any |= frames[frame][COUNTERS + n] != 0;
		found[n] += frames[frame][COUNTERS + n];
		frames[frame][COUNTERS + n] = 0;
	}
	unlock(&found_lock);
	for (unsigned n = 0; n < (all ? COUNTERS : 8); n++, w = (w + 1) % COUNTERS) {
		if (frames[frame][w] != content(frame, gens[frame], w))
			fail(F_FRAME, frame, frames[frame][w], content(frame, gens[frame], w));
	}
	return (any);
}

/* Saying and hearing */

static void
begin(struct said *s, uint64_t now)
{
	uint64_t seq = atomic_load(&s->seq);

	atomic_store(&s->seq, seq + 1);
	atomic_thread_fence(memory_order_seq_cst);
	atomic_store(&s->old, atomic_load(&s->now));
	atomic_store(&s->now, now);
	atomic_thread_fence(memory_order_seq_cst);
	atomic_store(&s->seq, seq + 2);
	atomic_thread_fence(memory_order_seq_cst);
}

static void
done(struct said *s)
{
	atomic_thread_fence(memory_order_seq_cst);
	atomic_store(&s->seq, atomic_load(&s->seq) + 2);
}

struct heard {
	uint64_t	seq, now, old;
};

static struct heard
hear(struct said *s)
{
	struct heard h;

	h.seq = atomic_load(&s->seq);
	h.now = atomic_load(&s->now);
	h.old = atomic_load(&s->old);
	atomic_thread_fence(memory_order_seq_cst);
	return (h);
}

/* What was heard held all the time: 1 the thing was so; 2 it was one or the other; 0 nobody knows. */
static unsigned
held(struct said *s, const struct heard *h)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&s->seq) != h->seq)
		return (0);
	return (h->seq % 4 == 0 ? 1 : h->seq % 4 == 2 ? 2 : 0);
}

/* Every processor has passed an interrupt, and forgot va if that is not 0. */
static void
sync(unsigned self, uint64_t va)
{
	lock(&sync_lock);
	atomic_store(&sync_va, va);
	atomic_store(&sync_acks, 0);
	for (unsigned n = 0; n < ncpu; n++) {
		if (n != self)
			md_ipi(n, IPI_SYNC);
	}
	if (va != 0)
		md_forget(va);
	while (atomic_load(&sync_acks) != ncpu - 1 && atomic_load(&stop_all) == 0)
		md_pause();
	unlock(&sync_lock);
}

void
on_ipi(unsigned cpu, unsigned which)
{
	uint64_t va;

	if (which == IPI_COUNT) {
		cpus[cpu].counted += atomic_exchange(&mailbox[cpu], 0);
		return;
	}
	va = atomic_load(&sync_va);
	if (va != 0)
		md_forget(va);
	md_sync();
	atomic_fetch_add(&sync_acks, 1);
}

void
on_timer(unsigned cpu)
{
	struct cpu *c = &cpus[cpu];

	atomic_store(&c->ticks, atomic_load(&c->ticks) + 1);
	md_timer(20000 + next(&c->timer_random) % 400000);
}

/* The window */

/* An access saw what a mapping says, or faulted by it. */
static bool
agrees(uint64_t m, bool add, unsigned word, bool faulted, uint64_t val)
{
	if (PROT(m) == P_NONE || (add && PROT(m) == P_READ))
		return (faulted);
	return (!faulted && (add || val == content(FRAME(m), GEN(m), word)));
}

static void
touch_shared(struct cpu *c, unsigned self, bool add)
{
	unsigned slot = below(c, ncpu * NSLOTS), word = add ? COUNTERS + self : below(c, COUNTERS);
	struct said *s = &slots[slot];
	struct heard h = hear(s);
	uint64_t va = SHARED_VA(slot) + word * 8, val = 0;
	bool faulted = add ? md_probe_add(va) : md_probe_read(va, &val);

	if (add && !faulted)
		c->adds++;
	switch (held(s, &h)) {
	case 1:
		if (agrees(h.now, add, word, faulted, val))
			return;
		break;
	case 2:
		if (faulted || agrees(h.now, add, word, false, val) || agrees(h.old, add, word, false, val))
			return;
		break;
	default:
		return;
	}
	if (faulted || PROT(h.now) == P_NONE || add)
		fail(add ? F_ADD_FAULTS : F_READ_FAULTS, slot, faulted, h.now);
	else
		fail(F_READ, slot, val, content(FRAME(h.now), GEN(h.now), word));
}

/* As touch_shared(), many words of a page, which is what loops over arrays look like. */
static void
sum_shared(struct cpu *c)
{
	unsigned slot = below(c, ncpu * NSLOTS);
	struct said *s = &slots[slot];
	struct heard h = hear(s);
	uint64_t got, sum = 0, want = 0;
	unsigned w = below(c, COUNTERS - 32);

	if (h.seq % 4 != 0 || PROT(h.now) == P_NONE)
		return;
	for (unsigned n = 0; n < 32; n++) {
		if (md_probe_read(SHARED_VA(slot) + (w + n) * 8, &got)) {
			if (held(s, &h) == 1)
				fail(F_READ_FAULTS, slot, 1, h.now);
			return;
		}
		sum = sum * 3 + got;
		want = want * 3 + content(FRAME(h.now), GEN(h.now), w + n);
	}
	if (held(s, &h) == 1 && sum != want)
		fail(F_READ, slot, sum, want);
}

static void
forget_shared(unsigned self, uint64_t va)
{
	if (!md_forget_everywhere(va))
		sync(self, va);
}

static void
map_shared(struct cpu *c, unsigned self)
{
	unsigned slot = self * NSLOTS + below(c, NSLOTS), n = below(c, NSPARE), prot = below(c, 4);
	struct said *s = &slots[slot];
	uint64_t was = atomic_load(&s->now), now, entry;
	_Atomic uint64_t *e = (_Atomic uint64_t *)&shared_leaf[slot];
	unsigned frame = FRAME(was);
	bool other = below(c, 3) != 0, global = below(c, 4) != 0, any;
	uint64_t forget = SHARED_VA(slot) | (c->global[slot % NSLOTS] ? 0 : FORGET_ALL_TAGS);

	if (prot == P_CODE)
		prot = P_WRITE;
	if (other) {
		frame = c->spare[n];
		if (below(c, 4) == 0) {
			gens[frame]++;
			fill(frame);
		}
	}
	now = MAPPED(frame, gens[frame], prot);
	begin(s, now);
	entry = prot == P_NONE ? 0 : md_leaf((uint64_t)frames[frame], prot, global);
	if (!md_replaces || below(c, 3) == 0) {
		was = atomic_exchange(e, 0);
		md_changed();
		forget_shared(self, forget);
		atomic_store(e, entry);
		md_changed();
	} else {
		was = atomic_exchange(e, entry);
		md_changed();
		forget_shared(self, forget);
	}
	if (other) {
		unsigned old = FRAME(atomic_load(&s->old));

		any = come_home(c, old, below(c, 64) == 0);
		/* Of a page whose protection only changed, an earlier entry may have it. */
		if (any && !md_is_dirty(was) && !c->carries[slot % NSLOTS])
			fail(F_DIRTY, slot, was, old);
		c->spare[n] = old;
	}
	c->carries[slot % NSLOTS] = !other;
	c->global[slot % NSLOTS] = global;
	c->changes++;
	done(s);
}

/* Code */

static uint64_t
function(unsigned owner, unsigned n)
{
	return ((uint64_t)code[owner] + n * CODE_STRIDE);
}

/* The same function by its place in the window. */
static uint64_t
alias(uint64_t addr)
{
	return (SHARED_VA(CODE_SLOT) + (addr - (uint64_t)code[0]));
}

static void
call_value(struct cpu *c)
{
	unsigned n = below(c, ncpu * NVALUES);
	uint64_t addr = function(n / NVALUES, n % NVALUES);
	struct heard h = hear(&values[n]);
	uint32_t got = md_call(below(c, 2) != 0 ? alias(addr) : addr);
	unsigned how = held(&values[n], &h);

	if ((how == 1 && got != h.now) || (how == 2 && got != h.now && got != h.old))
		fail(F_CODE, n, got, h.now);
}

static void
call_jump(struct cpu *c)
{
	unsigned n = below(c, ncpu * NJUMPS);
	uint64_t addr = function(n / NJUMPS, NVALUES + n % NJUMPS);
	struct heard h = hear(&jumps[n]), v;
	uint32_t got;

	if (h.seq % 4 != 0)
		return;
	v = hear(&values[h.now]);
	got = md_call(below(c, 2) != 0 ? alias(addr) : addr);
	if (held(&jumps[n], &h) == 1 && held(&values[h.now], &v) == 1 && got != v.now)
		fail(F_CODE, 0x10000 + n, got, v.now);
}

static void
patch_value(struct cpu *c, unsigned self)
{
	unsigned n = self * NVALUES + below(c, NVALUES);
	uint64_t addr = function(self, n % NVALUES);
	uint32_t val = below(c, 0x10000);

	begin(&values[n], val);
	md_code_return(addr, val, false);
	md_code_sync(addr);
	sync(self, 0);
	c->changes++;
	done(&values[n]);
}

static void
patch_jump(struct cpu *c, unsigned self)
{
	unsigned n = self * NJUMPS + below(c, NJUMPS), to = below(c, ncpu * NVALUES);
	uint64_t addr = function(self, NVALUES + n % NJUMPS);

	begin(&jumps[n], to);
	md_code_jump(addr, function(to / NVALUES, to % NVALUES), false);
	md_code_sync(addr);
	sync(self, 0);
	c->changes++;
	done(&jumps[n]);
}

/* Address spaces of one's own */

static void
touch_own(struct cpu *c, unsigned self, bool add)
{
	unsigned slot = below(c, NOWN), word = add ? COUNTERS + self : below(c, COUNTERS);
	uint64_t m = c->space[c->current].slot[slot], va = OWN_VA(slot) + word * 8, val = 0;
	bool faulted = add ? md_probe_add(va) : md_probe_read(va, &val);

	if (add && !faulted)
		c->adds++;
	if (agrees(m, add, word, faulted, val))
		return;
	if (faulted || PROT(m) == P_NONE || add)
		fail(F_OWN_FAULTS, slot | (uint64_t)add << 8 | c->current << 16, faulted, m);
	else
		fail(F_OWN_READ, slot | c->current << 16, val, content(FRAME(m), GEN(m), word));
}

static void
map_own(struct cpu *c)
{
	unsigned which = below(c, NSPACES), slot = below(c, NOWN), n = below(c, c->nown_spare), prot = below(c, 3);
	struct space *s = &c->space[which];
	unsigned frame = c->own_spare[n], old = FRAME(s->slot[slot]);
	uint64_t was, *e = &s->leaf[s->used][slot];
	uint64_t entry = prot == P_NONE ? 0 : md_leaf((uint64_t)frames[frame], prot, false);
	bool current = which == c->current;

	was = *(volatile uint64_t *)e;
	if (!md_replaces && was != 0) {
		*(volatile uint64_t *)e = 0;
		md_changed();
		if (!md_forget_own(s->tag, OWN_VA(slot), current))
			s->stale = true;
	}
	was |= atomic_exchange((_Atomic uint64_t *)e, entry);
	md_changed();
	if (md_replaces && !md_forget_own(s->tag, OWN_VA(slot), current))
		s->stale = true;
	if (come_home(c, old, below(c, 64) == 0) && !md_is_dirty(was) && PROT(s->slot[slot]) == P_WRITE)
		fail(F_DIRTY, 0x10000 + slot, was, old);
	c->own_spare[n] = old;
	s->slot[slot] = MAPPED(frame, gens[frame], prot);
	c->changes++;
}

static unsigned
swapped(unsigned slot)
{
	return (slot % 2 == 0 ? slot : (slot + 2) % NOWN);
}

/* The other leaf table, with other pages behind half of the slots. */
static void
swap_leaf(struct cpu *c)
{
	unsigned which = below(c, NSPACES);
	struct space *s = &c->space[which];
	uint64_t *from = s->leaf[s->used], *to = s->leaf[s->used ^ 1], was[NOWN];
	bool current = which == c->current;

	for (unsigned slot = 0; slot < NOWN; slot++)
		to[slot] = from[swapped(slot)];
	if (!md_replaces) {
		*(volatile uint64_t *)md_own_entry(s->pages) = 0;
		md_changed();
		if (!md_forget_tag(s->tag, current))
			s->stale = true;
	}
	*(volatile uint64_t *)md_own_entry(s->pages) = md_table((uint64_t)to);
	md_changed();
	if (!md_forget_tag(s->tag, current))
		s->stale = true;
	for (unsigned slot = 0; slot < NOWN; slot++)
		was[slot] = s->slot[slot];
	for (unsigned slot = 0; slot < NOWN; slot++)
		s->slot[slot] = was[swapped(slot)];
	s->used ^= 1;
	c->changes++;
}

static void
go_to(struct cpu *c, unsigned which)
{
	struct space *s = &c->space[which];
	bool keep = !s->stale && below(c, 4) != 0;

	md_switch(s->pages, s->tag, keep);
	s->stale = false;
	c->current = which;
	c->changes++;
}

/* The rest */

static void
count_someone(struct cpu *c, unsigned self)
{
	unsigned n = below(c, ncpu);

	if (n == self)
		return;
	atomic_fetch_add(&sent[n], 1);
	atomic_fetch_add(&mailbox[n], 1);
	md_ipi(n, IPI_COUNT);
}

static void
wait_for_tick(struct cpu *c)
{
	uint64_t was = atomic_load(&c->ticks);

	while (atomic_load(&c->ticks) == was && atomic_load(&stop_all) == 0)
		md_wait();
}

static void
work(struct cpu *c)
{
	uint64_t n = 1 + below(c, 60);

	for (unsigned i = 0; i < 64; i++)
		c->in[i] = next(&c->random) << 31 ^ next(&c->random);
	for (unsigned k = 0; k < 2; k++)
		md_work(c->in, c->out[k], n);
	for (unsigned i = 0; i < 64; i++) {
		if (c->out[0][i] != c->out[1][i])
			fail(F_WORK, c->out[0][i], c->out[1][i], i);
	}
}

static void
self_change(struct cpu *c, unsigned self)
{
	uint32_t val = below(c, 0x10000), got = md_self(self, val);

	if (got != val)
		fail(F_SELF, got, val, 0);
}

static void
play_round(struct cpu *c, unsigned self)
{
	unsigned what = below(c, 128);

	if (what < 30)
		touch_shared(c, self, false);
	else if (what < 44)
		touch_shared(c, self, true);
	else if (what < 49)
		sum_shared(c);
	else if (what < 55)
		map_shared(c, self);
	else if (what < 70)
		call_value(c);
	else if (what < 80)
		call_jump(c);
	else if (what < 82)
		patch_value(c, self);
	else if (what < 84)
		patch_jump(c, self);
	else if (what < 97)
		touch_own(c, self, false);
	else if (what < 105)
		touch_own(c, self, true);
	else if (what < 111)
		map_own(c);
	else if (what < 113)
		swap_leaf(c);
	else if (what < 119)
		go_to(c, below(c, NSPACES));
	else if (what < 122)
		count_someone(c, self);
	else if (what < 126)
		work(c);
	else if (what < 127)
		self_change(c, self);
	else if (below(c, 8) == 0)
		wait_for_tick(c);
}

/* Life */

static void
set_up_shared(void)
{
	for (unsigned f = 0; f < NFRAMES; f++)
		fill(f);
	for (unsigned n = 0; n < ncpu; n++) {
		unsigned first = n * (NSLOTS + NSPARE);

		for (unsigned i = 0; i < NSLOTS; i++) {
			shared_leaf[n * NSLOTS + i] = md_leaf((uint64_t)frames[first + i], P_WRITE, true);
			atomic_store(&slots[n * NSLOTS + i].now, MAPPED(first + i, 0, P_WRITE));
			cpus[n].global[i] = true;
		}
		for (unsigned i = 0; i < NVALUES; i++) {
			md_code_return(function(n, i), i, true);
			atomic_store(&values[n * NVALUES + i].now, i);
		}
		for (unsigned i = 0; i < NJUMPS; i++) {
			md_code_jump(function(n, NVALUES + i), function(n, i), true);
			atomic_store(&jumps[n * NJUMPS + i].now, n * NVALUES + i);
		}
		for (uint64_t at = 0; at < PAGE; at += CODE_STRIDE)
			md_code_sync((uint64_t)code[n] + at);
		shared_leaf[CODE_SLOT + n] = md_leaf((uint64_t)code[n], P_CODE, true);
	}
}

static void
set_up(struct cpu *c, unsigned self)
{
	unsigned first = NCPU * (NSLOTS + NSPARE) + self * NOWN_FRAMES, next_frame = first;

	c->random = md_param(1) * 4 + self;
	c->timer_random = ~c->random;
	for (unsigned i = 0; i < NSPARE; i++)
		c->spare[i] = self * (NSLOTS + NSPARE) + NSLOTS + i;
	for (unsigned n = 0; n < NSPACES; n++) {
		struct space *s = &c->space[n];

		s->pages = space_pages[self][n][0];
		s->leaf[0] = own_leaves[self][n][0];
		s->leaf[1] = own_leaves[self][n][1];
		s->tag = 1 + self * NSPACES + n;
		for (unsigned i = 0; i < NOWN; i++, next_frame++) {
			s->leaf[0][i] = md_leaf((uint64_t)frames[next_frame], P_WRITE, false);
			s->slot[i] = MAPPED(next_frame, 0, P_WRITE);
		}
		md_space(s->pages, shared_leaf, s->leaf[0]);
	}
	while (next_frame < first + NOWN_FRAMES)
		c->own_spare[c->nown_spare++] = next_frame++;
}

/* All have ended, and nobody changes anything any more. */
static void
settle_accounts(struct cpu *c)
{
	for (unsigned f = 0; f < NFRAMES; f++)
		(void)come_home(c, f, true);
	for (unsigned n = 0; n < ncpu; n++) {
		if (found[n] != cpus[n].adds)
			fail(F_SUMS, n, found[n], cpus[n].adds);
		while (atomic_load(&mailbox[n]) != 0 && atomic_load(&stop_all) == 0)
			md_pause();
		if (atomic_load(&cpus[n].counted) != atomic_load(&sent[n]))
			fail(F_IPIS, n, atomic_load(&cpus[n].counted), atomic_load(&sent[n]));
	}
}

void
stress_main(unsigned self)
{
	struct cpu *c = &cpus[self];
	uint64_t rounds = md_param(0), n;

	if (self == 0) {
		ncpu = (unsigned)md_param(2);
		set_up_shared();
		atomic_store(&ready, 1);
	} else {
		while (atomic_load(&ready) == 0)
			md_pause();
	}
	set_up(c, self);
	md_switch(c->space[0].pages, c->space[0].tag, false);
	md_start(self);
	md_timer(100000);
	atomic_fetch_add(&ready, 1);
	while (atomic_load(&ready) != 1 + ncpu && atomic_load(&stop_all) == 0)
		md_pause();

	for (n = 0; (rounds == 0 || n < rounds) && atomic_load(&stop_all) == 0; n++) {
		if (rounds == 0 && n % 1024 == 0 && md_told_to_stop())
			break;
		play_round(c, self);
	}
	atomic_fetch_add(&ended, 1);
	while (atomic_load(&ended) != ncpu && atomic_load(&stop_all) == 0)
		md_pause();
	if (self == 0) {
		settle_accounts(c);
		atomic_store(&final_word, 1);
	}
	while (atomic_load(&final_word) == 0 && atomic_load(&stop_all) == 0)
		md_pause();
	md_interrupts(false);
	md_result(8 + self, n);
	md_result(12 + self, atomic_load(&c->ticks));
	md_result(16 + self, atomic_load(&c->counted));
	md_result(20 + self, c->changes);
	md_finish();
}

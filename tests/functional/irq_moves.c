/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irq_moves.c - what a controller holds goes with its VM: interrupts that wait, that are in service and that are held at an input, to each back
 * end that has the controller here.
 */
#include "irq_conformance.h"

#define	NIDS	(CONF_MSG + CONF_NMSGS)

struct sources {
	struct vm_irq	*line[CONF_NLINES], *msi[CONF_NMSGS];
};

static void
sources_open(struct conf_target *t, struct sources *s)
{
	for (unsigned i = 0; i < CONF_NLINES; i++)
		PTR(s->line[i] = vm_irq_open_line(t->ctx, t->line[i]));
	for (unsigned n = 0; n < CONF_NMSGS && t->kind->has_msi; n++) {
		uint64_t addr;
		uint32_t data;

		t->kind->message(t, n, &addr, &data);
		PTR(s->msi[n] = vm_irq_open_msi(t->ctx, 8 * (n + 1)));
		OK(vm_irq_set_msi(s->msi[n], addr, data));
		OK(vm_irq_set_mask(s->msi[n], false));
	}
}

static void
sources_close(struct conf_target *t, struct sources *s)
{
	for (unsigned i = 0; i < CONF_NLINES; i++)
		vm_irq_close(s->line[i]);
	for (unsigned n = 0; n < CONF_NMSGS && t->kind->has_msi; n++)
		vm_irq_close(s->msi[n]);
}

/* Take and end all that comes; the input that is held is lowered by its interrupt. */
static void
take_all(struct conf_target *t, struct sources *s, unsigned counts[NIDS])
{
	for (int quiet = 0; quiet < 5;) {
		int id = t->kind->take(t);

		if (id < 0) {
			quiet++;
			h_nap();
			continue;
		}
		quiet = 0;
		CHECK(id < NIDS);
		CHECKF(++counts[id] < 4, "interrupt %d comes again and again", id);
		if (id == 0)
			OK(vm_irq_deassert(s->line[0]));
		t->kind->eoi(t, id);
	}
}

/* One interrupt is in service, line 0 held, line 1 has had its edge, each message waits but one that was taken. */
static int
fill(struct conf_target *t, struct sources *s)
{
	int first;

	t->kind->program(t, 0, true, true);
	t->kind->program(t, 1, false, true);
	OK(vm_irq_assert(s->line[0]));
	OK(vm_irq_pulse(s->line[1]));
	for (unsigned n = 0; n < CONF_NMSGS && t->kind->has_msi; n++)
		OK(vm_irq_assert(s->msi[n]));
	while ((first = t->kind->take(t)) < 0)
		h_nap();
	CHECK(first < NIDS);
	return (first);
}

/* The VM is what another was with the first one in service: all the others come, once each, and the input that is held again. */
static void
check_moved(struct conf_target *n, struct sources *s, int first)
{
	unsigned counts[NIDS] = { 0 };

	/* The devices here say what theirs said there. */
	sources_open(n, s);
	OK(vm_irq_assert(s->line[0]));
	counts[first]++;
	n->kind->eoi(n, first);
	take_all(n, s, counts);
	CHECK_EQ(counts[0], first == 0 ? 2 : 1);
	CHECK_EQ(counts[1], 1);
	for (unsigned i = 0; i < CONF_NMSGS; i++)
		CHECK_EQ(counts[CONF_MSG + i], n->kind->has_msi ? 1 : 0);
}

void
conf_moves(struct conf_target *t)
{
	struct conf_target *n, *back;
	unsigned moved = 0;

	for (unsigned to = 0; to < H_NTARGETS; to++) {
		unsigned counts[NIDS] = { 0 };
		struct sources s, m, b;
		int first, second;

		sources_open(t, &s);
		first = fill(t, &s);
		if ((n = t->kind->move(t, to)) != NULL) {
			moved++;
			check_moved(n, &m, first);
			/* There it goes on as before, and comes back. */
			second = fill(n, &m);
			PTR(back = n->kind->move(n, (unsigned)(t->h->t - h_targets)));
			check_moved(back, &b, second);
			sources_close(back, &b);
			back->kind->close(back);
			sources_close(n, &m);
			n->kind->close(n);
		}
		/* And so does the one that was saved. */
		t->kind->eoi(t, first);
		take_all(t, &s, counts);
		CHECK_EQ(counts[1], first == 1 ? 0 : 1);
		sources_close(t, &s);
	}
	if (moved == 0)
		SKIP("nobody else has this controller here");
}

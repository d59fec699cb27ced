/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthru_msix.c - the message vectors of a host's device (PCI 6.8.2), as the guest sets them up.
 *
 * msix.c is for models, which raise vectors that the framework has handles for.  Here the device raises them by itself, the handles are libvmmapi's, and there
 * are as many as the device has, at the places in its BARs where it has them; so this keeps the table, and tells what becomes of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "../error.h"
#include "passthru.h"

#define	ENTRY		16
#define	CONTROL		3		/* word of an entry */
#define	MASKED		1U

int
passthru_msix_init(struct passthru_msix *m, const struct passthru_plan *plan)
{
	m->plan = plan;
	m->entry = calloc(plan->nmsix + 1, sizeof(*m->entry));
	if (m->entry == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	pthread_mutex_init(&m->lock, NULL);
	for (unsigned i = 0; i < plan->nmsix; i++)
		m->entry[i][CONTROL] = MASKED;
	return (0);
}

void
passthru_msix_fini(struct passthru_msix *m)
{
	pthread_mutex_destroy(&m->lock);
	free(m->entry);
	m->entry = NULL;
}

void
passthru_msix_reset(struct passthru_msix *m)
{
	pthread_mutex_lock(&m->lock);
	m->on = m->masked = false;
	for (unsigned i = 0; i < m->plan->nmsix; i++) {
		m->entry[i][0] = m->entry[i][1] = m->entry[i][2] = 0;
		m->entry[i][CONTROL] = MASKED;
	}
	pthread_mutex_unlock(&m->lock);
}

/* The lock is held. */
static void
tell(struct passthru_msix *m, unsigned vec)
{
	const uint32_t *e = m->entry[vec];

	if (m->on)
		m->set(m->arg, vec, (uint64_t)e[1] << 32 | e[0], e[2], m->masked || (e[CONTROL] & MASKED) != 0);
}

void
passthru_msix_control(struct passthru_msix *m, bool on, bool masked)
{
	pthread_mutex_lock(&m->lock);
	if (m->on != on || m->masked != masked) {
		m->on = on;
		m->masked = masked;
		for (unsigned i = 0; i < m->plan->nmsix; i++)
			tell(m, i);
	}
	pthread_mutex_unlock(&m->lock);
}

/* Where in part p an access is: false if it is not all in it. */
static bool
inside(const struct passthru_msix *m, const struct passthru_part *p, unsigned n, uint64_t off, unsigned size)
{
	return (m->plan->nmsix != 0 && p->bar == n && off >= p->off && off - p->off < p->len && size <= p->len - (off - p->off));
}

/* 6.8.2: accesses are aligned and of four or eight bytes. */
static bool
defined(uint64_t off, unsigned size)
{
	return ((size == 4 || size == 8) && off % size == 0);
}

static uint32_t
pending_word(const struct passthru_msix *m, uint64_t off)
{
	unsigned vec = 8 * (unsigned)off;
	uint32_t bits = 0;

	for (unsigned i = 0; i < 32 && vec + i < m->plan->nmsix; i++) {
		if (m->pending(m->arg, vec + i))
			bits |= 1U << i;
	}
	return (bits);
}

bool
passthru_msix_read(struct passthru_msix *m, unsigned n, uint64_t off, unsigned size, uint64_t *val, bool *bad)
{
	bool table = inside(m, &m->plan->table, n, off, size);

	if (!table && !inside(m, &m->plan->pba, n, off, size))
		return (false);
	*bad = !defined(off, size);
	*val = UINT64_MAX;
	if (*bad)
		return (true);
	off -= table ? m->plan->table.off : m->plan->pba.off;
	*val = 0;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < size; i += 4, off += 4)
		*val |= (uint64_t)(table ? m->entry[off / ENTRY][off % ENTRY / 4] : pending_word(m, off)) << (8 * i);
	pthread_mutex_unlock(&m->lock);
	return (true);
}

bool
passthru_msix_write(struct passthru_msix *m, unsigned n, uint64_t off, unsigned size, uint64_t val, bool *bad)
{
	bool table = inside(m, &m->plan->table, n, off, size);

	/* Pending bits are read-only. */
	if (!table && !inside(m, &m->plan->pba, n, off, size))
		return (false);
	*bad = !defined(off, size);
	if (*bad || !table)
		return (true);
	off -= m->plan->table.off;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < size; i += 4) {
		unsigned word = (unsigned)(off + i) % ENTRY / 4;
		uint32_t v = (uint32_t)(val >> (8 * i));

		m->entry[(off + i) / ENTRY][word] = word == 0 ? v & ~3U : word == CONTROL ? v & MASKED : v;
	}
	tell(m, (unsigned)(off / ENTRY));
	pthread_mutex_unlock(&m->lock);
	return (true);
}

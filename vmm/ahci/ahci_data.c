/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci_data.c - data of commands: guest memory by physical region descriptors (AHCI 4.2.3.3), and requests to images.
 *
 * Data goes straight between an image and guest memory, on the image's threads.  A driver may cut it into very small regions: then a command is
 * executed in parts of whole sectors.  Each descriptor is read when it is needed and believed nothing; the command keeps where it is
 * in the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ahci.h"

#define	FREE_MAX	32		/* commands kept for the next ones */
#define	PRD_LEN		16
#define	PRD_IRQ		0x80000000U

static struct vmctx *
vm_of(const struct ahci_cmd *c)
{
	return (c->p->h->dev->vmm->vm);
}

struct ahci_cmd *
ahci_cmd_get(struct ahci_port *p)
{
	struct ahci *h = p->h;
	struct ahci_cmd *c = h->free;

	if (c != NULL) {
		h->free = c->next;
		h->nfree--;
	} else if ((c = malloc(sizeof(*c))) == NULL) {
		return (NULL);
	}
	memset(c, 0, offsetof(struct ahci_cmd, iov));
	c->p = p;
	return (c);
}

void
ahci_cmd_put(struct ahci_cmd *c)
{
	struct ahci *h = c->p->h;

	free(c->scratch);
	if (h->nfree == FREE_MAX) {
		free(c);
		return;
	}
	c->next = h->free;
	h->free = c;
	h->nfree++;
}

void
ahci_cmds_free(struct ahci *h)
{
	struct ahci_cmd *c;

	while ((c = h->free) != NULL) {
		h->free = c->next;
		free(c);
	}
	h->nfree = 0;
}

/* Guest memory */

/* AHCI 6.1.1 (host bus) and 6.1.5 (overflow): what only a restart of the port mends. */
static int
fatal(struct ahci_cmd *c, uint32_t bits)
{
	c->fatal |= bits;
	return (AHCI_FATAL);
}

/*
 * The rest of the region that the command is at: address, length, whether an interrupt is to tell its end.  The driver's store came before
 * the command's; that is no order that the thread sanitizer could see.
 */
static __attribute__((no_sanitize("thread"))) int
region(struct ahci_cmd *c, vm_paddr_t *gpa, uint32_t *len)
{
	vm_paddr_t at = c->table + (uint64_t)c->prd * PRD_LEN;
	struct { uint64_t addr; uint32_t reserved, control; } prd;
	const void *p;

	if (c->prd == c->nprds)
		return (fatal(c, PIS_OFS));
	p = at + PRD_LEN > at ? vm_map_read(vm_of(c), at, PRD_LEN) : NULL;
	if (p == NULL)
		return (fatal(c, PIS_HBFS));
	memcpy(&prd, p, sizeof(prd));
	/* DBC is one less than the length, and odd. */
	*len = ((prd.control & 0x3fffff) | 1) + 1;
	*gpa = (prd.addr & ~1ULL) + c->prdoff;
	c->prd_irq |= (prd.control & PRD_IRQ) != 0;
	if (c->prdoff >= *len)
		return (fatal(c, PIS_HBFS));
	*len -= c->prdoff;
	return (*gpa + *len > *gpa ? 0 : fatal(c, PIS_HBFS));
}

/* Of a region with len bytes left, part was used. */
static void
advance(struct ahci_cmd *c, uint32_t len, uint32_t part)
{
	if (part == len) {
		c->prd++;
		c->prdoff = 0;
	} else {
		c->prdoff += part;
	}
	c->moved += part;
}

/* Between buf and the regions that are next: into them, or out of them. */
static int
copy(struct ahci_cmd *c, uint8_t *buf, size_t len, bool put)
{
	while (len != 0) {
		vm_paddr_t gpa;
		uint32_t have, part;

		if (region(c, &gpa, &have) != 0)
			return (AHCI_FATAL);
		part = have < len ? have : (uint32_t)len;
		if ((put ? vm_gpa_write(vm_of(c), gpa, buf, part) : vm_gpa_read(vm_of(c), gpa, buf, part)) != 0)
			return (fatal(c, PIS_HBFS));
		advance(c, have, part);
		buf += part;
		len -= part;
	}
	return (0);
}

int
ahci_put(struct ahci_cmd *c, const void *buf, size_t len)
{
	return (copy(c, (uint8_t *)(uintptr_t)buf, len, true));
}

int
ahci_get(struct ahci_cmd *c, void *buf, size_t len)
{
	return (copy(c, buf, len, false));
}

/* Map the next piece for the image, at most len bytes; its length, 0: fatal. */
static uint32_t
map_piece(struct ahci_cmd *c, uint64_t len, bool in)
{
	struct vmctx *vm = vm_of(c);
	vm_paddr_t gpa;
	uint32_t have, part;
	void *p;

	if (region(c, &gpa, &have) != 0)
		return (0);
	part = have < len ? have : (uint32_t)len;
	p = in ? vm_write_begin(vm, gpa, part, &c->ws[c->nws]) : (void *)(uintptr_t)vm_map_read(vm, gpa, part);
	if (p == NULL) {
		(void)fatal(c, PIS_HBFS);
		return (0);
	}
	c->nws += in;
	c->iov[c->nsegs++] = (struct iovec){ .iov_base = p, .iov_len = part };
	advance(c, have, part);
	return (part);
}

static void
unmap(struct ahci_cmd *c, bool stored)
{
	for (unsigned i = 0; i < c->nws; i++) {
		if (stored)
			vm_write_commit(&c->ws[i]);
		else
			vm_write_cancel(&c->ws[i]);
	}
	c->nws = 0;
}

/*
 * Give the last n bytes back, less than a sector: there was no room for the pieces of all of it.  A write section may be longer than
 * what is stored through it.
 */
static int
give_back(struct ahci_cmd *c, uint32_t n)
{
	c->moved -= n;
	for (uint32_t left = n; left != 0; ) {
		struct iovec *last = &c->iov[c->nsegs - 1];
		uint32_t part = last->iov_len < left ? (uint32_t)last->iov_len : left;

		last->iov_len -= part;
		c->nsegs -= last->iov_len == 0;
		left -= part;
	}
	while (n > c->prdoff) {
		vm_paddr_t gpa;
		uint32_t len;

		n -= c->prdoff;
		if (c->prd == 0)
			return (fatal(c, PIS_HBFS));
		c->prd--;
		c->prdoff = 0;
		if (region(c, &gpa, &len) != 0)
			return (AHCI_FATAL);
		c->prdoff = len;
	}
	c->prdoff -= n;
	return (0);
}

/* As much as there is room for of what is left: whole sectors. */
static int
map(struct ahci_cmd *c, bool in)
{
	uint64_t len = 0;

	c->nsegs = c->nws = 0;
	if (c->scratch != NULL) {
		len = c->left < AHCI_SCRATCH ? c->left : AHCI_SCRATCH;
		c->iov[c->nsegs++] = (struct iovec){ .iov_base = c->scratch, .iov_len = len };
	}
	while (c->scratch == NULL && len < c->left && c->nsegs < AHCI_SEGS_MAX) {
		uint32_t part = map_piece(c, c->left - len, in);

		if (part == 0)
			return (AHCI_FATAL);
		len += part;
	}
	if (len % BLOCK_SECTOR != 0 && give_back(c, (uint32_t)(len % BLOCK_SECTOR)) != 0)
		return (AHCI_FATAL);
	c->req.iov = c->iov;
	c->req.niov = (int)c->nsegs;
	c->req.off = c->off;
	c->req.len = len - len % BLOCK_SECTOR;
	c->off += c->req.len;
	c->left -= c->req.len;
	return (0);
}

/* Requests */

/* The next part for the image: AHCI_LATER, to be submitted; 0: there is none; AHCI_FATAL. */
static int
next_part(struct ahci_cmd *c)
{
	struct block_req *req = &c->req;

	if (c->left != 0) {
		if (map(c, req->op == BLOCK_READ) == 0)
			return (AHCI_LATER);
		unmap(c, false);
		return (AHCI_FATAL);
	}
	if (c->nextrange < c->nranges) {
		uint64_t range = c->range[c->nextrange++];

		req->off = ATA_RANGE_LBA(range) << c->p->lbashift;
		req->len = ATA_RANGE_LEN(range) << c->p->lbashift;
		return (AHCI_LATER);
	}
	if (!c->sync)
		return (0);
	c->sync = false;
	req->op = BLOCK_FLUSH;
	req->off = req->len = 0;
	return (AHCI_LATER);
}

static void
report(const struct ahci_cmd *c)
{
	char port[16];

	(void)snprintf(port, sizeof(port), "port %u: ", c->p->n);
	block_failed(c->p->h->dev, port, &c->req);
}

/* On an image's thread. */
static void
done(struct block_req *req)
{
	struct ahci_cmd *c = req->arg;
	struct ahci_port *p = c->p;
	struct ahci *h = p->h;
	int result;

	/* Where a read failed in the middle, what was stored is marked all the same. */
	unmap(c, true);
	result = req->error == 0 ? next_part(c) : c->failure;
	if (req->error != 0)
		report(c);
	if (result == AHCI_LATER) {
		block_submit(p->image, req);
		return;
	}
	pthread_mutex_lock(&h->lock);
	p->errors += req->error != 0;
	if (req->error != 0 && p->cd)
		atapi_failed(p);
	ahci_complete(c, result);
	ahci_cmd_put(c);
	if (--p->flying == 0)
		pthread_cond_broadcast(&h->idle);
	ahci_port_run(p);
	pthread_mutex_unlock(&h->lock);
}

static int
begin(struct ahci_cmd *c, enum block_op op)
{
	int result;

	c->req.op = op;
	c->req.done = done;
	c->req.arg = c;
	result = next_part(c);
	if (result == AHCI_LATER) {
		c->p->flying++;
		block_submit(c->p->image, &c->req);
	}
	return (result);
}

int
ahci_transfer(struct ahci_cmd *c, bool write)
{
	return (begin(c, write ? BLOCK_WRITE : BLOCK_READ));
}

int
ahci_discard(struct ahci_cmd *c)
{
	return (begin(c, BLOCK_DISCARD));
}

int
ahci_flush(struct ahci_cmd *c)
{
	c->sync = true;
	return (begin(c, BLOCK_FLUSH));
}

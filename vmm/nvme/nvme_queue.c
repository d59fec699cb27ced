/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_queue.c - the controller's queues (NVMe 1.4 section 4.1), against a driver that may do anything: commands out of them, completions
 * into them, interrupts, asynchronous events, and guest memory by PRPs.
 *
 * A command is taken only when there will be room for its completion, so that none ever waits for the driver: what a queue owes is
 * counted.  Asynchronous event requests are not: their completions come when there is room.
 */
#include <string.h>

#include "nvme.h"

struct completion {
	uint32_t	result, reserved;
	uint16_t	sqhd, sqid;
	uint16_t	cid, status;	/* phase in bit 0 */
};
_Static_assert(sizeof(struct completion) == 1U << NVME_CQES, "4.6");

static struct vmctx *
vm_of(const struct nvme *n)
{
	return (n->dev->vmm->vm);
}

bool
nvme_in_ram(const struct nvme *n, vm_paddr_t gpa, size_t len)
{
	return (gpa + len > gpa && vm_map_read(vm_of(n), gpa, len) != NULL);
}

void
nvme_fatal(struct nvme *n, const char *why)
{
	if ((n->csts & NVME_CSTS_CFS) != 0)
		return;
	n->csts |= NVME_CSTS_CFS;
	device_guest_log(n->dev, "fatal: %s; the controller needs a reset", why);
}

bool
nvme_works(const struct nvme *n)
{
	return (n->active && n->master && !n->stopping && (n->csts & (NVME_CSTS_RDY | NVME_CSTS_CFS)) == NVME_CSTS_RDY);
}

/* Interrupts */

/* 7.5.1: the pin is up while a queue with interrupts has what the driver has not taken, unless its vector is masked. */
void
nvme_update_pin(struct nvme *n)
{
	bool level = false;

	for (unsigned i = 0; i < n->nqueues && n->active; i++) {
		const struct nvme_cq *cq = &n->cq[i];

		/* INTMS has 32 vectors. */
		if (cq->size != 0 && cq->ien && cq->head != cq->tail && (cq->vector > 31 || (n->intm >> cq->vector & 1) == 0))
			level = true;
	}
	pci_intx(&n->fn, level);
}

/* Completions */

static void
post(struct nvme *n, struct nvme_cq *cq, const struct completion *c)
{
	struct vm_wsec ws;
	uint8_t *p = vm_write_begin(vm_of(n), cq->base + (uint64_t)cq->tail * sizeof(*c), sizeof(*c), &ws);
	uint32_t last = c->cid | (uint32_t)(c->status << 1 | cq->phase) << 16;

	if (p == NULL) {
		nvme_fatal(n, "a completion queue is outside of RAM");
		return;
	}
	/* The driver looks at the phase. */
	memcpy(p, c, 12);
	__atomic_store_n((uint32_t *)(void *)(p + 12), last, __ATOMIC_RELEASE);
	vm_write_commit(&ws);
	if (++cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	if (cq->ien)
		pci_msix_raise(&n->fn, cq->vector);
}

/* An entry of the error log. */
static void
log_error(struct nvme *n, uint16_t sqid, uint16_t cid, uint16_t status, uint32_t nsid, uint64_t lba)
{
	uint64_t count = ++n->counters.errors;

	n->error[count % NVME_ERRORS_MAX] = (struct nvme_error){
		.count = count, .sqid = sqid, .cid = cid, .status = status, .nsid = nsid, .lba = lba,
	};
}

void
nvme_complete(struct nvme *n, const struct nvme_req *r, uint16_t status)
{
	struct nvme_sq *sq = &n->sq[r->sqid];
	struct nvme_cq *cq = &n->cq[sq->cqid];
	struct completion c = { .result = r->result, .sqhd = (uint16_t)sq->head, .sqid = r->sqid, .cid = r->cmd.cid };

	if (status != NVME_OK) {
		status |= NVME_MORE;
		log_error(n, r->sqid, r->cmd.cid, status, r->cmd.nsid, r->lba);
	}
	c.status = status;
	sq->owed--;
	cq->owed--;
	if ((n->csts & NVME_CSTS_CFS) == 0)
		post(n, cq, &c);
}

void
nvme_released(struct nvme *n, unsigned sqid)
{
	struct nvme_sq *sq = &n->sq[sqid];
	struct nvme_req del = sq->del;

	if (!sq->deleting || sq->owed != 0)
		return;
	memset(sq, 0, sizeof(*sq));
	nvme_complete(n, &del, NVME_OK);
}

/* Asynchronous events (5.2) */

void
nvme_event(struct nvme *n, unsigned type, uint8_t info)
{
	struct nvme_event *e = &n->event[type];

	if (e->masked || e->pending)
		return;
	e->pending = true;
	e->info = info;
}

static void
send_events(struct nvme *n)
{
	static const uint8_t page[NVME_EVENTS] = { 0x01, 0x02 };	/* the log to look into */

	for (unsigned i = 0; i < NVME_EVENTS; i++) {
		struct nvme_event *e = &n->event[i];
		struct nvme_req r = { .result = i | (uint32_t)e->info << 8 | (uint32_t)page[i] << 16 };

		if (!e->pending || n->naers == 0 || !nvme_works(n) || !nvme_has_room(&n->cq[0]))
			continue;
		r.cmd.cid = n->aer[0];
		n->naers--;
		memmove(n->aer, n->aer + 1, n->naers * sizeof(n->aer[0]));
		e->pending = false;
		e->masked = true;
		n->sq[0].owed++;
		n->cq[0].owed++;
		nvme_complete(n, &r, NVME_OK);
	}
}

/* Commands */

/* The doorbell orders it behind what wrote it; that is no order that the thread sanitizer could see. */
static __attribute__((no_sanitize("thread"))) bool
fetch(struct nvme *n, const struct nvme_sq *sq, struct nvme_cmd *cmd)
{
	vm_paddr_t gpa = sq->base + (uint64_t)sq->head * sizeof(*cmd);
	const void *p = nvme_in_ram(n, gpa, sizeof(*cmd)) ? vm_map_read(vm_of(n), gpa, sizeof(*cmd)) : NULL;

	if (p == NULL)
		return (false);
	memcpy(cmd, p, sizeof(*cmd));
	return (true);
}

/* Take one command of a queue, if it has one that can be executed now. */
static bool
step(struct nvme *n, unsigned qid)
{
	struct nvme_sq *sq = &n->sq[qid];
	struct nvme_cq *cq = &n->cq[sq->cqid];
	struct nvme_req r = { .sqid = (uint16_t)qid };
	uint16_t status;

	if (sq->size == 0 || sq->deleting || sq->head == sq->tail || !nvme_has_room(cq) || (qid != 0 && n->flying >= n->slots) ||
	    !nvme_works(n))
		return (false);
	if (!fetch(n, sq, &r.cmd)) {
		nvme_fatal(n, "a submission queue is outside of RAM");
		return (false);
	}
	if (++sq->head == sq->size)
		sq->head = 0;
	sq->owed++;
	cq->owed++;
	status = qid == 0 ? nvme_admin(n, &r) : nvme_io(n, &r);
	if (status != NVME_LATER)
		nvme_complete(n, &r, status);
	return (true);
}

/* 4.13.1: round robin, a command at a time.  It ends, as tails do not move while the lock is held. */
void
nvme_run(struct nvme *n)
{
	bool more;

	do {
		more = false;
		for (unsigned i = 0; i < n->nqueues; i++) {
			unsigned qid = n->turn;

			n->turn = (n->turn + 1) % n->nqueues;
			more |= step(n, qid);
		}
	} while (more);
	send_events(n);
	nvme_update_pin(n);
}

static void
bad_doorbell(struct nvme *n, unsigned i, uint32_t val, uint8_t info)
{
	device_guest_log(n->dev, "doorbell of %s queue %u with value %u, which %s", (i & 1) != 0 ? "completion" : "submission", i / 2, val,
	    info == NVME_BAD_DOORBELL ? "is not there" : "cannot be");
	/* 5.14.1.1: UINT16_MAX where it is no command's */
	log_error(n, (uint16_t)(i / 2), UINT16_MAX, NVME_INVALID_FIELD, NVME_ALL, 0);
	nvme_event(n, NVME_EVENT_ERROR, info);
}

void
nvme_doorbell(struct nvme *n, unsigned i, uint32_t val)
{
	unsigned qid = i / 2;
	struct nvme_sq *sq = qid < n->nqueues ? &n->sq[qid] : NULL;
	struct nvme_cq *cq = qid < n->nqueues ? &n->cq[qid] : NULL;

	/* 3.1.24: "undefined" before the controller is ready */
	if ((n->csts & (NVME_CSTS_RDY | NVME_CSTS_CFS)) != NVME_CSTS_RDY)
		return;
	if (sq == NULL || ((i & 1) != 0 ? cq->size == 0 : sq->size == 0 || sq->deleting)) {
		bad_doorbell(n, i, val, NVME_BAD_DOORBELL);
	} else if ((i & 1) == 0) {
		/* More commands than there was room for */
		if (val >= sq->size || nvme_used(sq->tail, val, sq->size) > sq->size - 1 - nvme_used(sq->head, sq->tail, sq->size))
			bad_doorbell(n, i, val, NVME_BAD_DOORBELL_VALUE);
		else
			sq->tail = val;
	} else if (val >= cq->size || nvme_used(cq->head, val, cq->size) > nvme_used(cq->head, cq->tail, cq->size)) {
		/* Completions that were not there */
		bad_doorbell(n, i, val, NVME_BAD_DOORBELL_VALUE);
	} else {
		cq->head = val;
	}
	nvme_run(n);
}

/* Guest memory */

/* Add [gpa, gpa + len), to the last piece where it follows it. */
static uint16_t
add_seg(struct nvme *n, struct nvme_seg *seg, unsigned *nsegs, vm_paddr_t gpa, size_t len)
{
	struct nvme_seg *last = *nsegs != 0 ? &seg[*nsegs - 1] : NULL;

	if (!nvme_in_ram(n, gpa, len))
		return (NVME_TRANSFER_ERROR);
	if (last != NULL && last->gpa + last->len == gpa && nvme_in_ram(n, last->gpa, last->len + len)) {
		last->len += len;
		return (NVME_OK);
	}
	if (*nsegs == NVME_SEGS_MAX)
		return (NVME_INVALID_FIELD);
	seg[(*nsegs)++] = (struct nvme_seg){ gpa, len };
	return (NVME_OK);
}

/* Entry of a PRP list, read once. */
static __attribute__((no_sanitize("thread"))) bool
list_entry(const struct nvme *n, vm_paddr_t gpa, uint64_t *prp)
{
	const void *p = nvme_in_ram(n, gpa, sizeof(*prp)) ? vm_map_read(vm_of(n), gpa, sizeof(*prp)) : NULL;

	if (p == NULL)
		return (false);
	memcpy(prp, p, sizeof(*prp));
	return (true);
}

/* PRP lists (4.3): the last entry of a list's page leads to the next list, unless it is the last that is needed. */
static uint16_t
add_list(struct nvme *n, struct nvme_seg *seg, unsigned *nsegs, vm_paddr_t list, size_t left)
{
	uint32_t page = nvme_page(n);
	uint16_t status;
	uint64_t prp;

	if (list % 8 != 0)
		return (NVME_PRP_OFFSET);
	while (left != 0) {
		size_t len = left < page ? left : page;

		if (!list_entry(n, list, &prp))
			return (NVME_TRANSFER_ERROR);
		if (prp % page != 0)
			return (NVME_PRP_OFFSET);
		if (list % page == page - 8 && left > page) {
			/* To the first of a page's entries, so that each list but the first has data. */
			list = prp;
			continue;
		}
		status = add_seg(n, seg, nsegs, prp, len);
		if (status != NVME_OK)
			return (status);
		list += 8;
		left -= len;
	}
	return (NVME_OK);
}

uint16_t
nvme_prps(struct nvme *n, const struct nvme_cmd *cmd, size_t len, struct nvme_seg *seg, unsigned *nsegs)
{
	uint32_t page = nvme_page(n);
	size_t first = page - cmd->prp1 % page;
	uint16_t status;

	*nsegs = 0;
	if ((cmd->flags & NVME_FLAGS_PSDT) != 0 || len > NVME_DATA_MAX)
		return (NVME_INVALID_FIELD);
	if (len == 0)
		return (NVME_OK);
	if (cmd->prp1 % 4 != 0)
		return (NVME_PRP_OFFSET);
	if (first > len)
		first = len;
	status = add_seg(n, seg, nsegs, cmd->prp1, first);
	if (status != NVME_OK || first == len)
		return (status);
	if (len - first > page)
		return (add_list(n, seg, nsegs, cmd->prp2, len - first));
	if (cmd->prp2 % page != 0)
		return (NVME_PRP_OFFSET);
	return (add_seg(n, seg, nsegs, cmd->prp2, len - first));
}

uint16_t
nvme_put(struct nvme *n, const struct nvme_cmd *cmd, const void *buf, size_t have, size_t len)
{
	struct nvme_seg seg[NVME_SEGS_MAX];
	const uint8_t *p = buf;
	unsigned nsegs;
	uint16_t status = nvme_prps(n, cmd, len, seg, &nsegs);

	for (unsigned i = 0; i < nsegs && have != 0 && status == NVME_OK; i++) {
		size_t part = seg[i].len < have ? seg[i].len : have;

		if (vm_gpa_write(vm_of(n), seg[i].gpa, p, part) != 0)
			status = NVME_TRANSFER_ERROR;
		p += part;
		have -= part;
	}
	return (status);
}

uint16_t
nvme_get(struct nvme *n, const struct nvme_cmd *cmd, void *buf, size_t len)
{
	struct nvme_seg seg[NVME_SEGS_MAX];
	unsigned nsegs;
	uint8_t *p = buf;
	uint16_t status = nvme_prps(n, cmd, len, seg, &nsegs);

	for (unsigned i = 0; i < nsegs && status == NVME_OK; i++) {
		if (vm_gpa_read(vm_of(n), seg[i].gpa, p, seg[i].len) != 0)
			status = NVME_TRANSFER_ERROR;
		p += seg[i].len;
	}
	return (status);
}

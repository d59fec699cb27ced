/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io.c - commands of I/O queues (NVMe 1.4 section 6) over an image of block/.
 *
 * A command is checked when it is taken from its queue; its data goes straight between the image and guest memory, on the image's threads,
 * and its completion is written when that is done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"

#define	FREE_MAX	32		/* requests kept for the next ones */

/* Opcodes (6, figure of NVM commands) */
enum { OP_FLUSH = 0x00, OP_WRITE = 0x01, OP_READ = 0x02, OP_COMPARE = 0x05, OP_ZEROES = 0x08, OP_DSM = 0x09 };

#define	FUA		(1U << 30)	/* cdw12 */
#define	DEALLOCATE	(1U << 25)	/* of Write Zeroes */
#define	DIRECTIVE(v)	((v) >> 20 & 15)
#define	DSM_DEALLOCATE	0x4U		/* cdw11 */

/* 6.7.1 */
struct range {
	uint32_t	attributes, blocks;
	uint64_t	lba;
};

/* A request in flight. */
struct nvme_io {
	struct block_req req;
	struct nvme	*n;
	struct nvme_req	 r;
	unsigned	 nws, nsegs;
	bool		 sync;		/* a flush follows */
	uint8_t		*compare;	/* what the image has, to compare with the guest's; owned */
	unsigned	 nranges, nextrange;
	struct nvme_io	*next;		/* free */
	union {
		struct {
			struct nvme_seg	seg[NVME_SEGS_MAX];
			struct iovec	iov[NVME_SEGS_MAX];
			struct vm_wsec	ws[NVME_SEGS_MAX];
		};
		struct range	range[NVME_RANGES_MAX];
	};
};

bool
nvme_has_discard(const struct nvme *n)
{
	return (n->discard && !block_readonly(n->image));
}

static struct nvme_io *
io_get(struct nvme *n, const struct nvme_req *r)
{
	struct nvme_io *io = n->free;

	if (io != NULL) {
		n->free = io->next;
		n->nfree--;
	} else if ((io = malloc(sizeof(*io))) == NULL) {
		return (NULL);
	}
	memset(io, 0, offsetof(struct nvme_io, seg));
	io->n = n;
	io->r = *r;
	return (io);
}

static void
io_put(struct nvme *n, struct nvme_io *io)
{
	free(io->compare);
	if (n->nfree == FREE_MAX) {
		free(io);
		return;
	}
	io->next = n->free;
	n->free = io;
	n->nfree++;
}

void
nvme_free_ios(struct nvme *n)
{
	struct nvme_io *io;

	while ((io = n->free) != NULL) {
		n->free = io->next;
		free(io);
	}
	n->nfree = 0;
}

/* Completion, on an image's thread */

/* A host's error as a status (4.6.1.2). */
static uint16_t
status_of(const struct nvme_io *io)
{
	if (io->req.error == ENOSPC)
		return (NVME_CAPACITY);
	if (io->r.cmd.opcode == OP_FLUSH)
		return (NVME_INTERNAL_ERROR);
	return (io->req.op == BLOCK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT);
}

/* The guest's memory may change meanwhile: then either answer is right, and no order that the thread sanitizer could see. */
static __attribute__((no_sanitize("thread"))) uint16_t
compare(const struct nvme_io *io)
{
	const uint8_t *have = io->compare;

	for (unsigned i = 0; i < io->nsegs; i++) {
		const void *p = vm_map_read(io->n->dev->vmm->vm, io->seg[i].gpa, io->seg[i].len);

		if (p == NULL)
			return (NVME_TRANSFER_ERROR);
		if (memcmp(have, p, io->seg[i].len) != 0)
			return (NVME_COMPARE_FAILURE);
		have += io->seg[i].len;
	}
	return (NVME_OK);
}

/* 5.14.1.2: Compare counts as a read. */
static void
count(struct nvme *n, const struct nvme_io *io, uint64_t len)
{
	struct nvme_counters *c = &n->counters;

	switch (io->r.cmd.opcode) {
	case OP_READ:
	case OP_COMPARE:
		c->reads++;
		c->sectors_read += len / 512;
		break;
	case OP_WRITE:
		c->writes++;
		c->sectors_written += len / 512;
		break;
	default:
		break;
	}
}

/* Begin the request's next part; false: there is none. */
static bool
next_part(struct nvme *n, struct nvme_io *io)
{
	struct block_req *req = &io->req;

	if (io->nextrange < io->nranges) {
		const struct range *range = &io->range[io->nextrange++];

		req->off = range->lba << n->lbashift;
		req->len = (uint64_t)range->blocks << n->lbashift;
	} else if (io->sync) {
		io->sync = false;
		req->op = BLOCK_FLUSH;
	} else {
		return (false);
	}
	block_submit(n->image, req);
	return (true);
}

static void
done(struct block_req *req)
{
	struct nvme_io *io = req->arg;
	struct nvme *n = io->n;
	uint16_t status = NVME_OK;
	unsigned sqid = io->r.sqid;

	/* Where the read failed in the middle, what was stored is marked all the same. */
	for (unsigned i = 0; i < io->nws; i++)
		vm_write_commit(&io->ws[i]);
	io->nws = 0;
	if (req->error == 0 && next_part(n, io))
		return;
	if (req->error != 0) {
		status = status_of(io);
		block_failed(io->n->dev, "", &io->req);
	} else if (io->compare != NULL) {
		status = compare(io);
	}
	pthread_mutex_lock(&n->lock);
	if (status == NVME_OK || status == NVME_COMPARE_FAILURE)
		count(n, io, req->len);
	n->counters.media_errors += req->error != 0;
	if (!n->stopping) {
		nvme_complete(n, &io->r, status);
		nvme_released(n, sqid);
	}
	io_put(n, io);
	if (--n->flying == 0)
		pthread_cond_broadcast(&n->idle);
	nvme_run(n);
	pthread_mutex_unlock(&n->lock);
}

/* Submission.  A status, or NVME_LATER. */

static uint16_t
submit(struct nvme *n, struct nvme_io *io, enum block_op op, uint64_t off, uint64_t len)
{
	io->req.op = op;
	io->req.off = off;
	io->req.len = len;
	io->req.done = done;
	io->req.arg = io;
	n->flying++;
	block_submit(n->image, &io->req);
	return (NVME_LATER);
}

/* Nothing was begun. */
static uint16_t
give_up(struct nvme *n, struct nvme_io *io, uint16_t status)
{
	while (io->nws > 0)
		vm_write_cancel(&io->ws[--io->nws]);
	io_put(n, io);
	return (status);
}

/* Blocks of a command: its first one and how many (6.9). */
static uint64_t
lba_of(const struct nvme_cmd *cmd)
{
	return (cmd->cdw10 | (uint64_t)cmd->cdw11 << 32);
}

static uint32_t
blocks_of(const struct nvme_cmd *cmd)
{
	return ((cmd->cdw12 & 0xffff) + 1);
}

static bool
in_image(const struct nvme *n, uint64_t lba, uint64_t blocks)
{
	return (lba <= nvme_blocks(n) && blocks <= nvme_blocks(n) - lba);
}

static uint16_t
flush(struct nvme *n, struct nvme_req *r)
{
	struct nvme_io *io = io_get(n, r);

	return (io == NULL ? NVME_INTERNAL_ERROR : submit(n, io, BLOCK_FLUSH, 0, 0));
}

/* The pieces of guest memory as the image takes them. */
static uint16_t
map(struct nvme *n, struct nvme_io *io, bool in)
{
	struct vmctx *vm = n->dev->vmm->vm;

	for (unsigned i = 0; i < io->nsegs; i++) {
		const struct nvme_seg *s = &io->seg[i];
		void *p = in ? vm_write_begin(vm, s->gpa, s->len, &io->ws[i]) : (void *)(uintptr_t)vm_map_read(vm, s->gpa, s->len);

		if (p == NULL)
			return (NVME_TRANSFER_ERROR);
		io->nws += in;
		io->iov[i] = (struct iovec){ .iov_base = p, .iov_len = s->len };
	}
	io->req.iov = io->iov;
	io->req.niov = (int)io->nsegs;
	return (NVME_OK);
}

/* For Compare, the image goes to memory of the host. */
static uint16_t
map_compare(struct nvme_io *io, size_t len)
{
	io->compare = malloc(len);
	if (io->compare == NULL)
		return (NVME_INTERNAL_ERROR);
	io->iov[0] = (struct iovec){ .iov_base = io->compare, .iov_len = len };
	io->req.iov = io->iov;
	io->req.niov = 1;
	return (NVME_OK);
}

/* Read (6.9), Write (6.15), Compare (6.6) */
static uint16_t
transfer(struct nvme *n, struct nvme_req *r)
{
	bool write = r->cmd.opcode == OP_WRITE;
	uint64_t lba = lba_of(&r->cmd), len = (uint64_t)blocks_of(&r->cmd) << n->lbashift;
	struct nvme_io *io;
	uint16_t status;

	r->lba = lba;
	if (len > NVME_DATA_MAX || (write && DIRECTIVE(r->cmd.cdw12) != 0))
		return (NVME_INVALID_FIELD);
	if (!in_image(n, lba, blocks_of(&r->cmd)))
		return (NVME_LBA_RANGE);
	io = io_get(n, r);
	if (io == NULL)
		return (NVME_INTERNAL_ERROR);
	status = nvme_prps(n, &r->cmd, (size_t)len, io->seg, &io->nsegs);
	if (status == NVME_OK)
		status = r->cmd.opcode == OP_COMPARE ? map_compare(io, (size_t)len) : map(n, io, !write);
	if (status != NVME_OK)
		return (give_up(n, io, status));
	/* What is read with FUA is durable too; without a cache what is written. */
	io->sync = (r->cmd.cdw12 & FUA) != 0 || (write && !n->features.wce);
	return (submit(n, io, write ? BLOCK_WRITE : BLOCK_READ, lba << n->lbashift, len));
}

/* 6.16 */
static uint16_t
zeroes(struct nvme *n, struct nvme_req *r)
{
	uint64_t lba = lba_of(&r->cmd);
	struct nvme_io *io;

	r->lba = lba;
	if (!in_image(n, lba, blocks_of(&r->cmd)))
		return (NVME_LBA_RANGE);
	io = io_get(n, r);
	if (io == NULL)
		return (NVME_INTERNAL_ERROR);
	io->req.unmap = (r->cmd.cdw12 & DEALLOCATE) != 0 && nvme_has_discard(n);
	io->sync = (r->cmd.cdw12 & FUA) != 0 || !n->features.wce;
	return (submit(n, io, BLOCK_ZERO, lba << n->lbashift, (uint64_t)blocks_of(&r->cmd) << n->lbashift));
}

/* 6.7; hints are not taken. */
static uint16_t
dataset(struct nvme *n, struct nvme_req *r)
{
	unsigned nranges = (r->cmd.cdw10 & 0xff) + 1;
	struct nvme_io *io = io_get(n, r);
	uint16_t status;

	if (io == NULL)
		return (NVME_INTERNAL_ERROR);
	status = nvme_get(n, &r->cmd, io->range, nranges * sizeof(io->range[0]));
	for (unsigned i = 0; i < nranges && status == NVME_OK; i++) {
		r->lba = io->range[i].lba;
		if (!in_image(n, io->range[i].lba, io->range[i].blocks))
			status = NVME_LBA_RANGE;
	}
	if (status != NVME_OK || (r->cmd.cdw11 & DSM_DEALLOCATE) == 0)
		return (give_up(n, io, status));
	io->nranges = nranges;
	io->nextrange = 1;
	return (submit(n, io, BLOCK_DISCARD, io->range[0].lba << n->lbashift, (uint64_t)io->range[0].blocks << n->lbashift));
}

static const struct command {
	uint8_t		 opcode;
	bool		 writes;
	uint16_t	(*execute)(struct nvme *n, struct nvme_req *r);
} commands[] = {
	{ OP_FLUSH, false, flush }, { OP_WRITE, true, transfer }, { OP_READ, false, transfer }, { OP_COMPARE, false, transfer },
	{ OP_ZEROES, true, zeroes }, { OP_DSM, true, dataset },
};

uint16_t
nvme_io(struct nvme *n, struct nvme_req *r)
{
	unsigned i, len = sizeof(commands) / sizeof(commands[0]);

	for (i = 0; i < len && commands[i].opcode != r->cmd.opcode; i++)
		;
	if (i == len || (r->cmd.opcode == OP_DSM && !nvme_has_discard(n)))
		return (NVME_INVALID_OPCODE);
	if ((r->cmd.flags & (NVME_FLAGS_FUSE | NVME_FLAGS_PSDT)) != 0)
		return (NVME_INVALID_FIELD);
	/* VWC: Flush is also for all namespaces, of which there is one. */
	if (r->cmd.nsid != 1 && !(r->cmd.opcode == OP_FLUSH && r->cmd.nsid == NVME_ALL))
		return (NVME_INVALID_NAMESPACE);
	if (commands[i].writes && block_readonly(n->image))
		return (NVME_READ_ONLY);
	return (commands[i].execute(n, r));
}

/* Shutdown */

static void
shutdown_done(struct block_req *req)
{
	struct nvme *n = req->arg;

	pthread_mutex_lock(&n->lock);
	if (req->error != 0)
		device_guest_log(n->dev, "flush at shutdown: %s", strerror(req->error));
	n->csts = (n->csts & ~NVME_CSTS_SHST) | NVME_SHST_DONE;
	n->flushing = false;
	if (--n->flying == 0)
		pthread_cond_broadcast(&n->idle);
	pthread_mutex_unlock(&n->lock);
}

void
nvme_shutdown(struct nvme *n)
{
	if ((n->csts & NVME_CSTS_SHST) == 0)
		n->csts |= NVME_SHST_BUSY;
	/* While the device is paused nothing begins: the resume comes here again. */
	if ((n->csts & NVME_CSTS_SHST) != NVME_SHST_BUSY || n->flushing || !n->active)
		return;
	n->shutdown = (struct block_req){ .op = BLOCK_FLUSH, .done = shutdown_done, .arg = n };
	n->flushing = true;
	n->flying++;
	block_submit(n->image, &n->shutdown);
}

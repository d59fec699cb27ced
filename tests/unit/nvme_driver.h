/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_driver.h - the driver's side of an NVMe controller, for tests: registers, queues, commands and their completions.
 */
#ifndef _NVME_DRIVER_H_
#define	_NVME_DRIVER_H_

#include "pci_driver.h"

#define	R_CAP		0x00
#define	R_VS		0x08
#define	R_INTMS		0x0c
#define	R_INTMC		0x10
#define	R_CC		0x14
#define	R_CSTS		0x1c
#define	R_AQA		0x24
#define	R_ASQ		0x28
#define	R_ACQ		0x30
#define	CC_ON		0x00460001U
#define	CC_SHUTDOWN	0x4000U
#define	CSTS_READY	1U
#define	CSTS_FATAL	2U

/* Where what is in memory: queue pair i has 64 KiB for each queue. */
#define	SQ_AT(i)	(0x100000ULL + 0x10000ULL * (i))
#define	CQ_AT(i)	(0x200000ULL + 0x10000ULL * (i))
#define	LISTS		0x300000ULL
#define	DATA		0x400000ULL

/* Status codes with their type, without "more" and "do not retry". */
enum {
	ST_OK, ST_OPCODE = 0x01, ST_FIELD = 0x02, ST_TRANSFER = 0x04, ST_INTERNAL = 0x06, ST_ABORTED = 0x07, ST_NAMESPACE = 0x0b, ST_SEQUENCE = 0x0c,
	ST_PRP_OFFSET = 0x13, ST_LBA = 0x80, ST_CAPACITY = 0x81, ST_CQ = 0x100, ST_QID = 0x101, ST_QSIZE = 0x102, ST_AERS = 0x105,
	ST_VECTOR = 0x108, ST_LOG = 0x109, ST_DELETION = 0x10c, ST_NOT_SAVEABLE = 0x10d, ST_NOT_NS = 0x10f, ST_READ_ONLY = 0x182,
	ST_WRITE_FAULT = 0x280, ST_READ_ERROR = 0x281, ST_COMPARE = 0x285,
};

enum {
	A_DELETE_SQ = 0, A_CREATE_SQ = 1, A_LOG = 2, A_DELETE_CQ = 4, A_CREATE_CQ = 5, A_IDENTIFY = 6, A_ABORT = 8, A_SET = 9, A_GET = 10,
	A_EVENT = 12,
	IO_FLUSH = 0, IO_WRITE = 1, IO_READ = 2, IO_COMPARE = 5, IO_ZEROES = 8, IO_DSM = 9,
};

struct sqe {
	uint8_t		opcode, flags;
	uint16_t	cid;
	uint32_t	nsid;
	uint64_t	reserved, mptr, prp1, prp2;
	uint32_t	cdw[6];		/* from 10 on */
};

struct cqe {
	uint32_t	result, reserved;
	uint16_t	sqhd, sqid, cid, status;
};

/* A pair of queues, as the driver knows it. */
struct nvq {
	unsigned	 id, cqid, size;
	uint32_t	 tail, head;
	bool		 phase;
};

static struct nvq admin, ioq;
static uint16_t next_cid;

static inline uint64_t
nv_reg(unsigned off)
{
	return (cfg_bar(&fx, SLOT, 0) + off);
}

static inline uint32_t
nv_read(unsigned off)
{
	return ((uint32_t)fx_read(&fx, VM_SPACE_MEM, nv_reg(off), 4));
}

static inline void
nv_write(unsigned off, uint32_t val)
{
	fx_write(&fx, VM_SPACE_MEM, nv_reg(off), 4, val);
}

static inline void
nv_write64(unsigned off, uint64_t val)
{
	fx_write(&fx, VM_SPACE_MEM, nv_reg(off), 8, val);
}

static inline void
nv_doorbell(unsigned qid, bool cq, uint32_t val)
{
	nv_write(0x1000 + 8 * qid + 4 * cq, val);
}

/* A controller over the image at path in f with more keys, on h; NULL with a sentence. */
static inline struct device *
nv_make(struct fx *f, struct pci_host *h, const char *path, const char *keys)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "disk.path=%s\n%s", path, keys);
	return (px_make_with(f, h, "nvme", "disk", SLOT, f->irq, text));
}

static inline void
nv_open(const char *path, const char *keys)
{
	fx_open(&fx);
	host = px_host(&fx);
	dev = nv_make(&fx, host, path, keys);
	pd_start();
}

/* The controller starts, with admin queues of size entries. */
static inline void
nv_enable(unsigned size)
{
	memset(ram + CQ_AT(0), 0, 0x10000);
	nv_write(R_AQA, (size - 1) << 16 | (size - 1));
	nv_write64(R_ASQ, SQ_AT(0));
	nv_write64(R_ACQ, CQ_AT(0));
	nv_write(R_CC, CC_ON);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY);
	admin = (struct nvq){ .size = size, .phase = true };
}

/* Put a command into a queue's memory without telling; its identifier. */
static inline uint16_t
nv_put(struct nvq *q, const struct sqe *cmd)
{
	struct sqe *to = (struct sqe *)(void *)(ram + SQ_AT(q->id)) + q->tail;

	*to = *cmd;
	to->cid = next_cid++;
	q->tail = (q->tail + 1) % q->size;
	return (to->cid);
}

static inline uint16_t
nv_submit(struct nvq *q, const struct sqe *cmd)
{
	uint16_t cid = nv_put(q, cmd);

	nv_doorbell(q->id, false, q->tail);
	return (cid);
}

static inline const struct cqe *
nv_entry(const struct nvq *q)
{
	return ((const struct cqe *)(void *)(ram + CQ_AT(q->cqid)) + q->head);
}

/* Whether there is a completion: its last word, which is what the controller writes last. */
static inline bool
nv_done(struct nvq *q)
{
	const uint32_t *last = (const uint32_t *)(const void *)nv_entry(q) + 3;

	return ((__atomic_load_n(last, __ATOMIC_ACQUIRE) >> 16 & 1) == q->phase);
}

/* Wait for the next completion of a queue, and take it. */
static inline struct cqe
nv_wait(struct nvq *q)
{
	struct cqe c;

	for (unsigned i = 0; !nv_done(q); i++) {
		CHECKF(i < 400000, "no completion in queue %u", q->cqid);
		usleep(50);
	}
	memcpy(&c, nv_entry(q), sizeof(c));
	if (++q->head == q->size) {
		q->head = 0;
		q->phase = !q->phase;
	}
	nv_doorbell(q->cqid, true, q->head);
	return (c);
}

static inline unsigned
nv_status(const struct cqe *c)
{
	return (c->status >> 1 & 0x7ff);
}

/* A command and its completion. */
static inline struct cqe
nv_ask(struct nvq *q, const struct sqe *cmd)
{
	uint16_t cid = nv_submit(q, cmd);
	struct cqe c = nv_wait(q);

	CHECK_EQ(c.cid, cid);
	CHECK_EQ(c.sqid, q->id);
	return (c);
}

/* Its status, and where it is wanted the result. */
static inline unsigned
nv_command(struct nvq *q, uint8_t opcode, uint32_t nsid, uint64_t prp1, uint64_t prp2, uint32_t cdw10, uint32_t cdw11, uint32_t cdw12,
    uint32_t *result)
{
	struct sqe cmd = { .opcode = opcode, .nsid = nsid, .prp1 = prp1, .prp2 = prp2, .cdw = { cdw10, cdw11, cdw12 } };
	struct cqe c = nv_ask(q, &cmd);

	if (result != NULL)
		*result = c.result;
	return (nv_status(&c));
}

/* Create pair i, of size entries each. */
static inline void
nv_pair(struct nvq *q, unsigned i, unsigned size, unsigned vector)
{
	memset(ram + CQ_AT(i), 0, 0x10000);
	CHECK_EQ(nv_command(&admin, A_CREATE_CQ, 0, CQ_AT(i), 0, (size - 1) << 16 | i, vector << 16 | 3, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(i), 0, (size - 1) << 16 | i, i << 16 | 1, 0, NULL), ST_OK);
	*q = (struct nvq){ .id = i, .cqid = i, .size = size, .phase = true };
}

/* A read, write or the like of blocks. */
static inline struct sqe
nv_rw(uint8_t opcode, uint64_t lba, unsigned blocks, uint64_t prp1, uint64_t prp2)
{
	return ((struct sqe){ .opcode = opcode, .nsid = 1, .prp1 = prp1, .prp2 = prp2,
	    .cdw = { (uint32_t)lba, (uint32_t)(lba >> 32), blocks - 1 } });
}

static inline unsigned
nv_io(uint8_t opcode, uint64_t lba, unsigned blocks, uint64_t prp1, uint64_t prp2)
{
	struct sqe cmd = nv_rw(opcode, lba, blocks, prp1, prp2);
	struct cqe c = nv_ask(&ioq, &cmd);

	return (nv_status(&c));
}

#endif /* _NVME_DRIVER_H_ */

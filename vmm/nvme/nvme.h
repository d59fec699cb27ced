/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme.h - between the files of the NVMe controller: nvme.c (registers and life), nvme_queue.c (queues, interrupts, events, guest
 * memory), nvme_admin.c, nvme_identify.c and nvme_io.c (commands).
 *
 * Section numbers and names are those of the NVM Express base specification 1.4.  Numbers in guest memory are little-endian, as the host's.
 *
 * n->lock guards everything but an io in flight, which is the image's.  All functions below are called with it held.
 * Order: the PCI segment's, n->lock, then the function's and the image's.
 */
#ifndef _HYVE_NVME_H_
#define	_HYVE_NVME_H_

#include <stdbool.h>
#include <stdint.h>

#include "../block/block.h"
#include "../pci/pci.h"

#define	NVME_QUEUES_MAX	64U		/* pairs, the administrator's included */
#define	NVME_MDTS	7U		/* 5.15.2.2: a command transfers up to 4 KiB << MDTS */
#define	NVME_DATA_MAX	(4096U << NVME_MDTS)
#define	NVME_SEGS_MAX	((1U << NVME_MDTS) + 1)
#define	NVME_RANGES_MAX	256U		/* 6.7: of a dataset management command */
#define	NVME_AERS_MAX	4U		/* asynchronous event requests outstanding */
#define	NVME_ERRORS_MAX	16U		/* entries of the error log */
#define	NVME_TEMPERATURE 313U		/* kelvins, always */
#define	NVME_ALL	UINT32_MAX	/* NSID: all namespaces; there is one, 1 */
#define	NVME_FIRMWARE	"1.0     "
#define	NVME_VENDOR	0xfb5dU		/* bhyve's */
#define	NVME_DEVICE	0x0a0aU

/* CC (3.1.5) */
#define	NVME_CC_EN	0x1U
#define	NVME_CC_CSS(cc)	((cc) >> 4 & 7)
#define	NVME_CC_MPS(cc)	((cc) >> 7 & 15)
#define	NVME_CC_AMS(cc)	((cc) >> 11 & 7)
#define	NVME_CC_SHN(cc)	((cc) >> 14 & 3)
#define	NVME_CC_IOSQES(cc) ((cc) >> 16 & 15)
#define	NVME_CC_IOCQES(cc) ((cc) >> 20 & 15)
#define	NVME_SQES	6U		/* log2 of bytes of a command, and of a completion */
#define	NVME_CQES	4U
#define	NVME_MPS_MAX	4U		/* pages of up to 64 KiB */

/* CSTS (3.1.6) */
#define	NVME_CSTS_RDY	0x1U
#define	NVME_CSTS_CFS	0x2U
#define	NVME_CSTS_SHST	0xcU
#define	NVME_SHST_BUSY	0x4U
#define	NVME_SHST_DONE	0x8U

/* Status (4.6.1), as in bits 31:17 of a completion: type, code, more (an entry of the error log), do not retry. */
#define	NVME_ST(type, code)	((uint16_t)((type) << 8 | (code)))
#define	NVME_MORE		0x2000U
#define	NVME_DNR		0x4000U
#define	NVME_LATER		0xffffU	/* of a function: the command completes later */
enum {
	NVME_OK			= NVME_ST(0, 0x00),
	NVME_INVALID_OPCODE	= NVME_ST(0, 0x01) | NVME_DNR,
	NVME_INVALID_FIELD	= NVME_ST(0, 0x02) | NVME_DNR,
	NVME_TRANSFER_ERROR	= NVME_ST(0, 0x04),
	NVME_INTERNAL_ERROR	= NVME_ST(0, 0x06),
	NVME_ABORT_REQUESTED	= NVME_ST(0, 0x07),
	NVME_INVALID_NAMESPACE	= NVME_ST(0, 0x0b) | NVME_DNR,
	NVME_SEQUENCE_ERROR	= NVME_ST(0, 0x0c) | NVME_DNR,
	NVME_PRP_OFFSET		= NVME_ST(0, 0x13) | NVME_DNR,
	NVME_LBA_RANGE		= NVME_ST(0, 0x80) | NVME_DNR,
	NVME_CAPACITY		= NVME_ST(0, 0x81) | NVME_DNR,
	NVME_CQ_INVALID		= NVME_ST(1, 0x00) | NVME_DNR,
	NVME_INVALID_QID	= NVME_ST(1, 0x01) | NVME_DNR,
	NVME_INVALID_QSIZE	= NVME_ST(1, 0x02) | NVME_DNR,
	NVME_TOO_MANY_AERS	= NVME_ST(1, 0x05) | NVME_DNR,
	NVME_INVALID_VECTOR	= NVME_ST(1, 0x08) | NVME_DNR,
	NVME_INVALID_LOG	= NVME_ST(1, 0x09) | NVME_DNR,
	NVME_INVALID_DELETION	= NVME_ST(1, 0x0c) | NVME_DNR,
	NVME_NOT_SAVEABLE	= NVME_ST(1, 0x0d) | NVME_DNR,
	NVME_NOT_NS_SPECIFIC	= NVME_ST(1, 0x0f) | NVME_DNR,
	NVME_READ_ONLY		= NVME_ST(1, 0x82) | NVME_DNR,
	NVME_WRITE_FAULT	= NVME_ST(2, 0x80),
	NVME_READ_ERROR		= NVME_ST(2, 0x81),
	NVME_COMPARE_FAILURE	= NVME_ST(2, 0x85) | NVME_DNR,
};

/* A submission queue entry (4.2). */
struct nvme_cmd {
	uint8_t		opcode, flags;
	uint16_t	cid;
	uint32_t	nsid;
	uint64_t	reserved, mptr, prp1, prp2;
	uint32_t	cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
_Static_assert(sizeof(struct nvme_cmd) == 1U << NVME_SQES, "4.2");

#define	NVME_FLAGS_FUSE	0x03U
#define	NVME_FLAGS_PSDT	0xc0U

/* A command that was taken from its queue. */
struct nvme_req {
	struct nvme_cmd	 cmd;
	uint16_t	 sqid;
	uint32_t	 result;	/* for the completion's first word */
	uint64_t	 lba;		/* for the error log */
};

/* Guest memory: RAM in one piece. */
struct nvme_seg {
	vm_paddr_t	 gpa;
	size_t		 len;
};

/* Queues; size 0: there is none.  All of it but what follows "derived" is state. */
struct nvme_sq {
	uint64_t	 base;
	uint32_t	 size;		/* entries */
	uint32_t	 head, tail;
	uint16_t	 cqid;
	/* derived: nothing is outstanding while the device is paused */
	uint32_t	 owed;		/* commands taken and not completed; without the event requests */
	bool		 deleting;	/* and del completes when owed is 0 */
	struct nvme_req	 del;
};

struct nvme_cq {
	uint64_t	 base;
	uint32_t	 size;
	uint32_t	 head, tail;
	uint16_t	 vector;
	bool		 ien, phase;
	/* derived */
	uint32_t	 owed;		/* completions that there must be room for */
};

/* Types of asynchronous events (5.2), by which they are numbered. */
enum { NVME_EVENT_ERROR, NVME_EVENT_SMART, NVME_EVENTS };
#define	NVME_BAD_DOORBELL	0
#define	NVME_BAD_DOORBELL_VALUE	1
#define	NVME_OVER_TEMPERATURE	1

struct nvme_event {
	bool		 pending;
	bool		 masked;	/* was told, and its log page not read since */
	uint8_t		 info;
};

/* An entry of the error log (5.14.1.1). */
struct nvme_error {
	uint64_t	 count;		/* from 1 on; 0: none */
	uint16_t	 sqid, cid, status;
	uint32_t	 nsid;
	uint64_t	 lba;
};

/* Features (5.21.1), with their values after a reset of the controller by nvme_features_reset(). */
struct nvme_features {
	uint32_t	 arbitration, recovery, coalescing, atomicity, events;
	uint16_t	 over, under;	/* temperatures */
	bool		 wce;
	uint32_t	 nsq, ncq;	/* I/O queues that there may be */
	uint64_t	 uncoalesced;	/* bits of vectors */
};

/* Counters of the SMART log (5.14.1.2). */
struct nvme_counters {
	uint64_t	 sectors_read, sectors_written, reads, writes, media_errors, errors;
};

struct nvme_io;

struct nvme {
	struct pci_fn	 fn;
	struct device	*dev;
	struct block	*image;
	pthread_mutex_t	 lock;
	pthread_cond_t	 idle;		/* flying is 0, or changing is false */
	/* fixed */
	uint32_t	 nqueues;	/* with the administrator's */
	uint32_t	 qmax;		/* entries of a queue, at most */
	uint32_t	 slots;		/* requests to the image at once */
	uint8_t		 lbashift;
	bool		 discard, writethrough;
	char		 serial[20], nqn[80];
	uint8_t		 eui64[8];
	/* of the moment */
	bool		 active;	/* between resume and pause */
	bool		 master;	/* of the bus */
	bool		 stopping;	/* a reset waits: requests complete without telling the driver */
	bool		 changing;	/* somebody is at CC */
	unsigned	 flying;	/* requests to the image; reset and pause wait for 0 */
	unsigned	 turn;		/* the next queue that may give a command */
	bool		 flushing;	/* by shutdown */
	struct block_req shutdown;
	struct nvme_io	*free;
	unsigned	 nfree;
	/* state */
	uint32_t	 cc, csts, aqa, intm;
	uint64_t	 asq, acq;
	struct nvme_sq	 sq[NVME_QUEUES_MAX];
	struct nvme_cq	 cq[NVME_QUEUES_MAX];
	uint16_t	 aer[NVME_AERS_MAX];
	uint32_t	 naers;
	struct nvme_event event[NVME_EVENTS];
	struct nvme_error error[NVME_ERRORS_MAX];	/* a ring: entry count is at count % NVME_ERRORS_MAX */
	struct nvme_features features;
	struct nvme_counters counters;
};

static inline uint32_t
nvme_page(const struct nvme *n)
{
	return (4096U << NVME_CC_MPS(n->cc));
}

/* Blocks of the namespace. */
static inline uint64_t
nvme_blocks(const struct nvme *n)
{
	return (block_size(n->image) >> n->lbashift);
}

/* Entries of a queue that are in use: one less than its size, at most (4.1). */
static inline uint32_t
nvme_used(uint32_t head, uint32_t tail, uint32_t size)
{
	return (tail >= head ? tail - head : size - head + tail);
}

/* Whether a completion queue has room for more than it owes. */
static inline bool
nvme_has_room(const struct nvme_cq *cq)
{
	return (cq->size - 1 - nvme_used(cq->head, cq->tail, cq->size) > cq->owed);
}

/* nvme_queue.c */

/* Whether commands may be taken from queues. */
bool	nvme_works(const struct nvme *n);
/* Take commands from queues in turn, as long as there are any and room for their answers; tell events; see to the pin. */
void	nvme_run(struct nvme *n);
/* Doorbell i (3.1.24, 3.1.25): of submission queue i / 2, or with an odd i of the completion queue. */
void	nvme_doorbell(struct nvme *n, unsigned i, uint32_t val);
/* Answer a command that was taken. */
void	nvme_complete(struct nvme *n, const struct nvme_req *r, uint16_t status);
/* The request of a submission queue, to complete or not, is over: what waits for it. */
void	nvme_released(struct nvme *n, unsigned sqid);
/* 9.5: what no completion can tell; only a reset helps. */
void	nvme_fatal(struct nvme *n, const char *why);
void	nvme_event(struct nvme *n, unsigned type, uint8_t info);
/* The pin follows queues and masks. */
void	nvme_update_pin(struct nvme *n);
bool	nvme_in_ram(const struct nvme *n, vm_paddr_t gpa, size_t len);
/*
 * The memory that PRPs (4.3) name for len bytes, at most NVME_DATA_MAX: in seg, of NVME_SEGS_MAX, *nsegs pieces, all RAM.  A status.
 */
uint16_t nvme_prps(struct nvme *n, const struct nvme_cmd *cmd, size_t len, struct nvme_seg *seg, unsigned *nsegs);
/* Data of a command to the guest's memory, of whose len bytes only the first are written, or from it.  A status. */
uint16_t nvme_put(struct nvme *n, const struct nvme_cmd *cmd, const void *buf, size_t have, size_t len);
uint16_t nvme_get(struct nvme *n, const struct nvme_cmd *cmd, void *buf, size_t len);

/* nvme_admin.c, nvme_identify.c, nvme_io.c: execute a command; a status, or NVME_LATER. */

uint16_t nvme_admin(struct nvme *n, struct nvme_req *r);
uint16_t nvme_identify(struct nvme *n, struct nvme_req *r);
uint16_t nvme_log_page(struct nvme *n, struct nvme_req *r);
uint16_t nvme_io(struct nvme *n, struct nvme_req *r);

void	nvme_features_reset(struct nvme *n);
/* Bits of the SMART log's critical warning. */
uint8_t	nvme_warnings(const struct nvme *n);
/* Whether the image gets discards. */
bool	nvme_has_discard(const struct nvme *n);
/* Begin to make everything durable; CSTS tells the end (7.6.2). */
void	nvme_shutdown(struct nvme *n);
void	nvme_free_ios(struct nvme *n);

#endif /* _HYVE_NVME_H_ */

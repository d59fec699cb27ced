/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme.c - an NVM Express controller (NVMe 1.4) on PCI with one namespace, over an image of block/: its registers and its life.
 *
 * BAR 0 has the registers and the doorbells; BAR 4 the message vectors, one for each pair of queues that there may be.  A doorbell says a
 * value, so it is a register and no struct vm_doorbell.
 *
 * Commands are taken from their queues and checked on the thread of the vCPU that rang, or of the image's that made room; the image's
 * threads complete them.  n->flying counts requests that the image has; a reset of the controller, the loss of the bus and pause wait for it
 * to become 0, as a request cannot be taken back from the host.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../hash.h"
#include "nvme.h"

#define	BAR_REGS	0
#define	BAR_MSIX	4
#define	REGS_LEN	0x4000U
#define	DOORBELLS	0x1000U		/* CAP.DSTRD 0: 4 bytes each */

/* Registers (3.1) */
enum {
	R_CAP = 0x00, R_VS = 0x08, R_INTMS = 0x0c, R_INTMC = 0x10, R_CC = 0x14, R_CSTS = 0x1c, R_AQA = 0x24, R_ASQ = 0x28, R_ACQ = 0x30,
	R_END = 0x40,
};

#define	VERSION		0x00010400U
#define	CAP_CQR		(1ULL << 16)	/* queues are in one piece */
#define	CAP_TO		(60ULL << 24)	/* half seconds: a request of a slow host may take long */
#define	CAP_NVM		(1ULL << 37)
#define	CAP_MPSMAX	((uint64_t)NVME_MPS_MAX << 52)
#define	CC_FIXED	0x3ff0U		/* CSS, MPS and AMS, while the controller is enabled */
#define	CC_MASK		0x00fffff1U
#define	ASQS(aqa)	(((aqa) & 0xfff) + 1)
#define	ACQS(aqa)	(((aqa) >> 16 & 0xfff) + 1)

_Static_assert(DOORBELLS + NVME_QUEUES_MAX * 8 <= REGS_LEN, "every queue has its doorbells");
_Static_assert(NVME_QUEUES_MAX <= PCI_MSIX_MAX, "and a vector");

static const char *const caches[] = { "writeback", "writethrough", NULL };
static const char *const dsms[] = { "auto", "enable", "disable", NULL };
enum { DSM_AUTO, DSM_ENABLE, DSM_DISABLE };

static const struct config_key keys[] = {
	BLOCK_KEYS,
	DEVICE_BOOT_KEY,
	KEY_ENUM("cache", "writeback", caches, "writethrough makes every write durable before it completes, until the driver asks for a cache"),
	KEY_INT("maxq", 16, 1, NVME_QUEUES_MAX - 1, "pairs of I/O queues, at most"),
	KEY_INT("qsz", 2058, 2, 65536, "entries of a queue, at most"),
	KEY_INT("ioslots", 64, 1, 1024, "requests that are executed at once, at most"),
	KEY_SIZE("sectsz", 512, 512, 4096, "logical block size in bytes: 512 or 4096"),
	KEY_STRING("ser", NULL, "serial number, at most 20 bytes; else one made from the path"),
	KEY_STRING("eui64", NULL, "the namespace's IEEE extended unique identifier, a number of 64 bits; else one made from the path"),
	KEY_ENUM("dsm", "auto", dsms, "dataset management, which passes discarded ranges on to the image; auto: unless it is read-only"),
};

/* Resets */

/* Lock held, which is let go meanwhile. */
static void
wait_idle(struct nvme *n)
{
	while (n->flying != 0)
		pthread_cond_wait(&n->idle, &n->lock);
}

/* 7.3.2: all but AQA, ASQ and ACQ.  Nothing is in flight. */
static void
reset_controller(struct nvme *n)
{
	n->csts = 0;
	n->intm = 0;
	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	n->naers = 0;
	memset(n->aer, 0, sizeof(n->aer));
	memset(n->event, 0, sizeof(n->event));
	n->turn = 0;
	nvme_features_reset(n);
	nvme_update_pin(n);
}

/* 7.6.1; what keeps the controller from working.  NULL: nothing. */
static const char *
enable(struct nvme *n)
{
	uint32_t page;

	if (NVME_CC_CSS(n->cc) != 0 || NVME_CC_AMS(n->cc) != 0 || NVME_CC_MPS(n->cc) > NVME_MPS_MAX)
		return ("it was enabled with a command set, arbitration or page size that it does not have");
	page = nvme_page(n);
	/* 3.1.9: "The minimum size of the Admin Completion Queue is two entries" */
	if (ASQS(n->aqa) < 2 || ACQS(n->aqa) < 2)
		return ("it was enabled with an admin queue of one entry");
	if (n->asq % page != 0 || n->acq % page != 0)
		return ("it was enabled with an admin queue that is not at a page");
	if (!nvme_in_ram(n, n->asq, (size_t)ASQS(n->aqa) << NVME_SQES) || !nvme_in_ram(n, n->acq, (size_t)ACQS(n->aqa) << NVME_CQES))
		return ("it was enabled with an admin queue outside of RAM");
	n->sq[0] = (struct nvme_sq){ .base = n->asq, .size = ASQS(n->aqa) };
	n->cq[0] = (struct nvme_cq){ .base = n->acq, .size = ACQS(n->aqa), .ien = true, .phase = true };
	n->csts |= NVME_CSTS_RDY;
	return (NULL);
}

/* 3.1.5.  Lock held, which is let go while requests in flight are waited for; other writers of CC wait meanwhile. */
static void
set_cc(struct nvme *n, uint32_t val)
{
	uint32_t was;
	const char *why;

	while (n->changing)
		pthread_cond_wait(&n->idle, &n->lock);
	n->changing = true;
	was = n->cc;
	val &= CC_MASK;
	if ((was & NVME_CC_EN) != 0 && (val & NVME_CC_EN) == 0) {
		n->stopping = true;
		wait_idle(n);
		n->stopping = false;
		n->cc = val;
		reset_controller(n);
	} else if ((was & NVME_CC_EN) != 0) {
		n->cc = (val & ~CC_FIXED) | (was & CC_FIXED);
	} else if ((val & NVME_CC_EN) != 0) {
		/* What a shutdown before this has begun is over. */
		wait_idle(n);
		n->csts &= ~NVME_CSTS_SHST;
		n->cc = val;
		why = enable(n);
		if (why != NULL)
			nvme_fatal(n, why);
	} else {
		n->cc = val;
	}
	if (NVME_CC_SHN(val) != 0 && NVME_CC_SHN(was) == 0)
		nvme_shutdown(n);
	n->changing = false;
	pthread_cond_broadcast(&n->idle);
}

/* Registers.  Lock held. */

static uint64_t
capabilities(const struct nvme *n)
{
	return ((n->qmax - 1) | CAP_CQR | CAP_TO | CAP_NVM | CAP_MPSMAX);
}

static void
set_half(uint64_t *reg, unsigned high, uint32_t val)
{
	memcpy((uint8_t *)reg + 4 * high, &val, sizeof(val));
	*reg &= ~0xfffULL;
}

static void
write_reg(struct nvme *n, uint32_t off, uint32_t val)
{
	switch (off) {
	case R_INTMS:
		n->intm |= val;
		nvme_update_pin(n);
		break;
	case R_INTMC:
		n->intm &= ~val;
		nvme_update_pin(n);
		break;
	case R_CC:
		set_cc(n, val);
		break;
	case R_AQA:
		n->aqa = val & 0x0fff0fff;
		break;
	case R_ASQ:
	case R_ASQ + 4:
		set_half(&n->asq, off != R_ASQ, val);
		break;
	case R_ACQ:
	case R_ACQ + 4:
		set_half(&n->acq, off != R_ACQ, val);
		break;
	default:
		if (off >= DOORBELLS)
			nvme_doorbell(n, (off - DOORBELLS) / 4, val);
		break;
	}
}

/* Reading has no effect, so any width will do; doorbells read as 0. */
static uint64_t
regs_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct nvme *n = arg;
	uint8_t regs[R_END] = { 0 };
	uint64_t cap = capabilities(n), val = 0;
	uint32_t vs = VERSION;

	if (off > R_END - size)
		return (0);
	pthread_mutex_lock(&n->lock);
	memcpy(regs + R_CAP, &cap, 8);
	memcpy(regs + R_VS, &vs, 4);
	memcpy(regs + R_INTMS, &n->intm, 4);
	memcpy(regs + R_INTMC, &n->intm, 4);
	memcpy(regs + R_CC, &n->cc, 4);
	memcpy(regs + R_CSTS, &n->csts, 4);
	memcpy(regs + R_AQA, &n->aqa, 4);
	memcpy(regs + R_ASQ, &n->asq, 8);
	memcpy(regs + R_ACQ, &n->acq, 8);
	pthread_mutex_unlock(&n->lock);
	memcpy(&val, regs + off, size);
	return (val);
}

/* 3.1: registers are written in their width, those of 64 bits also as two halves. */
static void
regs_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct nvme *n = arg;

	if (off % 4 != 0 || (size != 4 && (size != 8 || off % 8 != 0))) {
		device_guest_log(n->dev, "write of %u bytes to register %#" PRIx64, size, off);
		return;
	}
	pthread_mutex_lock(&n->lock);
	write_reg(n, (uint32_t)off, (uint32_t)val);
	if (size == 8)
		write_reg(n, (uint32_t)off + 4, (uint32_t)(val >> 32));
	pthread_mutex_unlock(&n->lock);
}

static const struct pci_bar_ops regs_ops = { regs_read, regs_write };

/* Without the bus nothing is begun, and what was begun completes before it is gone, or the driver would wait for it for ever. */
static void
set_master(struct nvme *n, bool master)
{
	pthread_mutex_lock(&n->lock);
	n->master = master;
	if (master)
		nvme_run(n);
	else
		wait_idle(n);
	pthread_mutex_unlock(&n->lock);
}

static void
command(struct pci_fn *fn, uint16_t cmd)
{
	set_master(fn->dev->soft, (cmd & PCI_CMD_MASTER) != 0);
}

static const struct pci_ops pci_ops = { .command = command };

/* Life */

/* Who the disk is, in every run the same: by the keys, or made from the path and the place. */
static int
set_names(struct nvme *n, struct device *dev, const char *path)
{
	const char *serial = config_str(dev->config, "ser"), *eui64 = config_str(dev->config, "eui64");
	uint64_t h = hash_bytes(HASH_START + ((unsigned)dev->place.bus << 8 | dev->place.devfn), path, strlen(path)), h2 = hash_bytes(h, "hyve", 4), eui;
	char text[24], *end;

	if (serial != NULL && strlen(serial) > sizeof(n->serial))
		return (vmm_fail(EINVAL, "%s: ser has %zu bytes, and may have %zu", dev->name, strlen(serial), sizeof(n->serial)));
	(void)snprintf(text, sizeof(text), "HYVE-%014llX", (unsigned long long)h >> 8);
	if (serial == NULL)
		serial = text;
	memcpy(n->serial, serial, strnlen(serial, sizeof(n->serial)));
	/* 7.10.5 and RFC 4122: bit 57 marks an identifier that no registry gave; version 4, variant 1. */
	eui = (h & ~(1ULL << 56)) | 1ULL << 57;
	if (eui64 != NULL) {
		errno = 0;
		eui = strtoull(eui64, &end, 0);
		if (errno != 0 || end == eui64 || *end != '\0' || *eui64 == '-' || eui == 0)
			return (vmm_fail(EINVAL, "%s: eui64 is a number of 64 bits that is not 0, not '%.32s'", dev->name, eui64));
	}
	/* edk2 takes its bytes, as Identify has them, for a little-endian number. */
	(void)snprintf(dev->boot_unit, sizeof(dev->boot_unit), "%llx", (unsigned long long)__builtin_bswap64(eui));
	for (unsigned i = 0; i < sizeof(n->eui64); i++)
		n->eui64[i] = (uint8_t)(eui >> (56 - 8 * i));
	/* 7.9 */
	(void)snprintf(n->nqn, sizeof(n->nqn), "nqn.2014-08.org.nvmexpress:uuid:%08x-%04x-4%03x-%04x-%012llx", (unsigned)(h >> 32),
	    (unsigned)(h >> 16) & 0xffff, (unsigned)h & 0xfff, ((unsigned)(h2 >> 48) & 0x3fff) | 0x8000,
	    (unsigned long long)h2 & 0xffffffffffffULL);
	return (0);
}

static int
open_image(struct nvme *n, struct device *dev)
{
	const char *path = config_str(dev->config, "path");
	bool readonly = config_bool(dev->config, "ro");
	int64_t sector = config_num(dev->config, "sectsz"), dsm = config_num(dev->config, "dsm");

	if (sector != 512 && sector != 4096)
		return (vmm_fail(EINVAL, "%s: sectsz is 512 or 4096, not %lld", dev->name, (long long)sector));
	if (dsm == DSM_ENABLE && readonly)
		return (vmm_fail(EINVAL, "%s: dsm is for a disk that can be written", dev->name));
	if (set_names(n, dev, path) != 0)
		return (-1);
	n->lbashift = sector == 512 ? 9 : 12;
	n->discard = dsm != DSM_DISABLE;
	n->image = block_open_keys(dev, dev->config, false);
	if (n->image == NULL)
		return (-1);
	if (block_size(n->image) % (uint64_t)sector == 0)
		return (0);
	block_close(n->image);
	return (vmm_fail(EINVAL, "%s: '%s' is not a whole number of sectors of %lld bytes", dev->name, path, (long long)sector));
}

static bool
nvme_disk(struct device *dev, unsigned i, struct device_disk *disk)
{
	disk->image = ((struct nvme *)dev->soft)->image;
	return (i == 0);
}

/* After the device was paused: nothing is in flight, and nothing begins; the image's last thread may still be on its way out of done(). */
static void
nvme_fini(struct device *dev)
{
	struct nvme *n = dev->soft;

	block_close(n->image);
	pci_fini(&n->fn);
	nvme_free_ios(n);
	pthread_cond_destroy(&n->idle);
	pthread_mutex_destroy(&n->lock);
}

static int
nvme_init(struct device *dev)
{
	const struct pci_ident ident = {
		.vendor = NVME_VENDOR, .device = NVME_DEVICE, .subvendor = NVME_VENDOR, .subdevice = NVME_DEVICE,
		.class_code = 0x010802,		/* 2.1.5: mass storage, NVM, NVM Express for I/O */
		.intx = dev->place.irq[0] != NULL,
		.power = true, .flr = PCI_FLR_EXPRESS,	/* 2.3 to 2.6 */
	};
	struct nvme *n = dev->soft;
	int error;

	n->dev = dev;
	n->nqueues = (uint32_t)config_num(dev->config, "maxq") + 1;
	n->qmax = (uint32_t)config_num(dev->config, "qsz");
	n->slots = (uint32_t)config_num(dev->config, "ioslots");
	n->writethrough = config_num(dev->config, "cache") == 1;
	if (open_image(n, dev) != 0)
		return (-1);
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->idle, NULL);
	if (pci_init(&n->fn, dev, &ident, &pci_ops) != 0) {
		error = errno;
		block_close(n->image);
		pthread_cond_destroy(&n->idle);
		pthread_mutex_destroy(&n->lock);
		errno = error;
		return (-1);
	}
	if (pci_add_bar(&n->fn, BAR_REGS, PCI_BAR_MEM32, REGS_LEN, &regs_ops, n) != 0 || pci_add_msix(&n->fn, n->nqueues, BAR_MSIX) != 0) {
		error = errno;
		nvme_fini(dev);
		errno = error;
		return (-1);
	}
	return (0);
}

static void
nvme_reset(struct device *dev)
{
	struct nvme *n = dev->soft;

	pci_reset(&n->fn);
	pthread_mutex_lock(&n->lock);
	n->master = false;
	n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	memset(n->error, 0, sizeof(n->error));
	memset(&n->counters, 0, sizeof(n->counters));
	reset_controller(n);
	pthread_mutex_unlock(&n->lock);
}

static void
nvme_pause(struct device *dev)
{
	struct nvme *n = dev->soft;

	pthread_mutex_lock(&n->lock);
	n->active = false;
	wait_idle(n);
	pthread_mutex_unlock(&n->lock);
	pci_pause(&n->fn);
}

static void
nvme_settle(struct device *dev)
{
	struct nvme *n = dev->soft;

	(void)block_settle(n->image);
}

/* A snapshot without all of the disk is none. */
static int
nvme_saving(struct device *dev)
{
	struct nvme *n = dev->soft;

	return (block_settle(n->image));
}

/* Commands that came meanwhile, or that the pause left in their queues, are taken now. */
static void
nvme_resume(struct device *dev)
{
	struct nvme *n = dev->soft;

	pci_resume(&n->fn);
	pthread_mutex_lock(&n->lock);
	n->active = true;
	if ((n->csts & NVME_CSTS_SHST) == NVME_SHST_BUSY)
		nvme_shutdown(n);
	pthread_mutex_unlock(&n->lock);
	set_master(n, pci_master(&n->fn));
	pthread_mutex_lock(&n->lock);
	nvme_update_pin(n);
	pthread_mutex_unlock(&n->lock);
}

/* State */

static int
check_queues(const struct nvme *n)
{
	for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
		const struct nvme_sq *sq = &n->sq[i];
		const struct nvme_cq *cq = &n->cq[i];

		if ((sq->size != 0 || cq->size != 0) && i >= n->nqueues)
			return (vm_state_complain("queue %u, of which there are %u", i, n->nqueues));
		if (sq->size == 1 || cq->size == 1 || sq->size > 65536 || cq->size > 65536)
			return (vm_state_complain("queue %u with %u and %u entries", i, sq->size, cq->size));
		if (sq->head >= sq->size + (sq->size == 0) || sq->tail >= sq->size + (sq->size == 0) ||
		    cq->head >= cq->size + (cq->size == 0) || cq->tail >= cq->size + (cq->size == 0))
			return (vm_state_complain("queue %u goes on outside of itself", i));
		if (sq->size != 0 && (sq->cqid >= n->nqueues || n->cq[sq->cqid].size == 0 || (i == 0) != (sq->cqid == 0)))
			return (vm_state_complain("queue %u completes to queue %u", i, sq->cqid));
		if (cq->vector >= n->nqueues)
			return (vm_state_complain("queue %u with interrupt vector %u", i, cq->vector));
	}
	if ((n->csts & NVME_CSTS_RDY) != 0 && (n->sq[0].size == 0 || n->cq[0].size == 0))
		return (vm_state_complain("a controller at work without its admin queues"));
	return (0);
}

/* What no controller can be in. */
static int
check(void *obj)
{
	struct nvme *n = obj;

	if ((n->csts & ~(NVME_CSTS_RDY | NVME_CSTS_CFS | NVME_CSTS_SHST)) != 0 || (n->csts & NVME_CSTS_SHST) == NVME_CSTS_SHST)
		return (vm_state_complain("status %#x has what does not exist", n->csts));
	if ((n->csts & NVME_CSTS_RDY) != 0 && ((n->cc & NVME_CC_EN) == 0 || NVME_CC_MPS(n->cc) > NVME_MPS_MAX))
		return (vm_state_complain("a controller at work with configuration %#x", n->cc));
	if (n->naers > NVME_AERS_MAX)
		return (vm_state_complain("%u asynchronous event requests", n->naers));
	if (n->features.nsq == 0 || n->features.nsq >= n->nqueues || n->features.ncq == 0 || n->features.ncq >= n->nqueues)
		return (vm_state_complain("%u and %u queues, of which there are %u", n->features.nsq, n->features.ncq, n->nqueues));
	return (check_queues(n));
}

static const struct vm_state_field sq_fields[] = {
	VM_STATE_U64(struct nvme_sq, base), VM_STATE_U32(struct nvme_sq, size), VM_STATE_U32(struct nvme_sq, head),
	VM_STATE_U32(struct nvme_sq, tail), VM_STATE_U16(struct nvme_sq, cqid),
};
static const struct vm_state_table sq_table = VM_STATE_TABLE("nvme.sq", 1, 1, sq_fields, NULL);

static const struct vm_state_field cq_fields[] = {
	VM_STATE_U64(struct nvme_cq, base), VM_STATE_U32(struct nvme_cq, size), VM_STATE_U32(struct nvme_cq, head),
	VM_STATE_U32(struct nvme_cq, tail), VM_STATE_U16(struct nvme_cq, vector), VM_STATE_BOOL(struct nvme_cq, ien),
	VM_STATE_BOOL(struct nvme_cq, phase),
};
static const struct vm_state_table cq_table = VM_STATE_TABLE("nvme.cq", 1, 1, cq_fields, NULL);

static const struct vm_state_field event_fields[] = {
	VM_STATE_BOOL(struct nvme_event, pending), VM_STATE_BOOL(struct nvme_event, masked), VM_STATE_U8(struct nvme_event, info),
};
static const struct vm_state_table event_table = VM_STATE_TABLE("nvme.event", 1, 1, event_fields, NULL);

static const struct vm_state_field error_fields[] = {
	VM_STATE_U64(struct nvme_error, count), VM_STATE_U16(struct nvme_error, sqid), VM_STATE_U16(struct nvme_error, cid),
	VM_STATE_U16(struct nvme_error, status), VM_STATE_U32(struct nvme_error, nsid), VM_STATE_U64(struct nvme_error, lba),
};
static const struct vm_state_table error_table = VM_STATE_TABLE("nvme.error", 1, 1, error_fields, NULL);

static const struct vm_state_field feature_fields[] = {
	VM_STATE_U32(struct nvme_features, arbitration), VM_STATE_U32(struct nvme_features, recovery),
	VM_STATE_U32(struct nvme_features, coalescing), VM_STATE_U32(struct nvme_features, atomicity),
	VM_STATE_U32(struct nvme_features, events), VM_STATE_U16(struct nvme_features, over), VM_STATE_U16(struct nvme_features, under),
	VM_STATE_BOOL(struct nvme_features, wce), VM_STATE_U32(struct nvme_features, nsq), VM_STATE_U32(struct nvme_features, ncq),
	VM_STATE_U64(struct nvme_features, uncoalesced),
};
static const struct vm_state_table feature_table = VM_STATE_TABLE("nvme.features", 1, 1, feature_fields, NULL);

static const struct vm_state_field counter_fields[] = {
	VM_STATE_U64(struct nvme_counters, sectors_read), VM_STATE_U64(struct nvme_counters, sectors_written),
	VM_STATE_U64(struct nvme_counters, reads), VM_STATE_U64(struct nvme_counters, writes),
	VM_STATE_U64(struct nvme_counters, media_errors), VM_STATE_U64(struct nvme_counters, errors),
};
static const struct vm_state_table counter_table = VM_STATE_TABLE("nvme.counters", 1, 1, counter_fields, NULL);

static const struct vm_state_field fields[] = {
	PCI_STATE(struct nvme), VM_STATE_U32(struct nvme, cc), VM_STATE_U32(struct nvme, csts), VM_STATE_U32(struct nvme, aqa),
	VM_STATE_U32(struct nvme, intm), VM_STATE_U64(struct nvme, asq), VM_STATE_U64(struct nvme, acq),
	VM_STATE_STRUCTS(struct nvme, sq, &sq_table), VM_STATE_STRUCTS(struct nvme, cq, &cq_table), VM_STATE_U16S(struct nvme, aer),
	VM_STATE_U32(struct nvme, naers), VM_STATE_STRUCTS(struct nvme, event, &event_table),
	VM_STATE_STRUCTS(struct nvme, error, &error_table), VM_STATE_STRUCT(struct nvme, features, &feature_table),
	VM_STATE_STRUCT(struct nvme, counters, &counter_table),
};

static const struct vm_state_table state = VM_STATE_TABLE("nvme", 1, 1, fields, check);

DEVICE_CLASS(nvme, "nvme", "NVM Express disk (NVMe 1.4)", keys, &state,
    .on = DEVICE_ON_PCI,
    .boot = "pci8086,5845/namespace@1,",
    .size = sizeof(struct nvme),
    .init = nvme_init,
    .disk = nvme_disk,
    .fini = nvme_fini,
    .reset = nvme_reset,
    .pause = nvme_pause,
    .saving = nvme_saving,
    .settle = nvme_settle,
    .resume = nvme_resume);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_blk.c - the block device (virtio 1.2 section 5.2) over an image of block/.
 *
 * A request is checked when it is taken from its queue; its data goes straight between the image and guest memory, on the image's
 * threads, and its status is written when that is complete.  b->flying counts requests that are not complete; reset and pause
 * wait for it to become 0, for a request cannot be taken back from the host.
 *
 * vd.lock guards everything but a request in flight, which is the image's.  Order: vd.lock, then the image's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../block/block.h"
#include "../error.h"
#include "virtio.h"

#define	QUEUE_SIZE	256
#define	QUEUES_MAX	8
#define	SEGS_MAX	126		/* of data, as the driver is told; it may cut header and status too, so chains are longer */
#define	FREE_MAX	32		/* requests kept for the next ones */
#define	ID_LEN		20
#define	DISCARD_SEGS	16
#define	DISCARD_SECTORS	(1U << 22)	/* of a segment: 2 GiB */

/* Features (5.2.3) */
#define	F_SEG_MAX	(1ULL << 2)
#define	F_RO		(1ULL << 5)
#define	F_BLK_SIZE	(1ULL << 6)
#define	F_FLUSH		(1ULL << 9)
#define	F_CONFIG_WCE	(1ULL << 11)
#define	F_MQ		(1ULL << 12)
#define	F_DISCARD	(1ULL << 13)
#define	F_WRITE_ZEROES	(1ULL << 14)

/* Requests (5.2.6) */
#define	T_IN		0
#define	T_OUT		1
#define	T_FLUSH		4
#define	T_GET_ID	8
#define	T_DISCARD	11
#define	T_WRITE_ZEROES	13
#define	S_OK		0
#define	S_IOERR		1
#define	S_UNSUPP	2

struct header {
	uint32_t	type, reserved;
	uint64_t	sector;
};

struct range {
	uint64_t	sector;
	uint32_t	count, flags;
};

/* Configuration space (5.2.4) */
struct blk_config {
	uint64_t	capacity;
	uint32_t	size_max, seg_max;
	uint16_t	cylinders;
	uint8_t		heads, sectors;
	uint32_t	blk_size;
	uint8_t		physical_block_exp, alignment_offset;
	uint16_t	min_io_size;
	uint32_t	opt_io_size;
	uint8_t		writeback, unused0;
	uint16_t	num_queues;
	uint32_t	max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t	max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t		write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));

_Static_assert(sizeof(struct blk_config) == 60, "5.2.4");
#define	WRITEBACK_OFF	offsetof(struct blk_config, writeback)

struct vblk;

/* A request in flight. */
struct io {
	struct block_req req;
	struct vblk	*b;
	struct virtqueue *vq;
	struct vq_chain	 chain;
	struct vq_seg	 seg[QUEUE_SIZE];
	struct iovec	 iov[QUEUE_SIZE];
	struct vm_wsec	 ws[QUEUE_SIZE];
	unsigned	 nws;
	uint32_t	 written;	/* bytes of data given to the driver */
	struct range	 range[DISCARD_SEGS];
	unsigned	 nranges, nextrange;
	bool		 sync;		/* a flush follows the write */
	struct io	*next;		/* free */
};

struct vblk {
	struct virtio	 vd;
	struct virtqueue vq[QUEUES_MAX];
	struct virtio_ops ops;		/* what is offered depends on the image */
	struct block	*image;
	struct blk_config config;
	char		 id[ID_LEN];
	pthread_cond_t	 idle;
	unsigned	 flying;
	unsigned	 queued[QUEUES_MAX];	/* of these, by queue */
	unsigned	 stopping;	/* resets that wait: complete without telling the driver */
	bool		 starved;	/* chains were left: look again when a request is complete */
	struct io	*free;		/* one at least while nothing flies */
	unsigned	 nfree;
	/* state */
	uint8_t		 writeback;
};

static const char *const caches[] = { "writeback", "writethrough", NULL };

static const struct config_key keys[] = {
	BLOCK_KEYS,
	DEVICE_BOOT_KEY,
	KEY_ENUM("cache", "writeback", caches, "writethrough makes every write durable before it completes"),
	KEY_BOOL("discard", true, "pass discarded ranges on to the image"),
	KEY_SIZE("sectorsize", 512, 512, 4096, "logical sector size in bytes: 512 or 4096"),
	KEY_INT("queues", 1, 1, QUEUES_MAX, "request queues"),
	KEY_STRING("serial", "", "what the guest sees as serial number, at most 20 bytes"),
};

static struct io *
io_get(struct vblk *b)
{
	struct io *io = b->free;

	if (io == NULL)
		return (malloc(sizeof(*io)));
	b->free = io->next;
	b->nfree--;
	return (io);
}

static void
io_put(struct vblk *b, struct io *io)
{
	if (b->nfree == FREE_MAX) {
		free(io);
		return;
	}
	io->next = b->free;
	b->free = io;
	b->nfree++;
}

/* Tell the driver.  Lock held. */
static void
answer(struct vblk *b, struct io *io, uint8_t status)
{
	uint32_t len = status == S_OK ? io->written : 0;

	(void)vq_copy_in(io->vq, &io->chain, io->chain.writelen - 1, &status, 1);
	/* 2.7.8.2: so many bytes from the start were written; the status counts where it comes right behind the data. */
	vq_push(io->vq, &io->chain, len + (len == io->chain.writelen - 1));
	vq_signal(io->vq);
}

/* An image's thread. */
static void
done(struct block_req *req)
{
	struct io *io = req->arg;
	struct vblk *b = io->b;

	/* Where the read failed in the middle, what was stored is marked all the same. */
	for (unsigned i = 0; i < io->nws; i++)
		vm_write_commit(&io->ws[i]);
	io->nws = 0;
	if (req->error == 0 && io->nextrange < io->nranges) {
		const struct range *r = &io->range[io->nextrange++];

		req->off = r->sector * BLOCK_SECTOR;
		req->len = (uint64_t)r->count * BLOCK_SECTOR;
		req->unmap = (r->flags & 1) != 0 && b->config.write_zeroes_may_unmap;
		block_submit(b->image, req);
		return;
	}
	if (req->error == 0 && io->sync) {
		io->sync = false;
		req->op = BLOCK_FLUSH;
		block_submit(b->image, req);
		return;
	}
	if (req->error != 0)
		block_failed(b->vd.dev, "", req);
	pthread_mutex_lock(&b->vd.lock);
	if (b->stopping == 0)
		answer(b, io, req->error == 0 ? S_OK : S_IOERR);
	b->queued[io->vq->index]--;
	io_put(b, io);
	if (b->starved) {
		b->starved = false;
		for (unsigned i = 0; i < b->vd.nvq; i++)
			virtio_notify_later(&b->vq[i]);
	}
	if (--b->flying == 0)
		pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->vd.lock);
}

static void
submit(struct vblk *b, struct io *io, enum block_op op, uint64_t off, uint64_t len, int niov)
{
	io->req.op = op;
	io->req.off = off;
	io->req.len = len;
	io->req.iov = io->iov;
	io->req.niov = niov;
	io->req.done = done;
	io->req.arg = io;
	b->flying++;
	b->queued[io->vq->index]++;
	block_submit(b->image, &io->req);
}

/*
 * The data of a read: writable segments but for the last byte, the status.  Its length, -1 if some of it is no RAM.
 */
static int64_t
map_in(struct vblk *b, struct io *io, int *niov)
{
	struct vmctx *vm = b->vd.dev->vmm->vm;
	uint64_t left = io->chain.writelen - 1;

	*niov = 0;
	for (unsigned i = 0; i < io->chain.nwrite && left != 0; i++) {
		const struct vq_seg *s = &io->seg[io->chain.nread + i];
		size_t n = s->len < left ? s->len : (size_t)left;
		void *p = vm_write_begin(vm, s->gpa, n, &io->ws[io->nws]);

		if (p == NULL)
			return (-1);
		io->iov[(*niov)++] = (struct iovec){ .iov_base = p, .iov_len = n };
		io->nws++;
		left -= n;
	}
	return ((int64_t)(io->chain.writelen - 1));
}

/* The data of a write: readable segments behind the header, which may share its segment. */
static int64_t
map_out(struct vblk *b, struct io *io, int *niov)
{
	struct vmctx *vm = b->vd.dev->vmm->vm;
	uint64_t skip = sizeof(struct header);

	*niov = 0;
	for (unsigned i = 0; i < io->chain.nread; i++) {
		const struct vq_seg *s = &io->seg[i];
		const void *p;

		if (skip >= s->len) {
			skip -= s->len;
			continue;
		}
		p = vm_map_read(vm, s->gpa + skip, s->len - (size_t)skip);
		if (p == NULL)
			return (-1);
		io->iov[(*niov)++] = (struct iovec){ .iov_base = (void *)(uintptr_t)p, .iov_len = s->len - (size_t)skip };
		skip = 0;
	}
	return ((int64_t)(io->chain.readlen - sizeof(struct header)));
}

/*
 * Whether a write may complete before it is durable.  5.2.6.2: not if the driver negotiated neither flushes nor the choice; 5.2.5.2:
 * nor if it negotiated only the choice, as nothing could make the write durable then.
 */
static bool
writeback(const struct vblk *b)
{
	return (virtio_has(&b->vd, F_FLUSH) && b->writeback != 0);
}

static bool
in_image(const struct vblk *b, uint64_t sector, uint64_t len)
{
	uint64_t sectors = block_size(b->image) / BLOCK_SECTOR;

	return (len % BLOCK_SECTOR == 0 && sector <= sectors && len / BLOCK_SECTOR <= sectors - sector);
}

/* Discard and write zeroes: ranges follow the header.  A status, or -1: submitted. */
static int
start_ranges(struct vblk *b, struct io *io, bool zero)
{
	uint64_t len = io->chain.readlen - sizeof(struct header);
	const struct range *r = io->range;

	if (!virtio_has(&b->vd, zero ? F_WRITE_ZEROES : F_DISCARD))
		return (S_UNSUPP);
	if (block_readonly(b->image) || len == 0 || len % sizeof(*r) != 0 || len > sizeof(io->range) ||
	    vq_copy_out(io->vq, &io->chain, sizeof(struct header), io->range, (size_t)len) != len)
		return (S_IOERR);
	io->nranges = (unsigned)(len / sizeof(*r));
	for (unsigned i = 0; i < io->nranges; i++) {
		/* 5.2.6.2: unknown flags, and unmap of a discard */
		if ((r[i].flags & ~1U) != 0 || (!zero && r[i].flags != 0))
			return (S_UNSUPP);
		if (r[i].count > DISCARD_SECTORS || !in_image(b, r[i].sector, (uint64_t)r[i].count * BLOCK_SECTOR))
			return (S_IOERR);
	}
	io->nextrange = 1;
	io->req.unmap = (r[0].flags & 1) != 0 && b->config.write_zeroes_may_unmap;
	io->sync = zero && !writeback(b);
	submit(b, io, zero ? BLOCK_ZERO : BLOCK_DISCARD, r[0].sector * BLOCK_SECTOR, (uint64_t)r[0].count * BLOCK_SECTOR, 0);
	return (-1);
}

static int
start_data(struct vblk *b, struct io *io, const struct header *h)
{
	bool in = h->type == T_IN;
	int niov = 0;
	int64_t len;

	if (!in && block_readonly(b->image))
		return (S_IOERR);
	len = in ? map_in(b, io, &niov) : map_out(b, io, &niov);
	if (len < 0 || !in_image(b, h->sector, (uint64_t)len)) {
		while (io->nws > 0)
			vm_write_cancel(&io->ws[--io->nws]);
		return (S_IOERR);
	}
	io->written = in ? (uint32_t)len : 0;
	io->sync = !in && !writeback(b);
	submit(b, io, in ? BLOCK_READ : BLOCK_WRITE, h->sector * BLOCK_SECTOR, (uint64_t)len, niov);
	return (-1);
}

/* A status, or -1: submitted. */
static int
start(struct vblk *b, struct io *io)
{
	struct header h;

	if (vq_copy_out(io->vq, &io->chain, 0, &h, sizeof(h)) != sizeof(h))
		return (S_IOERR);
	switch (h.type) {
	case T_IN:
	case T_OUT:
		return (start_data(b, io, &h));
	case T_FLUSH:
		submit(b, io, BLOCK_FLUSH, 0, 0, 0);
		return (-1);
	case T_GET_ID:
		if (io->chain.writelen - 1 < ID_LEN)
			return (S_IOERR);
		io->written = (uint32_t)vq_copy_in(io->vq, &io->chain, 0, b->id, ID_LEN);
		return (S_OK);
	case T_DISCARD:
	case T_WRITE_ZEROES:
		return (start_ranges(b, io, h.type == T_WRITE_ZEROES));
	default:
		return (S_UNSUPP);
	}
}

static void
vblk_notify(struct virtio *vd, struct virtqueue *vq)
{
	struct vblk *b = (struct vblk *)(void *)vd;

	if (b->stopping != 0)
		return;
	/* One ring's worth at a time: another vCPU could refill it for ever. */
	for (unsigned n = 0; n < QUEUE_SIZE; n++) {
		/* A driver cannot have more chains outstanding than the queue has descriptors; one that claims to waits. */
		struct io *io = b->queued[vq->index] < vq->num ? io_get(b) : NULL;
		int status;

		if (io == NULL) {
			b->starved = true;
			return;
		}
		io->b = b;
		io->vq = vq;
		io->chain = (struct vq_chain){ .seg = io->seg, .max = QUEUE_SIZE };
		io->nws = io->nranges = io->nextrange = 0;
		io->written = 0;
		io->sync = io->req.unmap = false;
		if (vq_pop(vq, &io->chain) != 1) {
			io_put(b, io);
			return;
		}
		if (io->chain.writelen == 0) {
			io_put(b, io);
			virtio_broken(vd, "a block request has no room for its status");
			return;
		}
		status = start(b, io);
		if (status >= 0) {
			answer(b, io, (uint8_t)status);
			io_put(b, io);
		}
	}
	virtio_notify_later(vq);
}

/* Lock held. */
static void
wait_idle(struct vblk *b)
{
	while (b->flying != 0)
		pthread_cond_wait(&b->idle, &b->vd.lock);
}

static void
vblk_settle(struct virtio *vd)
{
	wait_idle((struct vblk *)(void *)vd);
}

static void
vblk_reset(struct virtio *vd)
{
	struct vblk *b = (struct vblk *)(void *)vd;

	/* Waiting lets the lock go, so that another vCPU may come here as well. */
	b->stopping++;
	wait_idle(b);
	b->stopping--;
	b->starved = false;
	b->writeback = b->config.writeback;
}

static void
vblk_drain(struct virtio *vd)
{
	struct vblk *b = (struct vblk *)(void *)vd;

	pthread_mutex_lock(&vd->lock);
	wait_idle(b);
	pthread_mutex_unlock(&vd->lock);
}

static uint64_t
vblk_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	struct vblk *b = (struct vblk *)(void *)vd;
	struct blk_config c = b->config;
	uint64_t v = 0;

	c.writeback = writeback(b);
	memcpy(&v, (const char *)&c + off, size);
	return (v);
}

static void
vblk_config_write(struct virtio *vd, uint32_t off, unsigned size, uint64_t val)
{
	struct vblk *b = (struct vblk *)(void *)vd;

	if (off == WRITEBACK_OFF && size == 1 && virtio_has(vd, F_CONFIG_WCE))
		b->writeback = (val & 1) != 0;
}

static void
configure(struct vblk *b, struct device *dev)
{
	struct blk_config *c = &b->config;
	const char *serial = config_str(dev->config, "serial");
	bool discard = config_bool(dev->config, "discard") && !block_readonly(b->image);

	c->capacity = block_size(b->image) / BLOCK_SECTOR;
	c->seg_max = SEGS_MAX;
	c->blk_size = (uint32_t)config_num(dev->config, "sectorsize");
	c->writeback = config_num(dev->config, "cache") == 0;
	c->num_queues = (uint16_t)config_num(dev->config, "queues");
	c->max_discard_sectors = c->max_write_zeroes_sectors = DISCARD_SECTORS;
	c->max_discard_seg = c->max_write_zeroes_seg = DISCARD_SEGS;
	c->discard_sector_alignment = c->blk_size / BLOCK_SECTOR;
	c->write_zeroes_may_unmap = discard;
	memcpy(b->id, serial, strnlen(serial, ID_LEN));
	b->ops.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_CONFIG_WCE;
	if (c->num_queues > 1)
		b->ops.features |= F_MQ;
	if (block_readonly(b->image))
		b->ops.features |= F_RO;
	else
		b->ops.features |= F_WRITE_ZEROES | (discard ? F_DISCARD : 0);
}

static const struct virtio_ops ops = {
	.id = 2,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(struct blk_config),
	.notify = vblk_notify,
	.reset = vblk_reset,
	.settle = vblk_settle,
	.drain = vblk_drain,
	.config_read = vblk_config_read,
	.config_write = vblk_config_write,
};

static void
free_ios(struct vblk *b)
{
	struct io *io;

	while ((io = b->free) != NULL) {
		b->free = io->next;
		free(io);
	}
}

static int
vblk_init(struct device *dev)
{
	struct vblk *b = dev->soft;
	int64_t sector = config_num(dev->config, "sectorsize");
	const char *path = config_str(dev->config, "path"), *serial = config_str(dev->config, "serial");

	if (sector != 512 && sector != 4096)
		return (vmm_fail(EINVAL, "%s: sectorsize is 512 or 4096, not %lld", dev->name, (long long)sector));
	if (strlen(serial) > ID_LEN)
		return (vmm_fail(EINVAL, "%s: serial has %zu bytes, and may have %d", dev->name, strlen(serial), ID_LEN));
	b->image = block_open_keys(dev, dev->config, false);
	if (b->image == NULL)
		return (-1);
	if (block_size(b->image) % (uint64_t)sector != 0) {
		(void)vmm_fail(EINVAL, "%s: '%s' is not a whole number of sectors of %lld bytes", dev->name, path, (long long)sector);
		block_close(b->image);
		return (-1);
	}
	b->ops = ops;
	configure(b, dev);
	pthread_cond_init(&b->idle, NULL);
	b->free = malloc(sizeof(*b->free));
	if (b->free != NULL) {
		b->free->next = NULL;
		b->nfree = 1;
	}
	if (b->free == NULL || virtio_init(&b->vd, dev, &b->ops, b->vq, b->config.num_queues) != 0) {
		if (b->free == NULL)
			(void)vmm_fail(ENOMEM, "%s: no memory", dev->name);
		free_ios(b);
		pthread_cond_destroy(&b->idle);
		block_close(b->image);
		return (-1);
	}
	return (0);
}

static bool
vblk_disk(struct device *dev, unsigned i, struct device_disk *disk)
{
	disk->image = ((struct vblk *)dev->soft)->image;
	return (i == 0);
}

static void
vblk_fini(struct device *dev)
{
	struct vblk *b = dev->soft;

	/* Paused, so nothing is in flight, and nothing begins; the image's last thread may still be on its way out of done(). */
	block_close(b->image);
	virtio_device_fini(dev);
	free_ios(b);
	pthread_cond_destroy(&b->idle);
}

static void
vblk_settle_image(struct device *dev)
{
	struct vblk *b = dev->soft;

	(void)block_settle(b->image);
}

/* A snapshot without all of the disk is none. */
static int
vblk_saving(struct device *dev)
{
	struct vblk *b = dev->soft;

	return (block_settle(b->image));
}

static const struct vm_state_field fields[] = {
	VIRTIO_STATE(struct vblk), VIRTIO_QUEUES(struct vblk), VM_STATE_U8(struct vblk, writeback),
};

static const struct vm_state_table state = VM_STATE_TABLE("virtio-blk", 1, 1, fields, NULL);

DEVICE_CLASS(virtio_blk, "virtio-blk", "paravirtual disk", keys, &state,
    .on = DEVICE_ON_VIRTIO,
    .hot = true,
    .boot = "scsi/disk@0,0",
    .size = sizeof(struct vblk),
    .init = vblk_init,
    .disk = vblk_disk,
    .fini = vblk_fini,
    .reset = virtio_device_reset,
    .pause = virtio_device_pause,
    .saving = vblk_saving,
    .settle = vblk_settle_image,
    .resume = virtio_device_resume);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtqueue.c - split virtqueues (virtio 1.2 section 2.7), device side, against a driver that
 * may do anything.
 *
 * Ring layout, all little-endian:
 *	descriptor	u64 addr, u32 len, u16 flags, u16 next			at desc, num of them
 *	available	u16 flags, u16 idx, u16 ring[num], u16 used_event	at avail
 *	used		u16 flags, u16 idx, {u32 id, u32 len}[num], u16 avail_event	at used
 */
#include <endian.h>
#include <string.h>

#include "../trace.h"
#include "virtio.h"

#define	DESC_NEXT	1
#define	DESC_WRITE	2
#define	DESC_INDIRECT	4
#define	DESC_SIZE	16U

#define	AVAIL_NO_INTERRUPT	1
#define	AVAIL_IDX	2U
#define	AVAIL_RING	4U
#define	AVAIL_SIZE(n)	(6U + 2U * (n))
#define	USED_IDX	2U
#define	USED_RING	4U
#define	USED_ELEM	8U
#define	USED_SIZE(n)	(6U + 8U * (n))

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static struct vmctx *
vm_of(const struct virtqueue *vq)
{
	return (vq->vd->dev->vmm->vm);
}

/* Rings may end below 2^64 only. */
static bool
in_ram(const struct virtqueue *vq, vm_paddr_t gpa, size_t len)
{
	return (gpa + len >= gpa && vm_map_read(vm_of(vq), gpa, len) != NULL);
}

const char *
vq_problem(const struct virtqueue *vq)
{
	/* 2.7: "Queue Size value is always a power of 2"; 2.7.2: the alignments. */
	if (vq->num == 0 || (vq->num & (vq->num - 1)) != 0 || vq->num > vq->vd->ops->queue_max)
		return ("the queue size is not a power of 2 within the maximum");
	if (vq->desc % 16 != 0 || vq->avail % 2 != 0 || vq->used % 4 != 0)
		return ("a ring is not aligned");
	if (!in_ram(vq, vq->desc, DESC_SIZE * vq->num) || !in_ram(vq, vq->avail, AVAIL_SIZE(vq->num)) ||
	    !in_ram(vq, vq->used, USED_SIZE(vq->num)))
		return ("a ring is outside of RAM");
	return (NULL);
}

/* One atomic read of 16 bits at an even address.  false: not RAM (a state that was loaded may say anything). */
static bool
read16(const struct virtqueue *vq, vm_paddr_t gpa, uint16_t *val)
{
	const uint16_t *p = vm_map_read(vm_of(vq), gpa, sizeof(*p));

	if (p == NULL)
		return (false);
	*val = le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
	return (true);
}

/* The same for writing; everything stored before is visible to whoever sees it. */
static bool
write16(const struct virtqueue *vq, vm_paddr_t gpa, uint16_t val)
{
	struct vm_wsec ws;
	uint16_t *p = vm_write_begin(vm_of(vq), gpa, sizeof(*p), &ws);

	if (p == NULL)
		return (false);
	__atomic_store_n(p, htole16(val), __ATOMIC_RELEASE);
	vm_write_commit(&ws);
	return (true);
}

static bool
usable(const struct virtqueue *vq)
{
	return (vq->ready && vq->vd->dma && (vq->vd->status & VIRTIO_NEEDS_RESET) == 0);
}

/*
 * The number of chains available and not taken: 0 to num, -1 if the queue broke.  The driver
 * cannot have more than num outstanding, so a larger distance is a lie (2.7.6).
 */
static int
pending(struct virtqueue *vq)
{
	uint16_t idx, n;

	if (!read16(vq, vq->avail + AVAIL_IDX, &idx)) {
		virtio_broken(vq->vd, "the available ring is outside of RAM");
		return (-1);
	}
	n = (uint16_t)(idx - vq->next_avail);
	if (n > vq->num) {
		virtio_broken(vq->vd, "the available index jumped");
		return (-1);
	}
	return (n);
}

bool
vq_more(struct virtqueue *vq)
{
	return (usable(vq) && pending(vq) > 0);
}

/*
 * Nothing is available: with EVENT_IDX ask for a notification at the next chain (2.7.10), and
 * look once more, as it may have come before the driver saw that.  Without EVENT_IDX
 * notifications are never switched off.
 */
static int
arm(struct virtqueue *vq)
{
	if (!virtio_has(vq->vd, VIRTIO_F_EVENT_IDX))
		return (0);
	if (!vq->armed || vq->armed_at != vq->next_avail) {
		if (!write16(vq, vq->used + USED_RING + USED_ELEM * vq->num, vq->next_avail)) {
			virtio_broken(vq->vd, "the used ring is outside of RAM");
			return (-1);
		}
		vq->armed = true;
		vq->armed_at = vq->next_avail;
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (pending(vq));
}

/*
 * A descriptor, read once.  false: not RAM.  The driver's index orders it behind what wrote it (2.7.13.1), perhaps another device;
 * that is no order that the thread sanitizer could see.
 */
static __attribute__((no_sanitize("thread"))) bool
read_desc(const struct virtqueue *vq, vm_paddr_t table, uint32_t i, struct desc *d)
{
	vm_paddr_t gpa = table + (uint64_t)DESC_SIZE * i;
	const void *p = gpa >= table ? vm_map_read(vm_of(vq), gpa, DESC_SIZE) : NULL;

	if (p == NULL)
		return (false);
	memcpy(d, p, DESC_SIZE);
	d->addr = le64toh(d->addr);
	d->len = le32toh(d->len);
	d->flags = le16toh(d->flags);
	d->next = le16toh(d->next);
	return (true);
}

/* Add a buffer to the chain; NULL or what is wrong with it. */
static const char *
add_seg(struct virtqueue *vq, struct vq_chain *chain, const struct desc *d)
{
	bool writable = (d->flags & DESC_WRITE) != 0;

	/* 2.7.4.2: writable ones behind readable ones. */
	if (!writable && chain->nwrite != 0)
		return ("a readable buffer behind a writable one");
	if (d->len == 0)
		return (NULL);
	if (!in_ram(vq, d->addr, d->len))
		return ("a buffer is outside of RAM");
	/* 2.7.5: no chain is longer than 2^32 bytes. */
	if (chain->readlen + chain->writelen + d->len > 1ULL << 32)
		return ("a chain is longer than 4 GiB");
	if (chain->nread + chain->nwrite == chain->max)
		return ("a chain has more buffers than the device takes");
	chain->seg[chain->nread + chain->nwrite] = (struct vq_seg){ d->addr, d->len };
	if (writable) {
		chain->nwrite++;
		chain->writelen += d->len;
	} else {
		chain->nread++;
		chain->readlen += d->len;
	}
	return (NULL);
}

/* Follow a chain from its head; NULL or what is wrong with it. */
static const char *
walk(struct virtqueue *vq, struct vq_chain *chain)
{
	vm_paddr_t table = vq->desc;
	uint32_t n = vq->num, i = chain->head, count = 0;
	bool indirect = false;
	const char *why;
	struct desc d;

	for (;;) {
		if (i >= n)
			return ("a descriptor index is beyond its table");
		/* 2.7.5.3.1: no chain is longer than the queue size, in a table neither.  Ends every loop. */
		if (count++ == vq->num)
			return ("a descriptor chain is a loop or longer than the queue");
		if (!read_desc(vq, table, i, &d))
			return ("a descriptor is outside of RAM");
		if ((d.flags & DESC_INDIRECT) != 0) {
			/* 2.7.5.3: negotiated, the last of its chain, not nested, and whole descriptors. */
			if (!virtio_has(vq->vd, VIRTIO_F_INDIRECT_DESC))
				return ("an indirect descriptor, which was not negotiated");
			if (indirect || (d.flags & DESC_NEXT) != 0)
				return ("an indirect descriptor inside a table or with a successor");
			if (d.len == 0 || d.len % DESC_SIZE != 0)
				return ("an indirect table is not a number of descriptors long");
			indirect = true;
			table = d.addr;
			n = d.len / DESC_SIZE;
			i = 0;
			count--;		/* the chain's length counts buffers */
			continue;
		}
		why = add_seg(vq, chain, &d);
		if (why != NULL)
			return (why);
		if ((d.flags & DESC_NEXT) == 0)
			return (NULL);
		i = d.next;
	}
}

int
vq_pop(struct virtqueue *vq, struct vq_chain *chain)
{
	const char *why;
	int n;

	if (!usable(vq))
		return (vq->ready && vq->vd->dma ? -1 : 0);
	n = pending(vq);
	if (n == 0)
		n = arm(vq);
	if (n <= 0)
		return (n);
	chain->nread = chain->nwrite = 0;
	chain->readlen = chain->writelen = 0;
	if (!read16(vq, vq->avail + AVAIL_RING + 2U * (vq->next_avail & (vq->num - 1U)), &chain->head))
		why = "the available ring is outside of RAM";
	else
		why = walk(vq, chain);
	if (why != NULL) {
		virtio_broken(vq->vd, why);
		return (-1);
	}
	vq->next_avail++;
	return (1);
}

void
vq_unpop(struct virtqueue *vq)
{
	vq->next_avail--;
}

/* The used ring's element for the n-th chain from now. */
static bool
put_used(struct virtqueue *vq, unsigned n, uint16_t head, uint32_t written)
{
	vm_paddr_t elem = vq->used + USED_RING + USED_ELEM * ((vq->next_used + n) & (vq->num - 1U));
	struct vm_wsec ws;
	uint32_t *p = vm_write_begin(vm_of(vq), elem, USED_ELEM, &ws);

	if (p == NULL) {
		virtio_broken(vq->vd, "the used ring is outside of RAM");
		return (false);
	}
	p[0] = htole32(head);
	p[1] = htole32(written);
	vm_write_commit(&ws);
	return (true);
}

void
vq_push_all(struct virtqueue *vq, const struct vq_used *used, unsigned n)
{
	if (!usable(vq))
		return;
	for (unsigned i = 0; i < n; i++) {
		TRACE(vq->vd->dev->vmm->log, virtio__used, vq->vd->dev->name, vq->index, used[i].head, used[i].written);
		if (!put_used(vq, i, used[i].head, used[i].written))
			return;
	}
	vq->next_used = (uint16_t)(vq->next_used + n);
	/* 2.7.8.2: the index after the elements. */
	if (!write16(vq, vq->used + USED_IDX, vq->next_used))
		virtio_broken(vq->vd, "the used ring is outside of RAM");
}

void
vq_push(struct virtqueue *vq, const struct vq_chain *chain, uint32_t written)
{
	const struct vq_used used = { .head = chain->head, .written = written };

	vq_push_all(vq, &used, 1);
}

void
vq_signal(struct virtqueue *vq)
{
	uint16_t old = vq->signalled, now = vq->next_used, word;
	bool wanted;

	if (!usable(vq) || old == now)
		return;
	/* The used index is written before the driver's wish is read; it does the opposite. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (virtio_has(vq->vd, VIRTIO_F_EVENT_IDX)) {
		/* 2.7.7.2: when the index passed used_event since the last time. */
		if (!read16(vq, vq->avail + AVAIL_RING + 2U * vq->num, &word))
			return;
		wanted = (uint16_t)(now - word - 1) < (uint16_t)(now - old);
	} else {
		if (!read16(vq, vq->avail, &word))
			return;
		wanted = (word & AVAIL_NO_INTERRUPT) == 0;
	}
	vq->signalled = now;
	if (wanted) {
		vq->vd->isr |= VIRTIO_ISR_QUEUE;
		vq->vd->transport->interrupt(vq->vd, vq);
	}
}

size_t
vq_copy_out(struct virtqueue *vq, const struct vq_chain *chain, uint64_t off, void *buf, size_t len)
{
	uint8_t *to = buf;
	size_t done = 0, n;
	const void *p;

	for (unsigned i = 0; vq->vd->dma && i < chain->nread && done < len; i++) {
		const struct vq_seg *s = &chain->seg[i];

		if (off >= s->len) {
			off -= s->len;
			continue;
		}
		n = s->len - (size_t)off < len - done ? s->len - (size_t)off : len - done;
		p = vm_map_read(vm_of(vq), s->gpa + off, n);
		if (p == NULL)
			break;
		memcpy(to + done, p, n);
		done += n;
		off = 0;
	}
	return (done);
}

size_t
vq_copy_in(struct virtqueue *vq, const struct vq_chain *chain, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	struct vm_wsec ws;
	size_t done = 0, n;
	void *p;

	for (unsigned i = chain->nread; vq->vd->dma && i < chain->nread + chain->nwrite && done < len; i++) {
		const struct vq_seg *s = &chain->seg[i];

		if (off >= s->len) {
			off -= s->len;
			continue;
		}
		n = s->len - (size_t)off < len - done ? s->len - (size_t)off : len - done;
		p = vm_write_begin(vm_of(vq), s->gpa + off, n, &ws);
		if (p == NULL)
			break;
		memcpy(p, from + done, n);
		vm_write_commit(&ws);
		done += n;
		off = 0;
	}
	return (done);
}

/* What no queue can be in.  Addresses are checked as they are used. */
static int
vq_check(void *obj)
{
	const struct virtqueue *vq = obj;

	/* Of the class's array the device may use a part. */
	if (vq->vd == NULL)
		return (vq->ready ? vm_state_complain("a queue that this device does not have") : 0);
	if (vq->num > vq->vd->ops->queue_max ||
	    (vq->ready && (vq->num == 0 || (vq->num & (vq->num - 1)) != 0)))
		return (vm_state_complain("a queue of %u entries", vq->num));
	if (vq->ready && (vq->desc % 16 != 0 || vq->avail % 2 != 0 || vq->used % 4 != 0))
		return (vm_state_complain("a ring that is not aligned"));
	if (vq->vector != VIRTIO_NO_VECTOR && vq->vector >= vq->vd->nvectors)
		return (vm_state_complain("a queue with interrupt vector %u, which does not exist", vq->vector));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_BOOL(struct virtqueue, ready),
	VM_STATE_U16(struct virtqueue, num),
	VM_STATE_U16(struct virtqueue, next_avail),
	VM_STATE_U16(struct virtqueue, next_used),
	VM_STATE_U16(struct virtqueue, signalled),
	VM_STATE_U64(struct virtqueue, desc),
	VM_STATE_U64(struct virtqueue, avail),
	VM_STATE_U64(struct virtqueue, used),
	VM_STATE_U16(struct virtqueue, vector),
};

const struct vm_state_table virtqueue_state_table = VM_STATE_TABLE("virtqueue", 1, 1, fields, vq_check);

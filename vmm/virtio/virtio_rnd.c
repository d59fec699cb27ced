/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_rnd.c - the entropy device (virtio 1.2 section 5.4): random bytes from the host's
 * generator.
 *
 * A buffer is filled while its notification is handled, so nothing is ever in flight.
 */
#include <sys/random.h>

#include <errno.h>

#include "virtio.h"

#define	QUEUE_SIZE	64
#define	CHAIN_MAX	65536U		/* bytes given for one chain: the driver asks again for more */

struct vrnd {
	struct virtio	 vd;
	struct virtqueue vq[1];		/* requestq */
};

/* Fill [gpa, gpa + len); the number of bytes that became random. */
static uint32_t
fill(struct vmctx *vm, vm_paddr_t gpa, uint32_t len)
{
	struct vm_wsec ws;
	uint32_t done = 0;
	uint8_t *p;
	ssize_t n;

	p = vm_write_begin(vm, gpa, len, &ws);
	if (p == NULL)
		return (0);
	while (done < len) {
		n = getrandom(p + done, len - done, 0);
		if (n > 0)
			done += (uint32_t)n;
		else if (errno != EINTR)
			break;
	}
	vm_write_commit(&ws);
	return (done);
}

static void
vrnd_notify(struct virtio *vd, struct virtqueue *vq)
{
	struct vq_seg segs[QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = QUEUE_SIZE };
	uint32_t done, want;

	/* One ring's worth at a time: another vCPU could refill it for ever. */
	for (unsigned n = 0; n < QUEUE_SIZE && vq_pop(vq, &chain) == 1; n++) {
		done = 0;
		for (unsigned i = 0; i < chain.nwrite && done < CHAIN_MAX; i++) {
			const struct vq_seg *s = &segs[chain.nread + i];

			want = s->len < CHAIN_MAX - done ? s->len : CHAIN_MAX - done;
			done += fill(vd->dev->vmm->vm, s->gpa, want);
		}
		vq_push(vq, &chain, done);
	}
	vq_signal(vq);
	if (vq_more(vq))
		virtio_notify_later(vq);
}

static const struct virtio_ops ops = {
	.id = 4,
	.queue_max = QUEUE_SIZE,
	.notify = vrnd_notify,
};

static int
vrnd_init(struct device *dev)
{
	struct vrnd *v = dev->soft;

	return (virtio_init(&v->vd, dev, &ops, v->vq, 1));
}

static const struct vm_state_field fields[] = {
	VIRTIO_STATE(struct vrnd), VIRTIO_QUEUES(struct vrnd),
};

static const struct vm_state_table state = VM_STATE_TABLE("virtio-rnd", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(virtio_rnd, "virtio-rnd", "paravirtual source of entropy", &state,
    .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct vrnd),
    .init = vrnd_init,
    .fini = virtio_device_fini,
    .reset = virtio_device_reset,
    .pause = virtio_device_pause,
    .resume = virtio_device_resume);

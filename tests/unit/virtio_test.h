/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_test.h - a virtio device of the test's own, with three queues and ten bytes of configuration.  The test says its id
 * (TVD_ID) and features (TVD_FEATURES).
 */
#ifndef _VIRTIO_TEST_H_
#define	_VIRTIO_TEST_H_

#include "virtio/virtio.h"
#include "vmm_fixture.h"

struct tvd {
	struct virtio	 vd;
	struct virtqueue vq[3];
	uint8_t		 config[10];
	unsigned	 notified[3], resets;
	struct vq_chain	*flying;	/* of queue 0: completed when it must */
};

static void
t_notify(struct virtio *vd, struct virtqueue *vq)
{
	((struct tvd *)(void *)vd)->notified[vq->index]++;
}

static void
t_reset(struct virtio *vd)
{
	((struct tvd *)(void *)vd)->resets++;
}

static void
t_settle(struct virtio *vd)
{
	struct tvd *t = (struct tvd *)(void *)vd;

	if (t->flying != NULL) {
		vq_push(&t->vq[0], t->flying, 16);
		vq_signal(&t->vq[0]);
	}
	t->flying = NULL;
}

static uint64_t
t_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	const struct tvd *t = (const struct tvd *)(const void *)vd;
	uint64_t val = 0;

	memcpy(&val, t->config + off, size);
	return (val);
}

static void
t_config_write(struct virtio *vd, uint32_t off, unsigned size, uint64_t val)
{
	struct tvd *t = (struct tvd *)(void *)vd;

	memcpy(t->config + off, &val, size);
	virtio_config_changed(vd);
}

static const struct virtio_ops tvd_ops = {
	.id = TVD_ID, .features = TVD_FEATURES, .queue_max = 64, .config_len = 10, .notify = t_notify,
	.reset = t_reset, .settle = t_settle, .config_read = t_config_read, .config_write = t_config_write,
};

static int
t_init(struct device *dev)
{
	struct tvd *t = dev->soft;

	return (virtio_init(&t->vd, dev, &tvd_ops, t->vq, 3));
}

static const struct vm_state_field tvd_fields[] = {
	VIRTIO_STATE(struct tvd), VIRTIO_QUEUES(struct tvd), VM_STATE_BYTES(struct tvd, config),
};
static const struct vm_state_table tvd_state = VM_STATE_TABLE("test-virtio", 1, 1, tvd_fields, NULL);

DEVICE_CLASS_NOKEYS(test_virtio, "test-virtio", "device of a test", &tvd_state, .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct tvd), .init = t_init, .fini = virtio_device_fini, .reset = virtio_device_reset,
    .pause = virtio_device_pause, .resume = virtio_device_resume);

#endif /* _VIRTIO_TEST_H_ */

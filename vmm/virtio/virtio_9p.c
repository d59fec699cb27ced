/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_9p.c - a folder of the host by 9P (virtio 1.2 section 5.9), served by 9p/p9.c.
 *
 * A thread of the device takes one request after the other from the queue and executes it, so that nobody else waits for the host's file
 * system.  Reset and pause wait until it is between two requests.
 *
 * The session's fids are the host's files, which no snapshot has: one is refused while there are any, that is, while the folder is mounted.
 *
 * vd.lock guards everything but the server and the messages, which are the thread's while it is busy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../9p/p9.h"
#include "../error.h"
#include "../thread.h"
#include "virtio.h"

#define	QUEUE_SIZE	128
#define	SEGS_MAX	256		/* of a chain */
#define	TAG_MAX		255

#define	F_MOUNT_TAG	(1ULL << 0)

struct v9p {
	struct virtio	 vd;
	struct virtqueue vq[1];
	struct virtio_ops ops;		/* the configuration is as long as the tag */
	struct p9	*server;
	uint8_t		*in, *out;	/* messages, of P9_MSIZE_MAX bytes */
	struct vq_seg	 seg[SEGS_MAX];
	struct vq_chain	 chain;
	uint8_t		 config[2 + TAG_MAX];
	pthread_t	 thread;
	pthread_cond_t	 work, idle;
	bool		 running;	/* the thread exists */
	bool		 ending;
	bool		 notified;
	bool		 busy;		/* a request is executed */
	unsigned	 stopping;	/* resets that wait: complete without telling the driver */
	/* state: what the server says while paused */
	uint32_t	 msize, fids;
};

static const struct config_key keys[] = {
	KEY_PATH("path", REQUIRED, "the host's folder"),
	KEY_STRING("sharename", "share", "the name by which the guest mounts it"),
	KEY_BOOL("ro", false, "refuse writes"),
};

/* One request, if there is one.  Lock held; let go meanwhile. */
static bool
serve(struct v9p *v)
{
	struct virtqueue *vq = &v->vq[0];
	size_t len, max, n;

	v->chain = (struct vq_chain){ .seg = v->seg, .max = SEGS_MAX };
	if (v->stopping != 0 || !v->vd.active || !v->vd.master || vq_pop(vq, &v->chain) != 1)
		return (false);
	len = vq_copy_out(vq, &v->chain, 0, v->in, P9_MSIZE_MAX);
	max = v->chain.writelen < P9_MSIZE_MAX ? (size_t)v->chain.writelen : P9_MSIZE_MAX;
	v->busy = true;
	pthread_mutex_unlock(&v->vd.lock);
	n = p9_request(v->server, v->in, len, v->out, max);
	pthread_mutex_lock(&v->vd.lock);
	if (v->stopping == 0 && n == 0)
		virtio_broken(&v->vd, "what it sends is no 9P request with room for a reply");
	else if (v->stopping == 0) {
		(void)vq_copy_in(vq, &v->chain, 0, v->out, n);
		vq_push(vq, &v->chain, (uint32_t)n);
		vq_signal(vq);
	}
	v->busy = false;
	pthread_cond_broadcast(&v->idle);
	return (true);
}

static void *
worker(void *arg)
{
	struct v9p *v = arg;

	pthread_mutex_lock(&v->vd.lock);
	while (!v->ending) {
		if (!v->notified) {
			pthread_cond_wait(&v->work, &v->vd.lock);
			continue;
		}
		v->notified = serve(v);
	}
	pthread_mutex_unlock(&v->vd.lock);
	return (NULL);
}

static void
v9p_notify(struct virtio *vd, struct virtqueue *vq)
{
	struct v9p *v = (struct v9p *)(void *)vd;

	v->notified = true;
	pthread_cond_signal(&v->work);
}

/* Lock held. */
static void
wait_idle(struct v9p *v)
{
	while (v->busy)
		pthread_cond_wait(&v->idle, &v->vd.lock);
}

static void
v9p_settle(struct virtio *vd)
{
	wait_idle((struct v9p *)(void *)vd);
}

static void
v9p_reset(struct virtio *vd)
{
	struct v9p *v = (struct v9p *)(void *)vd;

	/* Waiting lets the lock go, so that another vCPU may come here as well. */
	v->stopping++;
	wait_idle(v);
	v->stopping--;
	v->notified = false;
	p9_reset(v->server);
	v->msize = v->fids = 0;
}

static void
v9p_drain(struct virtio *vd)
{
	struct v9p *v = (struct v9p *)(void *)vd;

	pthread_mutex_lock(&vd->lock);
	wait_idle(v);
	v->msize = p9_msize(v->server);
	v->fids = p9_fids(v->server);
	pthread_mutex_unlock(&vd->lock);
}

static void
v9p_resume(struct device *dev)
{
	struct v9p *v = dev->soft;

	/* Another session came with a snapshot: it has no fids, and its size. */
	if (v->fids != p9_fids(v->server))
		p9_reset(v->server);
	p9_set_msize(v->server, v->msize);
	virtio_device_resume(dev);
}

static uint64_t
v9p_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	const struct v9p *v = (const struct v9p *)(const void *)vd;
	uint64_t val = 0;

	memcpy(&val, v->config + off, size);
	return (val);
}

static const struct virtio_ops ops = {
	.id = 9,
	.features = F_MOUNT_TAG,
	.queue_max = QUEUE_SIZE,
	.notify = v9p_notify,
	.reset = v9p_reset,
	.settle = v9p_settle,
	.drain = v9p_drain,
	.config_read = v9p_config_read,
};

static void
v9p_free(struct v9p *v)
{
	p9_close(v->server);
	free(v->in);
	free(v->out);
	pthread_cond_destroy(&v->work);
	pthread_cond_destroy(&v->idle);
}

/* The transport goes after the thread, which uses it. */
static void
v9p_fini(struct device *dev)
{
	struct v9p *v = dev->soft;

	pthread_mutex_lock(&v->vd.lock);
	v->ending = true;
	pthread_cond_signal(&v->work);
	pthread_mutex_unlock(&v->vd.lock);
	if (v->running)
		(void)pthread_join(v->thread, NULL);
	virtio_device_fini(dev);
	v9p_free(v);
}

static int
v9p_init(struct device *dev)
{
	struct v9p *v = dev->soft;
	const char *tag = config_str(dev->config, "sharename");
	size_t len = strlen(tag);
	int error;

	if (len == 0 || len > TAG_MAX)
		return (vmm_fail(EINVAL, "%s: sharename has %zu bytes: it needs 1 to %d", dev->name, len, TAG_MAX));
	pthread_cond_init(&v->work, NULL);
	pthread_cond_init(&v->idle, NULL);
	v->in = malloc(P9_MSIZE_MAX);
	v->out = malloc(P9_MSIZE_MAX);
	v->server = p9_open(dev->name, config_str(dev->config, "path"), config_bool(dev->config, "ro"));
	v->config[0] = (uint8_t)len;
	memcpy(v->config + 2, tag, len);
	v->ops = ops;
	v->ops.config_len = (uint32_t)(2 + len);
	if (v->in == NULL || v->out == NULL)
		(void)vmm_fail(ENOMEM, "%s: no memory", dev->name);
	if (v->in == NULL || v->out == NULL || v->server == NULL || virtio_init(&v->vd, dev, &v->ops, v->vq, 1) != 0) {
		v9p_free(v);
		return (-1);
	}
	error = thread_create(&v->thread, worker, v);
	if (error != 0) {
		(void)vmm_fail_sys(error, "%s: cannot make a thread", dev->name);
		v9p_fini(dev);
		return (-1);
	}
	v->running = true;
	return (0);
}

static int
v9p_saving(struct device *dev)
{
	const struct v9p *v = dev->soft;

	if (v->fids == 0)
		return (0);
	return (vmm_fail(EBUSY, "%s: the guest has %u files of the shared folder in use, which a snapshot cannot have: unmount it in the guest first",
	    dev->name, v->fids));
}

static int
v9p_check(void *obj)
{
	const struct v9p *v = obj;

	if (v->fids != 0)
		return (vm_state_complain("virtio-9p: files of another host are in use"));
	if (v->msize != 0 && (v->msize < P9_MSIZE_MIN || v->msize > P9_MSIZE_MAX))
		return (vm_state_complain("virtio-9p: messages of %u bytes", v->msize));
	return (0);
}

static const struct vm_state_field fields[] = {
	VIRTIO_STATE(struct v9p), VIRTIO_QUEUES(struct v9p), VM_STATE_U32(struct v9p, msize), VM_STATE_U32(struct v9p, fids),
};

static const struct vm_state_table state = VM_STATE_TABLE("virtio-9p", 1, 1, fields, v9p_check);

DEVICE_CLASS(virtio_9p, "virtio-9p", "folder of the host by 9P", keys, &state,
    .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct v9p),
    .init = v9p_init,
    .fini = v9p_fini,
    .reset = virtio_device_reset,
    .pause = virtio_device_pause,
    .resume = v9p_resume,
    .saving = v9p_saving);

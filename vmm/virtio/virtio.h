/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio.h - what virtio devices share: status and features, split virtqueues, and the
 * transports under them.
 *
 * Section numbers are those of the Virtual I/O Device specification 1.2.
 *
 * A virtio device's struct begins with a struct virtio and has its queues as an array of struct
 * virtqueue; its DEVICE_CLASS uses the lifecycle functions virtio_device_*() below, and a
 * struct virtio_ops says what is its own.
 *
 * vd->lock guards the struct, its queues and the device's own state; the ops are called with it
 * unless they say otherwise.  Queue notifications arrive on a vCPU's thread or the control
 * thread.
 *
 * Queues are memory that a hostile guest changes at any time.  Each field of it is read once;
 * whatever breaks a rule that the specification lays on the driver ends in DEVICE_NEEDS_RESET
 * (2.1.2) and nothing else.
 */
#ifndef _HYVE_VIRTIO_H_
#define	_HYVE_VIRTIO_H_

#include <pthread.h>

#include "../device.h"
#include "../pci/pci.h"

#define	VIRTQUEUE_MAX	1024		/* entries of a queue, at most; a power of 2 */

/* Device status (2.1). */
#define	VIRTIO_ACKNOWLEDGE	0x01
#define	VIRTIO_DRIVER		0x02
#define	VIRTIO_DRIVER_OK	0x04
#define	VIRTIO_FEATURES_OK	0x08
#define	VIRTIO_NEEDS_RESET	0x40
#define	VIRTIO_FAILED		0x80

/* Features that every device here has (6). */
#define	VIRTIO_F_INDIRECT_DESC	(1ULL << 28)
#define	VIRTIO_F_EVENT_IDX	(1ULL << 29)
#define	VIRTIO_F_VERSION_1	(1ULL << 32)

/* Interrupt reasons (4.2.2 InterruptStatus, 4.1.4.5 ISR). */
#define	VIRTIO_ISR_QUEUE	0x01
#define	VIRTIO_ISR_CONFIG	0x02

/* No vector (4.1.4.3). */
#define	VIRTIO_NO_VECTOR	0xffff

struct virtio;

/* A split virtqueue (2.7). */
struct virtqueue {
	struct virtio	*vd;
	uint16_t	 index;
	/* state */
	bool		 ready;
	uint16_t	 num;		/* entries */
	uint16_t	 next_avail;	/* free-running, as the rings count */
	uint16_t	 next_used;
	uint16_t	 signalled;	/* next_used when vq_signal() last looked */
	uint64_t	 desc, avail, used;
	uint16_t	 vector;	/* of its interrupts, where the transport has vectors */
	/* derived */
	bool		 armed;		/* avail_event was written with armed_at */
	uint16_t	 armed_at;
	int		 fd;		/* notification eventfd */
	struct event	*event;
	struct vm_doorbell *doorbell;
};

/* A piece of guest memory of a chain. */
struct vq_seg {
	vm_paddr_t	 gpa;
	uint32_t	 len;
};

/*
 * A descriptor chain that the driver made available: first nread segments for the device to
 * read, then nwrite to write.  All of it is RAM.  seg is the caller's array of max entries.
 */
struct vq_chain {
	struct vq_seg	*seg;
	unsigned	 max;
	unsigned	 nread, nwrite;
	uint64_t	 readlen, writelen;	/* bytes */
	uint16_t	 head;
};

/* A chain to return: its head, and the number of bytes written to it. */
struct vq_used {
	uint16_t	 head;
	uint32_t	 written;
};

/* What a device adds to the common part. */
struct virtio_ops {
	uint16_t	 id;		/* 5: device ID */
	uint64_t	 features;	/* its own bits */
	uint16_t	 queue_max;	/* entries of its queues, at most; a power of 2 up to VIRTQUEUE_MAX */
	uint32_t	 config_len;	/* bytes of its configuration space */

	/* The driver notified vq, or may have: look for available chains. */
	void	(*notify)(struct virtio *vd, struct virtqueue *vq);
	/*
	 * Instead of notify, for devices whose back end lives on the control thread: called there, without the lock, so that the
	 * back end can be called and can call back.  The driver may reset the device meanwhile.
	 */
	void	(*service)(struct virtio *vd, struct virtqueue *vq);
	/* Forget requests and the device's own state; none may complete afterwards.  May be NULL. */
	void	(*reset)(struct virtio *vd);
	/* Wait until requests in flight are complete; the lock may be let go meanwhile.  Lock held.  May be NULL. */
	void	(*settle)(struct virtio *vd);
	/* Wait for requests in flight, or take them back.  Without the lock, on the control thread.  May be NULL. */
	void	(*drain)(struct virtio *vd);
	/*
	 * Access to the configuration space, off + size within config_len, size 1, 2, 4 or 8.
	 * NULL: reads 0, ignores writes.
	 */
	uint64_t (*config_read)(struct virtio *vd, uint32_t off, unsigned size);
	void	(*config_write)(struct virtio *vd, uint32_t off, unsigned size, uint64_t val);
};

/* How the driver reaches the device: registers, notifications and interrupts. */
struct virtio_transport {
	const char	*name;
	unsigned	 on;		/* DEVICE_ON_*: where it is used */
	int		(*attach)(struct virtio *vd);
	void		(*detach)(struct virtio *vd);
	/* vd->isr has new bits; vq is the queue, NULL for the configuration.  Lock held. */
	void		(*interrupt)(struct virtio *vd, struct virtqueue *vq);
	/* Drive interrupts as vd->isr says: after reset and at resume.  Lock held. */
	void		(*refresh)(struct virtio *vd);
	/* From the device's: without the lock, first in reset and resume, last in pause.  May be NULL. */
	void		(*reset)(struct virtio *vd);
	void		(*pause)(struct virtio *vd);
	void		(*resume)(struct virtio *vd);
};

struct virtio {
	struct device	*dev;
	const struct virtio_ops *ops;
	const struct virtio_transport *transport;
	struct vm_range	*range;		/* the transport's */
	struct virtqueue *vq;
	unsigned	 nvq;
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */
	bool		 master;	/* it may begin to access guest memory; derived */
	bool		 dma;		/* it may access guest memory: longer than master, to complete what it began; derived */
	unsigned	 nvectors;	/* of the transport */
	uint8_t		 pci_cap;	/* on PCI: offset of the configuration access capability */
	/* state */
	struct pci_fn	 fn;		/* on PCI only */
	uint8_t		 status;
	uint8_t		 isr;
	uint8_t		 generation;	/* of the configuration space */
	uint64_t	 driver_features;
	uint32_t	 device_sel, driver_sel, queue_sel;	/* selectors, as all transports have them */
	uint16_t	 vector;	/* of the configuration's interrupts */
};

extern const struct vm_state_table virtio_state_table, virtqueue_state_table;
/* State fields of a device's struct s: member vd, and the array of queues vq. */
#define	VIRTIO_STATE(s)		VM_STATE_STRUCT(s, vd, &virtio_state_table)
#define	VIRTIO_QUEUES(s)	VM_STATE_STRUCTS(s, vq, &virtqueue_state_table)

/* virtio.c - life */

/*
 * From the class's init: set vd up with nvq queues and attach the transport of the device's
 * place.  -1 with a sentence.
 */
int	virtio_init(struct virtio *vd, struct device *dev, const struct virtio_ops *ops, struct virtqueue *vq,
	    unsigned nvq);
/* For DEVICE_CLASS(): fini, reset, pause and resume of a device whose struct begins with its struct virtio. */
void	virtio_device_fini(struct device *dev);
void	virtio_device_reset(struct device *dev);
void	virtio_device_pause(struct device *dev);
void	virtio_device_resume(struct device *dev);

/* virtio.c - for devices */

/* Whether a feature was negotiated. */
bool	virtio_has(const struct virtio *vd, uint64_t feature);
/* The driver broke a rule: say so, set DEVICE_NEEDS_RESET, stop.  Lock held. */
void	virtio_broken(struct virtio *vd, const char *why);
/* The configuration space changed: new generation and an interrupt.  Lock held. */
void	virtio_config_changed(struct virtio *vd);
/* Have notify called again for vq by the control thread: to go on later with work that was left.  Lock held. */
void	virtio_notify_later(struct virtqueue *vq);

/* virtio.c - for transports; lock not held */

/* The driver notified queue index. */
void	virtio_notify(struct virtio *vd, unsigned index);
/* For transports, lock held: the offered features, a write of the device status, and of a queue's readiness. */
uint64_t virtio_features(const struct virtio *vd);
void	virtio_set_status(struct virtio *vd, uint8_t status);
void	virtio_set_queue_ready(struct virtio *vd, struct virtqueue *vq, bool ready);
/*
 * The same: whether the device may access guest memory; until then it looks at no queue.  Switched off, it completes requests in
 * flight first, and lets the lock go while it waits.
 */
void	virtio_set_dma(struct virtio *vd, bool on);
/* Configuration space with its bounds. */
uint64_t virtio_config_read(struct virtio *vd, uint32_t off, unsigned size);
void	virtio_config_write(struct virtio *vd, uint32_t off, unsigned size, uint64_t val);

/* virtqueue.c; lock held throughout */

/* Refuse the rings that the driver set up, with the reason, NULL if they are good. */
const char *vq_problem(const struct virtqueue *vq);
/*
 * Take the next available chain: 1 and *chain filled, 0 if there is none (then the driver will
 * notify for the next one), -1 if the queue broke.  chain->seg and max are the caller's.
 */
int	vq_pop(struct virtqueue *vq, struct vq_chain *chain);
/* Undo the last vq_pop(); again, the one before. */
void	vq_unpop(struct virtqueue *vq);
/* Return a chain to the driver, with the number of bytes written to it. */
void	vq_push(struct virtqueue *vq, const struct vq_chain *chain, uint32_t written);
/* The same for several at once, of which the driver sees either none or all (5.1.6.4). */
void	vq_push_all(struct virtqueue *vq, const struct vq_used *used, unsigned n);
/* Interrupt the driver if it wants to know of what was pushed since the last time. */
void	vq_signal(struct virtqueue *vq);
/* Whether the driver has made more chains available than were taken.  False for a broken queue. */
bool	vq_more(struct virtqueue *vq);
/* Copy from the readable part of a chain at off, or to its writable part; the bytes copied. */
size_t	vq_copy_out(struct virtqueue *vq, const struct vq_chain *chain, uint64_t off, void *buf, size_t len);
size_t	vq_copy_in(struct virtqueue *vq, const struct vq_chain *chain, uint64_t off, const void *buf, size_t len);

/* virtio_mmio.c, virtio_pci.c */
extern const struct virtio_transport virtio_mmio, virtio_pci;

#endif /* _HYVE_VIRTIO_H_ */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ppt.h - host PCI devices of a VM: which they are and what of them is mapped (ppt.c), and their interrupts (ppt_irq.c).
 *
 * vm->lock guards the list and the mappings; ppt->lock, below it and above irq_lock, guards the list for whoever looks a device up.  dev->lock is that of
 * the interrupts of a device: above irq_lock.  No lock is held while the pin's function is called.
 */
#ifndef _VMMAPI_PPT_H_
#define	_VMMAPI_PPT_H_

#include "internal.h"
#include "vfio.h"

/* A part of a BAR in the guest; map.host is of this process. */
struct ppt_map {
	struct ppt_map	*next;
	struct vm_mapping map;
};

struct ppt_vector {
	struct vm_irq	*irq;			/* NULL: not made yet */
	int		 fd;			/* eventfd that the device's interrupt writes to */
	bool		 wired;			/* MSI-X: it does */
};

struct pptdev {
	struct pptdev	*next;
	struct vmctx	*vm;
	int		 bus, slot, func;
	struct vfio_dev	 vfio;
	uint64_t	 hpa[VFIO_BARS];
	struct ppt_map	*maps;

	pthread_mutex_t	 lock;
	enum vfio_irq	 kind;			/* what is switched on; VFIO_IRQS: nothing */
	uint32_t	 requester;
	struct ppt_vector *vectors;		/* MSI, MSI-X */
	unsigned	 nvectors;
	void		(*pin)(void *arg);	/* NULL: nobody wants it */
	void		*pin_arg;
	int		 pin_fd;

	void		(*notice)(void *arg, enum vm_pptdev_notice what);	/* NULL: nobody wants any */
	void		*notice_arg;
	int		 notice_fd[VM_PPTDEV_NOTICES];	/* -1: it is not told of */
};

/* vm->ppt, from the first device on. */
struct ppt {
	struct vfio_container container;
	pthread_mutex_t	 lock;
	struct pptdev	*devs;
	bool		 dma;			/* devices see the VM's RAM */
};

/* Why something failed, over what is done to clean up. */
struct ppt_failure {
	int		 error;
	char		 text[512];
};

/* ppt.c: keep what the last failure was; say it again, -1. */
void	ppt_keep(struct ppt_failure *why);
int	ppt_again(const struct ppt_failure *why);
/* The device, NULL with a sentence. */
struct pptdev *ppt_find(struct vmctx *ctx, int bus, int slot, int func);

/* ppt_irq.c: for a device that comes, is reset (what is set up is no more, but for the pin's function; -1: that is not either) and goes. */
void	ppt_irq_init(struct pptdev *dev);
int	ppt_irq_reset(struct pptdev *dev);
void	ppt_irq_fini(struct pptdev *dev);

#endif /* _VMMAPI_PPT_H_ */

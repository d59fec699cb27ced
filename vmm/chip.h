/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chip.h - what simple chips share: registers in one range, one interrupt line, one timer, a lock around all of it.
 *
 * The struct of such a device (dev->soft) begins with struct chip, and a table says what is its own.  The rest is here: bringing the
 * state up to now before it is looked at, driving the line and setting the deadline after it changed, and the device's life.
 *
 * chip->lock guards the device; every call by the table but open and close holds it.  Members of struct device_class: chip_fini,
 * chip_reset, chip_pause and chip_resume, or the device's own functions that call them; init calls chip_init().
 */
#ifndef _HYVE_CHIP_H_
#define	_HYVE_CHIP_H_

#include <pthread.h>

#include "device.h"

/* How registers are reached. */
enum chip_bus {
	CHIP_BYTES,	/* byte-wide on the ISA bus: a wider access is as many byte accesses; behind the last one it reads as ones */
	CHIP_WORDS	/* at words (PrimeCells): what of one an access does not reach is not read, and what begins elsewhere not written */
};

struct chip_ops {
	enum chip_bus	 bus;
	uint64_t	 hz;		/* counts of the timer in a second */

	/* What else it needs of the host, before its registers are there.  -1 with a sentence; close follows.  Or NULL. */
	int	(*open)(struct device *dev);
	/* Give that back; open may have failed, or was not reached.  Or NULL. */
	void	(*close)(struct device *dev);

	/* Power-on values of its state. */
	void	(*reset)(void *soft);
	/* What passed by the timer's count since the last call.  NULL: nothing passes by itself. */
	void	(*catch_up)(void *soft);
	/* Whether it raises its interrupt. */
	bool	(*level)(const void *soft);
	/* The count at which to look again; false: none.  NULL: it arms the timer itself. */
	bool	(*deadline)(const void *soft, uint64_t *count);
	/* The timer has come to its count.  NULL: catching up is all. */
	void	(*expire)(void *soft);
	/* A register, by its offset. */
	uint32_t (*read)(void *soft, uint64_t reg);
	void	(*write)(void *soft, uint64_t reg, uint32_t val);
};

struct chip {
	const struct chip_ops *ops;
	struct device	*dev;
	struct vm_irq	*irq;
	struct vm_range	*range;
	struct vm_timer	*timer;
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */
	bool		 level;		/* what the line was driven to; derived */
};

/* A device's struct begins with its chip. */
#define	CHIP_FIRST(type, member)	_Static_assert(offsetof(type, member) == 0, "the chip comes first")

/* Make it, with the interrupt and range of its place.  -1 with a sentence, after everything was given back.  Control thread. */
int	chip_init(struct device *dev, const struct chip_ops *ops);
/* As the members of struct device_class. */
void	chip_fini(struct device *dev);
void	chip_reset(struct device *dev);
void	chip_pause(struct device *dev);
void	chip_resume(struct device *dev);

/* Those of a chip's class that are all chips'. */
#define	CHIP_LIFE	.fini = chip_fini, .reset = chip_reset, .pause = chip_pause, .resume = chip_resume

/* After its state changed in any other way than by a register: the line and the deadline.  Any thread, with the lock. */
void	chip_settle(struct chip *chip);

#endif /* _HYVE_CHIP_H_ */

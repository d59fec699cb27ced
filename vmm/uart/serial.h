/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial.h - what serial ports share: the host's end of the line, by configuration or by the machine, and how characters come and go.
 *
 * Bytes move between a port's FIFOs and a character device as fast as both sides take them.  A host that does not take bytes leaves them
 * in the transmit FIFO, and the guest sees a transmitter that is busy; a receiver without room leaves the host's bytes with the host.
 *
 * The struct of a port begins with struct serial.  The chip's lock guards it, and is taken before the character device's.
 */
#ifndef _HYVE_SERIAL_H_
#define	_HYVE_SERIAL_H_

#include "../chip.h"
#include "../console/chardev.h"

/* The keys of a serial port. */
#define	SERIAL_KEYS	CHARDEV_KEY

/* The most characters that a FIFO holds. */
#define	SERIAL_FIFO	32

/* What is a port's own.  Called with the lock. */
struct serial_ops {
	struct chip_ops	 chip;		/* with SERIAL_CHIP */
	/* Whether the transmit FIFO is as empty as the transmit interrupt wants it; and what to do when it has just become so. */
	bool	(*tx_due)(const void *soft);
	void	(*tx_drained)(void *soft);
	/* Characters of the host that the receiver takes now: none if it is full, off, or hears itself. */
	unsigned (*rx_room)(const void *soft);
	void	(*receive)(void *soft, uint8_t byte);
	/* Nanoseconds from the last character to its time-out; 0: there is nothing to time. */
	uint64_t (*timeout)(const void *soft);
};

struct serial {
	struct chip	 chip;		/* its timer is the time-out's, in nanoseconds */
	const struct serial_ops *ops;
	struct chardev	*cd;
	uint8_t		*tx, *txlen;	/* the transmit FIFO, in the port's state: oldest first */
};

/* The timer's unit. */
#define	SERIAL_HZ	1000000000ULL

/* Make it, with the transmit FIFO of its state: as chip_init(). */
int	serial_init(struct device *dev, const struct serial_ops *ops, uint8_t *tx, uint8_t *txlen);
/* Members of struct chip_ops, and of struct device_class. */
int	serial_open(struct device *dev);
void	serial_close(struct device *dev);
void	serial_pause(struct device *dev);
void	serial_resume(struct device *dev);

/* What all ports have of them. */
#define	SERIAL_CHIP	.hz = SERIAL_HZ, .open = serial_open, .close = serial_close
#define	SERIAL_LIFE	.fini = chip_fini, .reset = chip_reset, .pause = serial_pause, .resume = serial_resume, .line = true

/* Let the host have what is in the FIFO, take what it has, and tell its side what is waited for.  Any thread, with the lock. */
void	serial_exchange(struct serial *port);
/* After a character came or went: the time-out starts anew, if there is something to time.  Any thread, with the lock. */
void	serial_restart_timeout(struct serial *port);

#endif /* _HYVE_SERIAL_H_ */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial.c - what serial ports share: the host's end of the line, and how characters come and go.
 */
#include <errno.h>
#include <string.h>

#include "../error.h"
#include "serial.h"

CHIP_FIRST(struct serial, chip);

void
serial_restart_timeout(struct serial *port)
{
	struct vm_timer *timer = port->chip.timer;
	uint64_t ns;

	if (!port->chip.active)
		return;
	ns = port->ops->timeout(port);
	if (ns != 0)
		(void)vm_timer_arm(timer, vm_timer_count(timer) + ns);
	else
		(void)vm_timer_disarm(timer);
}

static void
send(struct serial *port)
{
	bool was_due = port->ops->tx_due(port);
	size_t n = chardev_write(port->cd, port->tx, *port->txlen);

	*port->txlen -= (uint8_t)n;
	memmove(port->tx, port->tx + n, *port->txlen);
	if (!was_due && port->ops->tx_due(port))
		port->ops->tx_drained(port);
}

void
serial_exchange(struct serial *port)
{
	unsigned room = port->ops->rx_room(port);
	uint8_t buf[SERIAL_FIFO];
	size_t n;

	if (!port->chip.active)
		return;
	if (*port->txlen != 0)
		send(port);
	if (room != 0) {
		n = chardev_read(port->cd, buf, room);
		for (size_t i = 0; i < n; i++)
			port->ops->receive(port, buf[i]);
	}
	chardev_want(port->cd, port->ops->rx_room(port) != 0, *port->txlen != 0);
	chip_settle(&port->chip);
}

/* The host has bytes, or takes some.  Control thread. */
static void
host_ready(void *arg, bool readable, bool writable)
{
	struct serial *port = arg;

	pthread_mutex_lock(&port->chip.lock);
	serial_exchange(port);
	pthread_mutex_unlock(&port->chip.lock);
}

/* Life */

int
serial_init(struct device *dev, const struct serial_ops *ops, uint8_t *tx, uint8_t *txlen)
{
	struct serial *port = dev->soft;

	port->ops = ops;
	port->tx = tx;
	port->txlen = txlen;
	return (chip_init(dev, &ops->chip));
}

/* Become the user of the character device that the place has, else the keys say. */
int
serial_open(struct device *dev)
{
	const char *path = config_str(dev->config, "path");
	struct serial *port = dev->soft;

	port->cd = dev->place.chardev;
	if (port->cd == NULL)
		port->cd = chardev_open(dev->vmm->loop, path != NULL ? path : "null");
	if (port->cd == NULL)
		return (vmm_fail(errno, "%s: %s", dev->name, vmm_errmsg()));
	chardev_set_user(port->cd, host_ready, port);
	return (0);
}

void
serial_close(struct device *dev)
{
	struct serial *port = dev->soft;

	if (port->cd != NULL && port->cd == dev->place.chardev)
		chardev_set_user(port->cd, NULL, NULL);
	else
		chardev_close(port->cd);
}

void
serial_pause(struct device *dev)
{
	struct serial *port = dev->soft;

	chip_pause(dev);
	chardev_want(port->cd, false, false);
}

void
serial_resume(struct device *dev)
{
	struct serial *port = dev->soft;

	chip_resume(dev);
	pthread_mutex_lock(&port->chip.lock);
	serial_restart_timeout(port);
	serial_exchange(port);
	pthread_mutex_unlock(&port->chip.lock);
}

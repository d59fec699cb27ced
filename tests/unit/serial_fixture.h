/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial_fixture.h - a serial port in a fixture, with the host's end in memory.  The test says how the port is made.
 */
#ifndef _SERIAL_FIXTURE_H_
#define	_SERIAL_FIXTURE_H_

#include "console/chardev.h"
#include "virtual_fixture.h"

static struct fx fx;
static struct chardev *cd;
static struct device *dev;

/* The port in f, with its host's end: the test's. */
static struct device *make(struct fx *f, struct chardev *c);

/* With a far end of size bytes. */
static inline void
setup(size_t size)
{
	fx_open(&fx);
	cd = chardev_open_ring(fx.vmm.loop, size);
	CHECK(cd != NULL);
	dev = make(&fx, cd);
	devices_resume(&fx.vmm);
}

static inline void
teardown(void)
{
	devices_destroy(&fx.vmm);
	chardev_close(cd);
	fx_close(&fx);
}

/* The far end says something; and what it heard. */
static inline void
type(const char *s)
{
	CHECK_EQ(chardev_ring_put(cd, s, strlen(s)), strlen(s));
	fx_turn(&fx);
}

static inline void
expect(const char *s)
{
	char buf[256];
	size_t n = chardev_ring_get(cd, buf, sizeof(buf) - 1);

	buf[n] = '\0';
	CHECK_STR(buf, s);
}

/* Threads do what hammer does while the host types and reads, and the port pauses and resumes: it is in a state that can be. */
static inline void
storm(void *(*hammer)(void *))
{
	pthread_t t[FX_THREADS];
	char buf[64];

	setup(16);
	fx_hammer_start(t, hammer);
	for (int i = 0; i < 500; i++) {
		(void)chardev_ring_put(cd, "typing", 6);
		(void)chardev_ring_get(cd, buf, sizeof(buf));
		event_loop_once(fx.vmm.loop, 0);
		if (i % 50 == 0) {
			devices_pause(&fx.vmm);
			devices_resume(&fx.vmm);
		}
	}
	fx_hammer_join(t);
	devices_pause(&fx.vmm);
	CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	teardown();
}

#endif /* _SERIAL_FIXTURE_H_ */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_mmio.c - the registers of virtio over MMIO (virtio 1.2 section 4.2), with a device of
 * the test's own.
 */
#include <pthread.h>

#include "vq_driver.h"

#define	TVD_ID		77
#define	TVD_FEATURES	(1ULL << 3 | 1ULL << 40)
#include "virtio_test.h"

static struct fx fx;
static struct tvd *t;

static struct device *
make(struct fx *f, const char *name, uint64_t base, unsigned nirqs)
{
	const struct device_class *cls = device_class_find("test-virtio");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = base, .nirqs = nirqs, .irq = { f->irq } };

	return (device_create(&f->vmm, cls, name, fx_node(f, name, cls), &place));
}

static void
setup(void)
{
	struct device *dev;

	fx_open(&fx);
	dev = make(&fx, "v", VM_BASE, 1);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	t = dev->soft;
	devices_resume(&fx.vmm);
}

TEST(identity)
{
	setup();
	CHECK_EQ(v_read(&fx, V_MAGIC), 0x74726976);
	CHECK_EQ(v_read(&fx, V_VERSION), 2);
	CHECK_EQ(v_read(&fx, V_ID), 77);
	CHECK_EQ(v_read(&fx, V_STATUS), 0);
	CHECK_EQ(v_read(&fx, V_SHMLEN), UINT32_MAX);
	CHECK_EQ(v_read(&fx, 0x0c0), 0);
	/* Read-only registers stay. */
	v_write(&fx, V_MAGIC, 0);
	v_write(&fx, V_ID, 0);
	CHECK_EQ(v_read(&fx, V_MAGIC), 0x74726976);
	CHECK_EQ(v_read(&fx, V_ID), 77);
	fx_close(&fx);
}

TEST(features)
{
	setup();
	v_write(&fx, V_FEATURES_SEL, 0);
	CHECK_EQ(v_read(&fx, V_FEATURES), 1U << 3 | 1U << 28 | 1U << 29);
	v_write(&fx, V_FEATURES_SEL, 1);
	CHECK_EQ(v_read(&fx, V_FEATURES), 1U << 0 | 1U << 8);
	v_write(&fx, V_FEATURES_SEL, 2);
	CHECK_EQ(v_read(&fx, V_FEATURES), 0);
	v_write(&fx, V_FEATURES_SEL, UINT32_MAX);
	CHECK_EQ(v_read(&fx, V_FEATURES), 0);
	CHECK(!v_negotiate(&fx, 0));			/* not without VERSION_1 */
	CHECK(!v_negotiate(&fx, VIRTIO_F_VERSION_1 | 1));	/* not what was not offered */
	CHECK_HAS(fx.log, "features 0x100000001 are refused");
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1 | 1 << 3));
	CHECK(virtio_has(&t->vd, 1 << 3));
	/* What was accepted stays. */
	v_write(&fx, V_DRIVER, 0xffffffff);
	v_write(&fx, V_DRIVER_SEL, 5);
	v_write(&fx, V_DRIVER, 0xffffffff);
	CHECK_EQ(t->vd.driver_features, VIRTIO_F_VERSION_1 | 1 << 3);
	fx_close(&fx);
}

TEST(status)
{
	setup();
	v_write(&fx, V_STATUS, 1);
	v_write(&fx, V_STATUS, 0);
	CHECK_EQ(t->resets, 2);			/* one at power-on */
	/* DRIVER_OK does not come before FEATURES_OK; NEEDS_RESET is not the driver's. */
	v_write(&fx, V_STATUS, 0x47);
	CHECK_EQ(v_read(&fx, V_STATUS), 0x03);
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1));
	v_write(&fx, V_STATUS, 0x04);		/* clears nothing */
	CHECK_EQ(v_read(&fx, V_STATUS), 0x0f);
	v_write(&fx, V_STATUS, 0x80);
	CHECK_EQ(v_read(&fx, V_STATUS), 0x8f);
	v_write(&fx, V_STATUS, 0);
	CHECK_EQ(v_read(&fx, V_STATUS), 0);
	CHECK_EQ(t->vd.driver_features, 0);
	fx_close(&fx);
}

TEST(queues)
{
	struct vdrv d;

	setup();
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1));
	for (unsigned q = 0; q < 3; q++) {
		v_write(&fx, V_QSEL, q);
		CHECK_EQ(v_read(&fx, V_QMAX), 64);
		CHECK_EQ(v_read(&fx, V_QREADY), 0);
	}
	v_write(&fx, V_QSEL, 3);
	CHECK_EQ(v_read(&fx, V_QMAX), 0);
	CHECK_EQ(v_read(&fx, V_QREADY), 0);
	v_write(&fx, V_QNUM, 8);
	v_write(&fx, V_QREADY, 1);
	CHECK_HAS(fx.log, "queue 3, which is not there");
	v_rings(&d, &fx, 0x100000, 16);
	v_queue(&d, 1);
	CHECK_EQ(v_read(&fx, V_QREADY), 1);
	v_write(&fx, V_DESC, 0);			/* in use: stays */
	v_write(&fx, V_QNUM, 2);
	CHECK_EQ(t->vq[1].desc, 0x100000);
	CHECK_EQ(t->vq[1].num, 16);
	CHECK_HAS(fx.log, "queue 1, which is in use");
	CHECK(!t->vq[0].ready && !t->vq[2].ready);
	v_write(&fx, V_STATUS, 0);
	CHECK(!t->vq[1].ready);
	CHECK_EQ(t->vq[1].desc, 0);
	fx_close(&fx);
}

TEST(notifications)
{
	struct vdrv d;

	setup();
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1));
	v_rings(&d, &fx, 0x100000, 16);
	v_queue(&d, 1);
	v_write(&fx, V_NOTIFY, 1);
	CHECK_EQ(t->notified[1], 0);			/* before DRIVER_OK */
	v_write(&fx, V_STATUS, 0xf);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 1);			/* what came before is looked at */
	v_write(&fx, V_NOTIFY, 1);
	CHECK_EQ(t->notified[1], 2);			/* at once, on the caller's thread */
	v_write(&fx, V_NOTIFY, 0);			/* not ready */
	v_write(&fx, V_NOTIFY, 7);			/* not there */
	CHECK_HAS(fx.log, "notification of queue 7, which does not exist");
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_NOTIFY, 2, 1);	/* not a word */
	CHECK_EQ(t->notified[0] + t->notified[2], 0);
	CHECK_EQ(t->notified[1], 2);
	devices_pause(&fx.vmm);
	v_write(&fx, V_NOTIFY, 1);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 2);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 3);
	/* Through the eventfd, as a back end's doorbell does. */
	virtio_notify_later(&t->vq[1]);
	virtio_notify_later(&t->vq[1]);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 4);
	fx_close(&fx);
}

TEST(configuration_space)
{
	setup();
	memcpy(t->config, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", 10);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG, 1), 0x01);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 8, 2), 0x0a09);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 4, 4), 0x08070605);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG, 8), 0x0807060504030201);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 8, 4), 0);	/* across the end */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + 0x1fc, 4), 0);
	CHECK_EQ(v_read(&fx, V_GEN), 0);
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 2, 2, 0xbbaa);
	CHECK_EQ(t->config[2], 0xaa);
	CHECK_EQ(v_read(&fx, V_GEN), 1);
	CHECK_EQ(v_read(&fx, V_ISR), 0);		/* no driver yet */
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 9, 2, 0xffff);
	CHECK_EQ(t->config[9], 0x0a);
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1));
	v_write(&fx, V_STATUS, 0xf);
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG, 1, 0);
	CHECK_EQ(v_read(&fx, V_ISR), 2);
	CHECK(fx_level(&fx));
	v_write(&fx, V_ACK, 1);
	CHECK(fx_level(&fx));
	v_write(&fx, V_ACK, 2);
	CHECK(!fx_level(&fx));
	fx_close(&fx);
}

TEST(odd_accesses)
{
	setup();
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_MAGIC, 1), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_MAGIC, 8), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_MAGIC + 2, 4), 0);
	CHECK_HAS(fx.log, "access of 1 bytes to register 0");
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_STATUS, 1, 1);
	CHECK_EQ(v_read(&fx, V_STATUS), 0);
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + 0xfd, 4, 1);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + 0xfe, 4), 0);
	fx_close(&fx);
}

TEST(places)
{
	setup();
	CHECK(make(&fx, "w", VM_BASE + 0x1000, 0) == NULL);
	CHECK_STR(vmm_errmsg(), "w: virtio over MMIO needs an interrupt");
	CHECK(make(&fx, "x", VM_BASE + 0x100, 1) == NULL);	/* overlaps */
	CHECK_HAS(vmm_errmsg(), "x: ");
	CHECK(make(&fx, "y", VM_BASE + 0x200, 1) != NULL);
	fx_close(&fx);
}

TEST(state)
{
	static struct fx to;
	struct vdrv d;

	setup();
	memcpy(t->config, "0123456789", 10);
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1 | 1 << 3));
	v_rings(&d, &fx, 0x100000, 16);
	v_queue(&d, 2);
	v_write(&fx, V_STATUS, 0xf);
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG, 1, 'x');
	v_write(&fx, V_FEATURES_SEL, 1);
	devices_pause(&fx.vmm);
	fx_open(&to);
	CHECK(make(&to, "v", VM_BASE, 1) != NULL);
	fx_move(&fx, &to);
	CHECK(!fx_level(&to));
	devices_resume(&to.vmm);
	CHECK(fx_level(&to));
	CHECK_EQ(v_read(&to, V_ISR), 2);
	CHECK_EQ(v_read(&to, V_STATUS), 0xf);
	CHECK_EQ(v_read(&to, V_GEN), 1);
	CHECK_EQ(v_read(&to, V_FEATURES), 1U << 0 | 1U << 8);
	CHECK_EQ(v_read(&to, V_QREADY), 1);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, VM_BASE + V_CONFIG + 1, 1), '1');
	fx_close(&to);
	fx_close(&fx);
}

static void *
hammer(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg, val;

	for (int i = 0; i < 5000; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		val = x >> 40;
		(void)vm_access(fx.vmm.vm, VM_SPACE_MEM, VM_BASE + ((x >> 20) & 0x1ff), 1U << ((x >> 60) & 3),
		    (x >> 59) & 1, &val);
	}
	return (NULL);
}

/* Several vCPUs may write anything at once. */
TEST(any_access_from_any_thread)
{
	pthread_t th[FX_THREADS];

	setup();
	fx_hammer_start(th, hammer);
	for (int i = 0; i < 100; i++)
		fx_turn(&fx);
	fx_hammer_join(th);
	devices_reset(&fx.vmm);
	CHECK_EQ(v_read(&fx, V_MAGIC), 0x74726976);
	CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1));
	fx_close(&fx);
}

TEST_MAIN()

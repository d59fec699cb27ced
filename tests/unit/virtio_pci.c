/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_pci.c - virtio over PCI (virtio 1.2 section 4.1): the entropy device at work, and the
 * registers with a device of the test's own.
 */
#include <pthread.h>

#include "vp_driver.h"

#define	SLOT	PCI_DEVFN(2, 0)
#define	DATA	0x200000ULL

#define	TVD_ID		2
#define	TVD_FEATURES	(1ULL << 3 | 1ULL << 41)
#include "virtio_test.h"

/* The same with more queues than there are vectors. */
struct wide {
	struct virtio	 vd;
	struct virtqueue vq[100];
};

static const struct virtio_ops wide_ops = { .id = 77, .queue_max = 8, .notify = t_notify };

static int
wide_init(struct device *dev)
{
	struct wide *w = dev->soft;

	return (virtio_init(&w->vd, dev, &wide_ops, w->vq, 100));
}

DEVICE_CLASS_NOKEYS(test_wide, "test-wide", "device of a test", NULL, .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct wide), .init = wide_init, .fini = virtio_device_fini, .reset = virtio_device_reset,
    .pause = virtio_device_pause, .resume = virtio_device_resume);

/* And with a part of its array in use. */
struct few {
	struct virtio	 vd;
	struct virtqueue vq[4];
};

static int
few_init(struct device *self)
{
	struct few *f = self->soft;

	return (virtio_init(&f->vd, self, &wide_ops, f->vq, 2));
}

static const struct vm_state_field few_fields[] = { VIRTIO_STATE(struct few), VIRTIO_QUEUES(struct few) };
static const struct vm_state_table few_state = VM_STATE_TABLE("test-few", 1, 1, few_fields, NULL);

DEVICE_CLASS_NOKEYS(test_few, "test-few", "device of a test", &few_state, .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct few), .init = few_init, .fini = virtio_device_fini, .reset = virtio_device_reset,
    .pause = virtio_device_pause, .resume = virtio_device_resume);

static struct fx fx;
static struct pci_host *host;
static struct device *dev;
static struct vpdrv p;
static struct vdrv d;
static struct tvd *t;			/* if it is the test's */

static void
setup(const char *cls)
{
	fx_open(&fx);
	host = px_host(&fx);
	dev = px_make(&fx, host, cls, "v", SLOT, fx.irq);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	t = dev->soft;
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	vp_probe(&p, &fx, SLOT);
}

static void
teardown(void)
{
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

/* Ask the entropy device for len bytes at DATA; afterwards that many are there. */
static void
ask(uint32_t len)
{
	uint8_t *data = vm_map_gpa(fx.vmm.vm, DATA, 4096);
	unsigned n = 0;

	memset(data, 0, 4096);
	d.desc[0] = (struct vdesc){ DATA, len, D_WRITE, 0 };
	v_avail(&d, 0);
	vp_notify(&p, 0);
	CHECK_EQ(d.used[1], d.avail[1]);
	CHECK_EQ(v_used_len(&d, (uint16_t)(d.used[1] - 1)), len);
	for (uint32_t i = 0; i < len; i++)
		n += data[i] != 0;
	CHECK(n >= len - len / 16);
}

/* What it says it is */

TEST(identity)
{
	setup("test-virtio");
	CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0x10421af4);
	CHECK_EQ(cfg_r(&fx, SLOT, 8, 4), 0x01800001);		/* mass storage, revision 1 */
	CHECK_EQ(cfg_r(&fx, SLOT, 0x2c, 2), 0x1af4);
	CHECK(cfg_r(&fx, SLOT, 0x2e, 2) >= 0x40);
	CHECK_EQ(cfg_r(&fx, SLOT, R_PIN, 1), 1);
	teardown();
	setup("virtio-rnd");
	CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0x10441af4);
	CHECK_EQ(cfg_r(&fx, SLOT, 8, 4), 0xff000001);
	teardown();
}

TEST(capabilities)
{
	struct px_msix m;

	setup("test-virtio");
	for (unsigned type = VP_COMMON; type < VP_TYPES; type++)
		CHECK(p.cap[type] != 0);
	CHECK(p.len[VP_COMMON] >= 0x38 && p.at[VP_COMMON] % 4 == 0);
	CHECK(p.len[VP_NOTIFY] >= 2 + 2 * p.step && p.at[VP_NOTIFY] % 2 == 0);
	CHECK(p.step >= 2 && (p.step & (p.step - 1)) == 0);
	CHECK(p.len[VP_ISR] >= 1);
	CHECK(p.len[VP_DEVICE] == 10 && p.at[VP_DEVICE] % 4 == 0);
	CHECK_EQ(p.len[VP_PCI], 0);
	m = px_msix(&fx, SLOT);
	CHECK_EQ(m.nvec, 4);					/* configuration and three queues */
	/* Nothing of it can be written. */
	for (unsigned off = 0x40; off < p.cap[VP_PCI]; off += 4)
		cfg_w(&fx, SLOT, off, 4, 0);
	vp_probe(&p, &fx, SLOT);
	CHECK(p.cap[VP_PCI] != 0 && p.cap[VP_COMMON] != 0);
	teardown();
	setup("virtio-rnd");					/* 4.1.4.6: no configuration, no capability */
	CHECK_EQ(p.cap[VP_DEVICE], 0);
	teardown();
}

TEST(places)
{
	const struct device_class *cls = device_class_find("test-virtio");
	struct device_place place = { .on = DEVICE_ON_IO };

	setup("test-virtio");
	CHECK(px_make(&fx, host, "test-virtio", "w", SLOT, NULL) == NULL);
	CHECK_STR(vmm_errmsg(), "w: PCI slot 2.0 is taken by v");
	CHECK(px_make(&fx, NULL, "test-virtio", "x", 0x20, NULL) == NULL);
	CHECK_STR(vmm_errmsg(), "x: there is no PCI bus to put it on");
	CHECK(device_create(&fx.vmm, cls, "y", fx_node(&fx, "y", cls), &place) == NULL);
	/* Without a pin it says that it has none. */
	CHECK(px_make(&fx, host, "test-virtio", "z", 0x20, NULL) != NULL);
	CHECK_EQ(cfg_r(&fx, 0x20, R_PIN, 1), 0);
	teardown();
}

/* Common structure */

TEST(features)
{
	setup("test-virtio");
	CHECK_EQ(vp_r(&p, P_FEATURES, 4), 1U << 3 | 1U << 28 | 1U << 29);
	vp_w(&p, P_FEATURES_SEL, 4, 1);
	CHECK_EQ(vp_r(&p, P_FEATURES_SEL, 4), 1);
	CHECK_EQ(vp_r(&p, P_FEATURES, 4), 1U << 0 | 1U << 9);
	vp_w(&p, P_FEATURES_SEL, 4, 2);
	CHECK_EQ(vp_r(&p, P_FEATURES, 4), 0);
	vp_w(&p, P_FEATURES_SEL, 4, UINT32_MAX);
	CHECK_EQ(vp_r(&p, P_FEATURES, 4), 0);
	vp_w(&p, P_FEATURES, 4, UINT32_MAX);			/* read-only */
	CHECK(!vp_negotiate(&p, 0));				/* not without VERSION_1 */
	CHECK(!vp_negotiate(&p, VIRTIO_F_VERSION_1 | 1));	/* not what was not offered */
	CHECK(vp_negotiate(&p, VIRTIO_F_VERSION_1 | 1 << 3));
	/* The driver reads what it wrote; after FEATURES_OK it stays. */
	vp_w(&p, P_DRIVER, 4, UINT32_MAX);
	vp_w(&p, P_DRIVER_SEL, 4, 0);
	CHECK_EQ(vp_r(&p, P_DRIVER, 4), 1 << 3);
	vp_w(&p, P_DRIVER_SEL, 4, 9);
	vp_w(&p, P_DRIVER, 4, UINT32_MAX);
	CHECK_EQ(vp_r(&p, P_DRIVER, 4), 0);
	CHECK_EQ(t->vd.driver_features, VIRTIO_F_VERSION_1 | 1 << 3);
	teardown();
}

TEST(status)
{
	setup("test-virtio");
	vp_w(&p, P_STATUS, 1, 1);
	vp_w(&p, P_STATUS, 1, 0);
	CHECK_EQ(t->resets, 2);
	vp_w(&p, P_STATUS, 1, 0x47);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0x03);
	CHECK(vp_negotiate(&p, VIRTIO_F_VERSION_1));
	vp_w(&p, P_STATUS, 1, 0x84);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0x8f);
	vp_w(&p, P_STATUS, 1, 0);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0);
	CHECK_EQ(t->vd.driver_features, 0);
	teardown();
}

TEST(queues)
{
	setup("test-virtio");
	CHECK_EQ(vp_r(&p, P_NQUEUES, 2), 3);
	for (unsigned q = 0; q < 3; q++) {
		vp_w(&p, P_QSEL, 2, q);
		CHECK_EQ(vp_r(&p, P_QSEL, 2), q);
		CHECK_EQ(vp_r(&p, P_QSIZE, 2), 64);
		CHECK_EQ(vp_r(&p, P_QENABLE, 2), 0);
		CHECK_EQ(vp_r(&p, P_QVECTOR, 2), NO_VECTOR);
		CHECK_EQ(vp_r(&p, P_QNOTIFY, 2), q);
	}
	/* One that is not there has no size, and takes nothing. */
	vp_w(&p, P_QSEL, 2, 3);
	CHECK_EQ(vp_r(&p, P_QSIZE, 2), 0);
	vp_w(&p, P_QSIZE, 2, 8);
	vp_w(&p, P_QVECTOR, 2, 0);
	CHECK_EQ(vp_r(&p, P_QVECTOR, 2), NO_VECTOR);
	vp_w(&p, P_QENABLE, 2, 1);
	CHECK_EQ(vp_r(&p, P_QENABLE, 2), 0);
	CHECK_HAS(fx.log, "queue 3, which is not there");
	CHECK(vp_negotiate(&p, VIRTIO_F_VERSION_1));
	v_rings(&d, &fx, 0x100000, 16);
	vp_queue(&p, &d, 1, 2);
	CHECK_EQ(vp_r(&p, P_QENABLE, 2), 1);
	CHECK_EQ(vp_r(&p, P_DESC, 8), 0x100000);
	CHECK_EQ(vp_r(&p, P_AVAIL, 8), 0x104000);
	CHECK_EQ(vp_r(&p, P_USED + 4, 4), 0);
	/* In use: place and size stay, it cannot be disabled; its vector changes. */
	vp_w(&p, P_DESC, 4, 0);
	vp_w(&p, P_USED, 8, 0);
	vp_w(&p, P_QSIZE, 2, 2);
	vp_w(&p, P_QENABLE, 2, 0);
	vp_w(&p, P_QVECTOR, 2, 3);
	CHECK_EQ(vp_r(&p, P_DESC, 8), 0x100000);
	CHECK_EQ(vp_r(&p, P_USED, 8), 0x108000);
	CHECK_EQ(vp_r(&p, P_QSIZE, 2), 16);
	CHECK_EQ(vp_r(&p, P_QENABLE, 2), 1);
	CHECK_EQ(vp_r(&p, P_QVECTOR, 2), 3);
	CHECK_HAS(fx.log, "queue 1, which is in use");
	/* 0 and 2 do not enable; a size that cannot be never gets enabled. */
	vp_w(&p, P_QSEL, 2, 0);
	vp_w(&p, P_QENABLE, 2, 2);
	CHECK_EQ(vp_r(&p, P_QENABLE, 2), 0);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0xb);
	vp_w(&p, P_QSIZE, 2, 128);
	vp_w(&p, P_QENABLE, 2, 1);
	CHECK_EQ(vp_r(&p, P_QENABLE, 2), 0);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0x4b);
	/* Reset puts all back. */
	vp_w(&p, P_STATUS, 1, 0);
	for (unsigned q = 0; q < 2; q++) {
		vp_w(&p, P_QSEL, 2, q);
		CHECK_EQ(vp_r(&p, P_QSIZE, 2), 64);
		CHECK_EQ(vp_r(&p, P_QENABLE, 2), 0);
		CHECK_EQ(vp_r(&p, P_QVECTOR, 2), NO_VECTOR);
		CHECK_EQ(vp_r(&p, P_DESC, 8), 0);
	}
	teardown();
}

TEST(vectors)
{
	setup("test-virtio");
	CHECK_EQ(vp_r(&p, P_CVECTOR, 2), NO_VECTOR);
	for (unsigned v = 0; v < 4; v++) {
		vp_w(&p, P_CVECTOR, 2, v);
		CHECK_EQ(vp_r(&p, P_CVECTOR, 2), v);
		vp_w(&p, P_QVECTOR, 2, v);
		CHECK_EQ(vp_r(&p, P_QVECTOR, 2), v);
	}
	/* 4.1.4.3.1: a vector that the device does not have is not taken. */
	vp_w(&p, P_CVECTOR, 2, 4);
	CHECK_EQ(vp_r(&p, P_CVECTOR, 2), NO_VECTOR);
	vp_w(&p, P_QVECTOR, 2, 0x100);
	CHECK_EQ(vp_r(&p, P_QVECTOR, 2), NO_VECTOR);
	vp_w(&p, P_CVECTOR, 2, 1);
	vp_w(&p, P_STATUS, 1, 0);
	CHECK_EQ(vp_r(&p, P_CVECTOR, 2), NO_VECTOR);
	teardown();
}

TEST(more_queues_than_vectors)
{
	struct px_msix m;

	setup("test-wide");
	m = px_msix(&fx, SLOT);
	CHECK_EQ(m.nvec, 64);
	CHECK_EQ(vp_r(&p, P_NQUEUES, 2), 100);
	vp_w(&p, P_QSEL, 2, 99);
	CHECK_EQ(vp_r(&p, P_QSIZE, 2), 8);
	CHECK((vp_r(&p, P_QNOTIFY, 2) + 1) * p.step <= p.len[VP_NOTIFY]);
	vp_w(&p, P_QVECTOR, 2, 63);
	CHECK_EQ(vp_r(&p, P_QVECTOR, 2), 63);
	vp_w(&p, P_QVECTOR, 2, 64);
	CHECK_EQ(vp_r(&p, P_QVECTOR, 2), NO_VECTOR);
	teardown();
}

TEST(odd_accesses)
{
	uint64_t before, val;

	setup("test-virtio");
	before = vp_r(&p, 0x10, 8);
	for (unsigned off = 0; off < 0x40; off++) {
		/* Reads of any width see the same bytes. */
		for (unsigned size = 1; size <= 8 && off + size <= 0x38; size *= 2) {
			val = 0;
			for (unsigned i = 0; i < size; i++)
				val |= vp_r(&p, off + i, 1) << (8 * i);
			CHECK_EQ(vp_r(&p, off, size), val);
		}
	}
	/* Writes of another width than the field's, or across fields, do nothing. */
	vp_w(&p, P_STATUS, 4, 0xffffffff);
	vp_w(&p, P_STATUS, 2, 0xffff);
	vp_w(&p, P_QSEL, 1, 1);
	vp_w(&p, P_QSEL, 4, 1);
	vp_w(&p, P_CVECTOR, 4, 0);
	vp_w(&p, P_CVECTOR + 1, 2, 0);
	vp_w(&p, P_NQUEUES, 2, 0);
	vp_w(&p, P_GEN, 1, 9);
	vp_w(&p, P_QNOTIFY, 2, 9);
	vp_w(&p, P_DESC + 2, 4, 9);
	vp_w(&p, P_DESC, 2, 9);
	CHECK_EQ(vp_r(&p, 0x10, 8), before);
	CHECK_EQ(vp_r(&p, P_DESC, 8), 0);
	CHECK_HAS(fx.log, "write of 4 bytes to common register 0x14");
	vp_w(&p, P_DESC, 8, 0x1122334455667780);
	CHECK_EQ(vp_r(&p, P_DESC + 4, 4), 0x11223344);
	/* Behind the structures. */
	CHECK_EQ(vp_r(&p, 0x38, 8), 0);
	CHECK_EQ(vp_r(&p, 0xffc, 4), 0);
	vp_w(&p, 0x38, 4, 1);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, p.at[VP_ISR] + 1, 1), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, p.at[VP_NOTIFY], 2), 0);
	fx_write(&fx, VM_SPACE_MEM, p.at[VP_ISR], 1, 0xff);
	CHECK_EQ(vp_isr(&p), 0);
	teardown();
}

TEST(configuration_space)
{
	uint64_t at;

	setup("test-virtio");
	at = p.at[VP_DEVICE];
	memcpy(t->config, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", 10);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at, 1), 0x01);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at + 8, 2), 0x0a09);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at + 4, 4), 0x08070605);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at, 8), 0x0807060504030201);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at + 8, 4), 0);	/* across the end */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at + 0xffc, 4), 0);
	CHECK_EQ(vp_r(&p, P_GEN, 1), 0);
	fx_write(&fx, VM_SPACE_MEM, at + 2, 2, 0xbbaa);
	CHECK_EQ(t->config[2], 0xaa);
	CHECK_EQ(vp_r(&p, P_GEN, 1), 1);
	fx_write(&fx, VM_SPACE_MEM, at + 9, 2, 0xffff);
	CHECK_EQ(t->config[9], 0x0a);
	CHECK_EQ(vp_r(&p, P_GEN, 1), 1);
	/* A change while a driver is at work interrupts: bit 1, by the pin. */
	CHECK(vp_negotiate(&p, VIRTIO_F_VERSION_1));
	vp_w(&p, P_STATUS, 1, 0xf);
	fx_write(&fx, VM_SPACE_MEM, at, 1, 0);
	CHECK(fx_level(&fx));
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 8);
	CHECK_EQ(vp_isr(&p), 2);				/* reading acknowledges */
	CHECK(!fx_level(&fx));
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 0);
	CHECK_EQ(vp_isr(&p), 0);
	teardown();
}

/* At work */

TEST(entropy_by_the_pin)
{
	setup("virtio-rnd");
	vp_start(&p, &d, VIRTIO_F_EVENT_IDX, 64, NO_VECTOR);
	ask(100);
	CHECK(fx_level(&fx));
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 8);
	CHECK_EQ(vp_isr(&p), 1);
	CHECK(!fx_level(&fx));
	d.avail[2 + 64] = d.used[1];				/* used_event: the next one too */
	ask(3000);
	CHECK(fx_level(&fx));
	/* The device's reset ends it. */
	vp_w(&p, P_STATUS, 1, 0);
	CHECK(!fx_level(&fx));
	CHECK_EQ(vp_isr(&p), 0);
	teardown();
}

TEST(entropy_by_messages)
{
	struct px_msix m;
	struct px_cpu c;

	setup("virtio-rnd");
	px_start(&c, &fx);
	m = px_msix(&fx, SLOT);
	CHECK_EQ(m.nvec, 2);
	msix_set(&m, 0, MSI_DATA(0x50));
	msix_set(&m, 1, MSI_DATA(0x51));
	msix_control(&m, MSIX_ON);
	vp_start(&p, &d, 0, 16, 1);
	CHECK_EQ(px_next(&c), 0);
	for (int i = 0; i < 40; i++) {
		ask(64);
		CHECK_EQ(px_next(&c), 0x51);
		CHECK_EQ(px_next(&c), 0);
		CHECK(!fx_level(&fx));
	}
	CHECK_EQ(vp_isr(&p), 0);				/* 4.1.4.5.1: the bit is for the pin */
	/* Masked: kept. */
	msix_mask(&m, 1, true);
	ask(64);
	CHECK(msix_pending(&m, 1));
	CHECK_EQ(px_next(&c), 0);
	msix_mask(&m, 1, false);
	CHECK_EQ(px_next(&c), 0x51);
	/* No vector: no interrupt at all. */
	vp_w(&p, P_QVECTOR, 2, NO_VECTOR);
	ask(64);
	CHECK_EQ(px_next(&c), 0);
	CHECK(!fx_level(&fx));
	/* What breaks the rules is told by the configuration's vector. */
	vp_w(&p, P_CVECTOR, 2, 0);
	d.desc[0] = (struct vdesc){ UINT64_MAX, 64, D_WRITE, 0 };
	v_avail(&d, 0);
	vp_notify(&p, 0);
	CHECK_EQ(px_next(&c), 0x50);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0x4f);
	/* Vectors switched off: the pin says what is unread. */
	CHECK(!fx_level(&fx));
	msix_control(&m, 0);
	CHECK(fx_level(&fx));
	CHECK_EQ(vp_isr(&p), 2);
	CHECK(!fx_level(&fx));
	teardown();
}

/* A device may not read or write memory without leave (PCI 6.2.2), and goes on when it has it. */
TEST(bus_mastering)
{
	setup("virtio-rnd");
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	d.desc[0] = (struct vdesc){ DATA, 64, D_WRITE, 0 };
	v_avail(&d, 0);
	vp_notify(&p, 0);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 0);
	CHECK(!fx_level(&fx));
	/* A broken ring is not looked at. */
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0xf);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 1);
	CHECK(fx_level(&fx));
	ask(64);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	v_avail(&d, 0);
	vp_notify(&p, 0);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 2);
	/* The same after a pause. */
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 2);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 3);
	teardown();
}

/* What a device that is done after leave was taken away may do: nothing. */
TEST(nothing_is_written_without_leave)
{
	struct vq_seg segs[4];
	struct vq_chain chain = { .seg = segs, .max = 4 };
	char buf[16] = "from the device";

	setup("test-virtio");
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	CHECK_EQ(vm_gpa_write(fx.vmm.vm, DATA, "from the driver", 16), 0);
	d.desc[0] = (struct vdesc){ DATA, 16, D_NEXT, 1 };
	d.desc[1] = (struct vdesc){ DATA + 64, 16, D_WRITE, 0 };
	v_avail(&d, 0);
	CHECK_EQ(vq_pop(&t->vq[0], &chain), 1);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK_EQ(vq_copy_in(&t->vq[0], &chain, 0, buf, 16), 0);
	CHECK_EQ(vq_copy_out(&t->vq[0], &chain, 0, buf, 16), 0);
	vq_push(&t->vq[0], &chain, 16);
	vq_signal(&t->vq[0]);
	CHECK(!vq_more(&t->vq[0]));
	CHECK_EQ(vq_pop(&t->vq[0], &chain), 0);
	CHECK_EQ(d.used[1], 0);
	CHECK_EQ(vp_isr(&p), 0);
	teardown();
}

/* What it had begun before is completed, and only that: a driver would wait for it for ever. */
TEST(what_was_begun_is_completed)
{
	struct vq_seg segs[4];
	struct vq_chain chain = { .seg = segs, .max = 4 };
	unsigned notified;

	setup("test-virtio");
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	d.desc[0] = (struct vdesc){ DATA, 16, D_WRITE, 0 };
	v_avail(&d, 0);
	v_avail(&d, 0);
	CHECK_EQ(vq_pop(&t->vq[0], &chain), 1);
	t->flying = &chain;
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(t->flying == NULL);
	CHECK_EQ(d.used[1], 1);
	CHECK_EQ(v_used_len(&d, 0), 16);
	CHECK_EQ(vp_isr(&p), 1);
	CHECK_EQ(vq_pop(&t->vq[0], &chain), 0);
	notified = t->notified[0];
	vp_notify(&p, 0);
	fx_turn(&fx);
	CHECK_EQ(t->notified[0], notified);
	/* Off once more, nothing flies; on again, the queue is looked at. */
	t->flying = &chain;
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(t->flying == &chain);
	t->flying = NULL;
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	fx_turn(&fx);
	CHECK(t->notified[0] > notified);
	CHECK_EQ(vq_pop(&t->vq[0], &chain), 1);
	teardown();
}

TEST(notifications)
{
	unsigned off;

	setup("test-virtio");
	CHECK(vp_negotiate(&p, VIRTIO_F_VERSION_1));
	v_rings(&d, &fx, 0x100000, 16);
	vp_queue(&p, &d, 1, NO_VECTOR);
	vp_notify(&p, 1);
	CHECK_EQ(t->notified[1], 0);				/* before DRIVER_OK */
	vp_w(&p, P_STATUS, 1, 0xf);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 1);				/* what came before is looked at */
	vp_notify(&p, 1);
	CHECK_EQ(t->notified[1], 2);				/* at once, on the caller's thread */
	vp_notify(&p, 0);					/* not enabled */
	off = p.step;
	fx_write(&fx, VM_SPACE_MEM, p.at[VP_NOTIFY] + off, 4, 1);	/* another width: where it is counts */
	CHECK_EQ(t->notified[1], 3);
	fx_write(&fx, VM_SPACE_MEM, p.at[VP_NOTIFY] + off, 2, 0x7777);
	CHECK_EQ(t->notified[1], 4);
	fx_write(&fx, VM_SPACE_MEM, p.at[VP_NOTIFY] + 3 * p.step, 2, 3);
	CHECK_HAS(fx.log, "notification of queue 3, which does not exist");
	CHECK_EQ(t->notified[0] + t->notified[2], 0);
	devices_pause(&fx.vmm);
	fx_write(&fx, VM_SPACE_MEM, p.at[VP_NOTIFY] + off, 2, 1);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 4);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(t->notified[1], 5);
	teardown();
}

/* Doorbells go with the BAR, and nowhere without it. */
TEST(registers_move)
{
	uint64_t old;

	setup("virtio-rnd");
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	old = p.at[VP_NOTIFY];
	CHECK_EQ(cfg_bar(&fx, SLOT, 0) & 0xfff, 0);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xccc00000);
	vp_probe(&p, &fx, SLOT);
	CHECK_EQ(p.at[VP_COMMON] & 0xfff00000, 0xccc00000);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0xf);
	ask(64);
	CHECK(t->vd.vq[0].doorbell != NULL);
	d.desc[0] = (struct vdesc){ DATA, 64, D_WRITE, 0 };
	v_avail(&d, 0);
	{
		uint64_t val = 0;

		CHECK(vm_access(fx.vmm.vm, VM_SPACE_MEM, old, 2, true, &val) != 0);	/* nobody there */
	}
	CHECK_EQ(d.used[1], 1);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MASTER);
	CHECK(t->vd.vq[0].doorbell == NULL);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
	CHECK(t->vd.vq[0].doorbell != NULL);
	vp_notify(&p, 0);
	CHECK_EQ(d.used[1], 2);
	teardown();
}

/* Two functions in one place: the queues of both work, and have their doorbells, when they have parted; nothing is odd about that. */
TEST(registers_overlap)
{
	static struct vpdrv p2;
	static struct vdrv d2;
	unsigned other = PCI_DEVFN(4, 0);
	struct device *dev2;
	struct virtio *vd2;

	setup("virtio-rnd");
	dev2 = px_make(&fx, host, "virtio-rnd", "w", other, NULL);
	CHECKF(dev2 != NULL, "%s", vmm_errmsg());
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xc8000000);
	cfg_w(&fx, other, R_BAR(0), 4, 0xc8000000);
	cfg_w(&fx, other, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	vd2 = dev2->soft;
	CHECK(vd2->vq[0].doorbell == NULL);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xc9000000);
	CHECK(vd2->vq[0].doorbell != NULL);
	CHECK_STR(fx.log, "");
	vp_probe(&p, &fx, SLOT);
	vp_probe(&p2, &fx, other);
	CHECK(p.at[VP_COMMON] != p2.at[VP_COMMON]);
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	ask(64);
	CHECK(vp_negotiate(&p2, VIRTIO_F_VERSION_1));
	v_rings(&d2, &fx, 0x180000, 16);
	vp_queue(&p2, &d2, 0, NO_VECTOR);
	vp_w(&p2, P_STATUS, 1, 0xf);
	d2.desc[0] = (struct vdesc){ DATA, 64, D_WRITE, 0 };
	v_avail(&d2, 0);
	vp_notify(&p2, 0);
	CHECK_EQ(d2.used[1], 1);
	teardown();
}

/* The window in configuration space (4.1.4.9) */

static void
window_set(unsigned bar, uint32_t off, uint32_t len)
{
	cfg_w(&fx, SLOT, p.cap[VP_PCI] + 4, 1, bar);
	cfg_w(&fx, SLOT, p.cap[VP_PCI] + 8, 4, off);
	cfg_w(&fx, SLOT, p.cap[VP_PCI] + 12, 4, len);
}

static uint32_t
window_r(uint32_t off, uint32_t len)
{
	window_set(0, off, len);
	return (cfg_r(&fx, SLOT, p.cap[VP_PCI] + 16, 4));
}

static void
window_w(uint32_t off, uint32_t len, uint32_t val)
{
	window_set(0, off, len);
	cfg_w(&fx, SLOT, p.cap[VP_PCI] + 16, 4, val);
}

/* Everything that can be done by the BAR can be done without it. */
TEST(window)
{
	uint64_t base;
	uint32_t common, notify, isr;

	setup("virtio-rnd");
	base = cfg_bar(&fx, SLOT, 0);
	common = (uint32_t)(p.at[VP_COMMON] - base);
	notify = (uint32_t)(p.at[VP_NOTIFY] - base);
	isr = (uint32_t)(p.at[VP_ISR] - base);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MASTER);		/* no memory decoding */
	v_rings(&d, &fx, 0x100000, 16);
	window_w(common + P_STATUS, 1, 3);
	window_w(common + P_DRIVER_SEL, 4, 1);
	window_w(common + P_DRIVER, 4, 1);
	window_w(common + P_STATUS, 1, 0xb);
	CHECK_EQ(window_r(common + P_STATUS, 1) & 0xff, 0xb);
	window_w(common + P_QSEL, 2, 0);
	CHECK_EQ(window_r(common + P_QSIZE, 2) & 0xffff, 64);
	window_w(common + P_QSIZE, 2, 16);
	window_w(common + P_DESC, 4, 0x100000);
	window_w(common + P_AVAIL, 4, 0x104000);
	window_w(common + P_USED, 4, 0x108000);
	window_w(common + P_QENABLE, 2, 1);
	window_w(common + P_STATUS, 1, 0xf);
	d.desc[0] = (struct vdesc){ DATA, 64, D_WRITE, 0 };
	v_avail(&d, 0);
	window_w(notify, 2, 0);
	CHECK_EQ(d.used[1], 1);
	CHECK(fx_level(&fx));
	CHECK_EQ(window_r(isr, 1) & 0xff, 1);
	CHECK(!fx_level(&fx));
	teardown();
}

TEST(window_on_nothing)
{
	static const struct {
		unsigned bar;
		uint32_t off, len;
	} wrong[] = {
		{ 0, 0, 0 }, { 0, 0, 3 }, { 0, 0, 8 }, { 0, 2, 4 }, { 0, 0x4000, 4 }, { 0, 0xfffffffc, 4 }, { 1, 12, 4 },
		{ 2, 0, 4 }, { 255, 0, 4 }, { 0, 0, UINT32_MAX },
	};

	setup("test-virtio");
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		window_set(wrong[i].bar, wrong[i].off, wrong[i].len);
		cfg_w(&fx, SLOT, p.cap[VP_PCI] + 16, 4, 0xffffffff);
		(void)cfg_r(&fx, SLOT, p.cap[VP_PCI] + 16, 4);
		CHECK_EQ(cfg_r(&fx, SLOT, p.cap[VP_PCI] + 4, 1), wrong[i].bar);
	}
	CHECK_EQ(vp_r(&p, P_FEATURES_SEL, 4), 0);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0);
	CHECK_HAS(fx.log, "window names no register");
	teardown();
}

/* State */

TEST(state_goes_on)
{
	static struct fx to;
	struct pci_host *host2;
	struct px_msix m;
	struct px_cpu c;
	struct vpdrv was;
	uint8_t *ram;

	setup("virtio-rnd");
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xccc00000);
	vp_probe(&p, &fx, SLOT);
	m = px_msix(&fx, SLOT);
	msix_set(&m, 0, MSI_DATA(0x50));
	msix_set(&m, 1, MSI_DATA(0x51));
	msix_control(&m, MSIX_ON | MSIX_MASKED);
	vp_start(&p, &d, 0, 16, 1);
	vp_w(&p, P_CVECTOR, 2, 0);
	ask(64);
	v_avail(&d, 0);						/* not told of */
	vp_w(&p, P_FEATURES_SEL, 4, 1);
	devices_pause(&fx.vmm);

	fx_open(&to);
	host2 = px_host(&to);
	CHECK(px_make(&to, host2, "virtio-rnd", "v", SLOT, to.irq) != NULL);
	fx_move(&fx, &to);
	ram = vm_map_gpa(fx.vmm.vm, 0x100000, 0x110000);
	CHECK_EQ(vm_gpa_write(to.vmm.vm, 0x100000, ram, 0x110000), 0);
	px_start(&c, &to);
	devices_resume(&to.vmm);
	was = p;
	vp_probe(&p, &to, SLOT);
	CHECK_EQ(p.at[VP_COMMON], was.at[VP_COMMON]);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0xf);
	CHECK_EQ(vp_r(&p, P_FEATURES_SEL, 4), 1);
	CHECK_EQ(vp_r(&p, P_CVECTOR, 2), 0);
	CHECK_EQ(vp_r(&p, P_QVECTOR, 2), 1);
	CHECK_EQ(vp_r(&p, P_QENABLE, 2), 1);
	fx_turn(&to);
	ram = vm_map_gpa(to.vmm.vm, 0x108000, 4);
	CHECK_EQ(ram[2], 2);					/* the chain that was on its way */
	m = px_msix(&to, SLOT);
	CHECK(msix_pending(&m, 1));
	CHECK_EQ(px_next(&c), 0);
	msix_control(&m, MSIX_ON);
	CHECK_EQ(px_next(&c), 0x51);
	vp_notify(&p, 0);
	CHECK_EQ(px_next(&c), 0);
	devices_destroy(&to.vmm);
	pci_host_free(host2);
	fx_close(&to);
	teardown();
}

#define	refused(why)	fx_refused(&fx, &fx, (why))

TEST(impossible_state_is_refused)
{
	setup("test-virtio");
	devices_pause(&fx.vmm);
	t->vd.vector = 4;
	refused("interrupt vector 4 does not exist");
	t->vd.vector = 3;
	t->vq[2].vector = 4;
	refused("a queue with interrupt vector 4, which does not exist");
	t->vq[2].vector = NO_VECTOR;
	t->vd.fn.cfg[2] ^= 1;
	refused("that of another device");
	t->vd.fn.cfg[2] ^= 1;
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	teardown();
}

TEST(state_of_unused_queues)
{
	struct few *f;

	setup("test-few");
	f = dev->soft;
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	f->vq[3].ready = true;
	refused("a queue that this device does not have");
	f->vq[3].ready = false;
	devices_resume(&fx.vmm);
	teardown();
}

TEST(machine_reset)
{
	setup("virtio-rnd");
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	ask(64);
	CHECK(fx_level(&fx));
	devices_pause(&fx.vmm);
	devices_reset(&fx.vmm);
	CHECK(!fx_level(&fx));
	CHECK(t->vd.vq[0].doorbell == NULL);
	devices_resume(&fx.vmm);
	CHECK_EQ(pci_host_assign(host), 0);
	vp_probe(&p, &fx, SLOT);
	CHECK_EQ(vp_r(&p, P_STATUS, 1), 0);
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	ask(64);
	teardown();
}

/* Threads */

static void *
hammer(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg, val, at;
	uint64_t base = cfg_bar(&fx, SLOT, 0), table = cfg_bar(&fx, SLOT, 1);

	for (int i = 0; i < 15000; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		val = x >> 40;
		switch ((x >> 59) & 7) {
		case 0:
			at = ECAM + (SLOT << 12) + ((x >> 20) & 0xff);
			break;
		case 1:
			at = table + ((x >> 20) & 0xfff);
			break;
		case 2:
			at = base + p.at[VP_NOTIFY] % 0x4000 + ((x >> 20) & 0xf);
			break;
		case 3:
			at = base + ((x >> 20) & 0x3fff);
			break;
		case 4:
			at = ECAM + (SLOT << 12) + R_COMMAND;
			val = x & 1 ? 6 : 7;
			break;
		case 5:
			at = ECAM + (SLOT << 12) + R_BAR(0);
			val = base;
			break;
		default:
			at = base + ((x >> 20) & 0x3f);
			break;
		}
		(void)vm_access(fx.vmm.vm, VM_SPACE_MEM, at, 1U << ((x >> 52) & 3), (x >> 50) & 1, &val);
	}
	return (NULL);
}

TEST(any_access_from_any_thread)
{
	pthread_t th[FX_THREADS];

	setup("virtio-rnd");
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	fx_hammer_start(th, hammer);
	for (int i = 0; i < 200; i++)
		fx_turn(&fx);
	fx_hammer_join(th);
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	devices_reset(&fx.vmm);
	devices_resume(&fx.vmm);
	CHECK_EQ(pci_host_assign(host), 0);
	vp_probe(&p, &fx, SLOT);
	vp_start(&p, &d, 0, 16, NO_VECTOR);
	ask(64);
	CHECK(fx_level(&fx));
	teardown();
}

TEST_MAIN()

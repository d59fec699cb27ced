/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_rnd.c - the entropy device: random bytes, and none where none were asked for.
 */
#include "vq_driver.h"

#define	DATA	0x200000ULL
#define	LEN	0x100000U

static struct fx fx;
static struct vdrv d;
static uint8_t *data;

static void
setup(void)
{
	const struct device_class *cls = device_class_find("virtio-rnd");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1 };

	CHECKF(cls != NULL, "%s", vmm_errmsg());
	fx_open(&fx);
	place.irq[0] = fx.irq;
	CHECKF(device_create(&fx.vmm, cls, "rnd", fx_node(&fx, "rnd", cls), &place) != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	CHECK_EQ(v_read(&fx, V_ID), 4);
	v_start(&d, &fx, VIRTIO_F_EVENT_IDX, 64);
	data = vm_map_gpa(fx.vmm.vm, DATA, LEN);
	memset(data, 0, LEN);
}

static void
ask(uint16_t i, uint64_t addr, uint32_t len, uint16_t flags)
{
	d.desc[i] = (struct vdesc){ addr, len, flags, (uint16_t)(i + 1) };
	if ((flags & D_NEXT) == 0)
		v_avail(&d, i);
}

/* How many of the bytes are not zero: of random ones, all but 1 in 256. */
static size_t
nonzero(size_t off, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += data[off + i] != 0;
	return (n);
}

TEST(gives_random_bytes)
{
	setup();
	ask(0, DATA + 1, 4096, D_WRITE);
	v_write(&fx, V_NOTIFY, 0);
	CHECK_EQ(d.used[1], 1);
	CHECK_EQ(v_used_len(&d, 0), 4096);
	CHECK(nonzero(1, 4096) > 3900);
	CHECK_EQ(data[0], 0);
	CHECK_EQ(data[4097], 0);
	CHECK(fx_level(&fx));
	/* Another time, other bytes. */
	ask(0, DATA + 0x2001, 4096, D_WRITE);
	v_write(&fx, V_NOTIFY, 0);
	CHECK(memcmp(data + 1, data + 0x2001, 4096) != 0);
	fx_close(&fx);
}

TEST(fills_every_buffer_of_a_chain)
{
	setup();
	ask(0, DATA + 0x8000, 64, D_NEXT);		/* to read: the device has no use for it */
	ask(1, DATA, 64, D_NEXT | D_WRITE);
	ask(2, DATA + 0x1000, 1, D_NEXT | D_WRITE);
	ask(3, DATA + 0x2000, 100, D_WRITE);
	d.avail[1] = 0;
	v_avail(&d, 0);
	v_write(&fx, V_NOTIFY, 0);
	CHECK_EQ(v_used_len(&d, 0), 165);
	CHECK(nonzero(0, 64) > 40 && nonzero(0x2000, 100) > 70);
	CHECK_EQ(nonzero(0x8000, 64), 0);
	/* A chain without room is returned with nothing. */
	ask(4, DATA + 0x8000, 64, 0);
	v_write(&fx, V_NOTIFY, 0);
	CHECK_EQ(d.used[1], 2);
	CHECK_EQ(v_used_len(&d, 1), 0);
	fx_close(&fx);
}

TEST(a_huge_buffer_gets_a_part)
{
	setup();
	ask(0, DATA, LEN, D_WRITE);
	v_write(&fx, V_NOTIFY, 0);
	CHECK_EQ(v_used_len(&d, 0), 65536);
	CHECK(nonzero(0, 65536) > 64000);
	CHECK_EQ(nonzero(65536, LEN - 65536), 0);
	fx_close(&fx);
}

TEST(a_full_ring_is_served)
{
	setup();
	for (uint16_t i = 0; i < 64; i++)
		ask(i, DATA + i * 16U, 16, D_WRITE);
	v_write(&fx, V_NOTIFY, 0);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 64);
	fx_close(&fx);
}

TEST(bytes_are_marked_dirty)
{
	struct vm_dirty *dirty;
	uint64_t bits[64] = { 0 };

	setup();
	dirty = vm_dirty_open(fx.vmm.vm);
	CHECKF(dirty != NULL, "%s", vmm_errmsg());
	ask(0, DATA + 0x1ff0, 32, D_WRITE);
	v_write(&fx, V_NOTIFY, 0);
	CHECK_EQ(vm_dirty_fetch(dirty, 0, FX_MEM, bits), 0);
	CHECK_EQ(bits[(DATA >> 12) / 64] & 7, 6);
	vm_dirty_close(dirty);
	fx_close(&fx);
}

TEST(pause_leaves_memory_alone)
{
	setup();
	devices_pause(&fx.vmm);
	ask(0, DATA, 64, D_WRITE);
	v_write(&fx, V_NOTIFY, 0);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 0);
	CHECK_EQ(nonzero(0, 64), 0);
	CHECK(!fx_level(&fx));
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 1);
	CHECK(nonzero(0, 64) > 40);
	CHECK(fx_level(&fx));
	fx_close(&fx);
}

TEST_MAIN()

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_blk.c - the block device: reads, writes, flushes, discards, and drivers that ask for what cannot be.
 */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "blk_driver.h"

#define	SECTORS	2048U
#define	RING	16

static char path[] = "/tmp/hyve-blk-XXXXXX";
static int fd;

static void
image(void)
{
	uint8_t s[512];

	fd = mkstemp(path);
	CHECK(fd >= 0);
	for (unsigned i = 0; i < SECTORS; i++) {
		memset(s, (int)(i % 251), sizeof(s));
		CHECK_EQ(pwrite(fd, s, sizeof(s), (off_t)i * 512), 512);
	}
}

#define	disk(keys)	blk_make(path, (keys))
#define	ask		blk_request
#define	answers		blk_answers

static void
setup(const char *keys, uint64_t features)
{
	fx_open(&fx);
	image();
	CHECKF(disk(keys) != NULL, "%s", vmm_errmsg());
	blk_start(features, RING);
}

static void
finish(void)
{
	fx_close(&fx);
	close(fd);
	CHECK_EQ(unlink(path), 0);
}

TEST(reads_and_writes)
{
	uint8_t s[1024];

	setup("", 1ULL << 9);
	CHECK_EQ(v_read(&fx, V_ID), 2);
	CHECK_EQ(v_read(&fx, V_CONFIG), SECTORS);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4), 0);
	ask(0, 0, 5, DATA, 1024, true);
	answers(1);
	CHECK_EQ(status[0], 0);
	CHECK_EQ(v_used_len(&d, 0), 1025);
	for (unsigned i = 0; i < 1024; i++)
		CHECK_EQ(data[i], 5 + i / 512);
	memset(data + 4096, 0xa5, 1024);
	ask(0, 1, 7, DATA + 4096, 1024, false);
	ask(1, 4, 0, 0, 0, false);
	answers(3);
	CHECK_EQ(status[0], 0);
	CHECK_EQ(status[1], 0);
	CHECK_EQ(pread(fd, s, sizeof(s), 7 * 512), (ssize_t)sizeof(s));
	for (unsigned i = 0; i < sizeof(s); i++)
		CHECK_EQ(s[i], 0xa5);
	CHECK_EQ(pread(fd, s, 512, 9 * 512), 512);
	CHECK_EQ(s[0], 9);
	/* The last sector, and one that is not there. */
	ask(0, 0, SECTORS - 1, DATA, 512, true);
	ask(1, 0, SECTORS - 1, DATA + 8192, 1024, true);
	ask(2, 0, UINT64_MAX / 512, DATA + 8192, 512, true);
	answers(6);
	CHECK_EQ(status[0], 0);
	CHECK_EQ(status[1], 1);
	CHECK_EQ(status[2], 1);
	CHECK_EQ(data[0], (SECTORS - 1) % 251);
	finish();
}

TEST(identity_and_unknown_requests)
{
	setup("disk.serial=hyve-0001\n", 0);
	ask(0, 8, 0, DATA, 20, true);
	ask(1, 77, 0, DATA + 512, 512, true);
	ask(2, 8, 0, DATA + 1024, 7, true);
	answers(3);
	CHECK_EQ(status[0], 0);
	CHECK(memcmp(data, "hyve-0001\0\0\0\0\0\0\0\0\0\0\0", 20) == 0);
	CHECK_EQ(status[1], 2);
	CHECK_EQ(status[2], 1);
	finish();
}

TEST(discard_and_write_zeroes)
{
	struct { uint64_t sector; uint32_t count, flags; } r[2] = { { 16, 8, 0 }, { 32, 8, 1 } };
	uint8_t s[4096];

	setup("", 1ULL << 13 | 1ULL << 14);
	memcpy(data, r, sizeof(r));
	ask(0, 13, 0, DATA, sizeof(r), false);
	answers(1);
	CHECK_EQ(status[0], 0);
	for (unsigned n = 0; n < 2; n++) {
		CHECK_EQ(pread(fd, s, sizeof(s), (off_t)(16 + 16 * n) * 512), (ssize_t)sizeof(s));
		for (unsigned i = 0; i < sizeof(s); i++)
			CHECK_EQ(s[i], 0);
	}
	CHECK_EQ(pread(fd, s, 512, 24 * 512), 512);
	CHECK_EQ(s[0], 24);
	ask(0, 11, 0, DATA, 16, false);			/* discard without flags */
	ask(1, 11, 0, DATA + 16, 16, false);		/* with unmap: not for discards */
	ask(2, 11, 0, DATA, 15, false);			/* no whole range */
	answers(4);
	CHECK_EQ(status[0], 0);
	CHECK_EQ(status[1], 2);
	CHECK_EQ(status[2], 1);
	r[0].sector = SECTORS - 4;
	memcpy(data, r, sizeof(r));
	ask(0, 13, 0, DATA, sizeof(r), false);
	answers(5);
	CHECK_EQ(status[0], 1);
	finish();
}

TEST(read_only)
{
	uint8_t s[512];

	setup("disk.ro=true\n", 0);
	v_write(&fx, V_FEATURES_SEL, 0);
	CHECK((v_read(&fx, V_FEATURES) & 1U << 5) != 0);
	memset(data, 0xff, 512);
	ask(0, 1, 3, DATA, 512, false);
	ask(1, 0, 3, DATA + 512, 512, true);
	answers(2);
	CHECK_EQ(status[0], 1);
	CHECK_EQ(status[1], 0);
	CHECK_EQ(pread(fd, s, sizeof(s), 3 * 512), 512);
	CHECK_EQ(s[0], 3);
	finish();
}

/* No room for a status breaks the protocol; data of odd length or outside of RAM are errors. */
TEST(bad_requests)
{
	setup("", 0);
	ask(0, 0, 0, DATA, 100, true);
	answers(1);
	CHECK_EQ(status[0], 1);
	d.desc[0] = (struct vdesc){ HEAD, 16, 0, 0 };
	v_avail(&d, 0);
	v_write(&fx, V_NOTIFY, 0);
	fx_turn(&fx);
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	finish();
}

/* A chain of n descriptors from at on; the last has no successor. */
static void
chain(uint16_t at, const struct vdesc *desc, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		d.desc[at + i] = desc[i];
		d.desc[at + i].flags = (uint16_t)(desc[i].flags | (i + 1 < n ? D_NEXT : 0));
		d.desc[at + i].next = (uint16_t)(at + i + 1);
	}
	v_avail(&d, at);
}

/* 2.7.4.2: how a request is cut into buffers is the driver's affair. */
TEST(any_framing)
{
	struct { uint32_t type, reserved; uint64_t sector; } h = { 0, 0, 9 };
	uint8_t s[512];

	setup("", 1ULL << 9);
	memcpy(head, &h, sizeof(h));
	memset(data, 0xee, 4096);
	/* A header in three pieces with an empty one between them; the last byte of the data's buffer is the status. */
	chain(0, (const struct vdesc[]){ { HEAD, 3, 0, 0 }, { HEAD, 0, 0, 0 }, { HEAD + 3, 12, 0, 0 }, { HEAD + 15, 1, 0, 0 },
	    { DATA, 100, D_WRITE, 0 }, { DATA + 1000, 413, D_WRITE, 0 } }, 6);
	answers(1);
	CHECK_EQ(v_used_len(&d, 0), 513);
	for (unsigned i = 0; i < 512; i++)
		CHECK_EQ(data[i < 100 ? i : 900 + i], 9);
	CHECK_EQ(data[1412], 0);
	CHECK_EQ(data[1413], 0xee);
	CHECK_EQ(data[100], 0xee);
	/* Header and data to write in one, and a status of many bytes, of which the last counts. */
	h.type = 1;
	memcpy(data, &h, sizeof(h));
	memset(data + 16, 0x5a, 512);
	memset(status, 0xee, 16);
	chain(0, (const struct vdesc[]){ { DATA, 16 + 512, 0, 0 }, { STATUS, 9, D_WRITE, 0 } }, 2);
	answers(2);
	CHECK_EQ(status[8], 0);
	CHECK_EQ(status[7], 0xee);
	CHECK_EQ(v_used_len(&d, 1), 0);
	CHECK_EQ(pread(fd, s, sizeof(s), 9 * 512), 512);
	CHECK_EQ(s[0], 0x5a);
	CHECK_EQ(s[511], 0x5a);
	/* A header that is too short, and data with none. */
	chain(0, (const struct vdesc[]){ { HEAD, 15, 0, 0 }, { STATUS, 1, D_WRITE, 0 } }, 2);
	chain(4, (const struct vdesc[]){ { STATUS + 1, 1, D_WRITE, 0 } }, 1);
	answers(4);
	CHECK_EQ(status[0], 1);
	CHECK_EQ(status[1], 1);
	finish();
}

/* What breaks the queue protocol, each once; a reset mends it. */
TEST(hostile_chains)
{
	static const struct vdesc bad[][3] = {
		{ { HEAD, 16, D_NEXT, 0 } },							/* a loop of one */
		{ { HEAD, 16, D_NEXT, 1 }, { DATA, 512, D_WRITE | D_NEXT, 2 }, { DATA, 1, D_NEXT | D_WRITE, 1 } },
		{ { HEAD, 16, D_NEXT, 1 }, { DATA, 512, D_WRITE | D_NEXT, RING } },		/* no such descriptor */
		{ { HEAD, 16, D_NEXT, 1 }, { FX_MEM - 256, 512, D_WRITE | D_NEXT, 2 }, { STATUS, 1, D_WRITE, 0 } },
		{ { HEAD, 16, D_NEXT, 1 }, { UINT64_MAX - 100, 512, D_WRITE | D_NEXT, 2 }, { STATUS, 1, D_WRITE, 0 } },
		{ { HEAD, 16, D_NEXT, 1 }, { DATA, UINT32_MAX, D_WRITE | D_NEXT, 2 }, { STATUS, 1, D_WRITE, 0 } },
		{ { HEAD, 16, D_NEXT, 1 }, { DATA, 512, D_WRITE | D_NEXT, 2 }, { DATA, 512, 0, 0 } },
		{ { HEAD, 16, D_INDIRECT, 0 } },						/* not negotiated */
		{ { VM_BASE, 16, D_NEXT, 1 }, { STATUS, 1, D_WRITE, 0 } },			/* a device's registers */
	};

	setup("", 0);
	memset(head, 0, 16);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(d.desc, bad[i], sizeof(bad[i]));
		v_avail(&d, 0);
		v_write(&fx, V_NOTIFY, 0);
		fx_turn(&fx);
		CHECKF((v_read(&fx, V_STATUS) & 0x40) != 0, "chain %u", i);
		CHECK_EQ(d.used[1], 0);
		v_start(&d, &fx, 0, RING);
	}
	ask(0, 0, 5, DATA, 512, true);
	answers(1);
	CHECK_EQ(status[0], 0);
	finish();
}

/* The same chain made available without end, more often than the queue has entries: each is answered, one after the other. */
TEST(driver_that_does_not_wait)
{
	uint16_t n = 0;

	setup("disk.cache=writethrough\n", VIRTIO_F_EVENT_IDX);
	ask(0, 1, 0, DATA, 65536, false);
	n++;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < RING - 1; i++, n++)
			v_avail(&d, 0);
		v_write(&fx, V_NOTIFY, 0);
		/* The index may not run away from what was taken. */
		for (unsigned i = 0; (uint16_t)(n - __atomic_load_n(&d.used[1], __ATOMIC_ACQUIRE)) > 1; i++) {
			CHECK(i < 60000);
			fx_turn(&fx);
			usleep(500);
		}
	}
	answers(n);
	finish();
}

/* Queues of their own, all at once. */
TEST(many_queues)
{
	static struct vdrv q[4];

	setup("disk.queues=4\n", 1ULL << 12);
	CHECK_EQ(v_read(&fx, V_CONFIG + 32) >> 16, 4);
	CHECK(v_negotiate(&fx, 1ULL << 12 | VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < 4; i++) {
		v_rings(&q[i], &fx, 0x100000 + 0x10000 * i, RING);
		v_queue(&q[i], i);
		CHECK_EQ(v_read(&fx, V_QREADY), 1);
	}
	v_write(&fx, V_STATUS, 0xf);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 4; i++) {
			d = q[i];
			ask(0, 0, i + round, DATA + 8192 * i, 4096, true);
			/* ask() has one place for headers: a place per queue. */
			memcpy(head + 1024 + 64 * i, head, 16);
			d.desc[0].addr = HEAD + 1024 + 64 * i;
			d.desc[2].addr = STATUS + 64 + i;
			status[64 + i] = 0xee;
		}
		for (unsigned i = 0; i < 4; i++)
			v_write(&fx, V_NOTIFY, i);
		for (unsigned i = 0; i < 4; i++) {
			for (unsigned n = 0; __atomic_load_n(&q[i].used[1], __ATOMIC_ACQUIRE) != round + 1; n++) {
				CHECK(n < 60000);
				fx_turn(&fx);
				usleep(500);
			}
			CHECK_EQ(status[64 + i], 0);
			for (unsigned k = 0; k < 4096; k += 512)
				CHECK_EQ(data[8192 * i + k], i + round + k / 512);
		}
	}
	finish();
}

/* State goes to another device over the same image, which is shared as nobody writes. */
TEST(moves)
{
	static struct fx to;
	const struct device_class *cls = device_class_find("virtio-blk");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1 };
	struct config_node *node;
	char text[128];
	uint8_t *mem;

	setup("disk.ro=true\n", 1ULL << 9 | 1ULL << 11);
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 32, 1, 0);
	ask(0, 0, 5, DATA, 512, true);
	answers(1);
	ask(1, 0, 6, DATA + 512, 512, true);		/* made available, and nobody notified */
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	fx_open(&to);
	place.irq[0] = to.irq;
	(void)snprintf(text, sizeof(text), "disk.path=%s\ndisk.ro=true\n", path);
	node = fx_node(&to, "disk", cls);
	CHECK_EQ(config_load_text(to.vmm.config, "test", text, strlen(text)), 0);
	CHECKF(device_create(&to.vmm, cls, "disk", node, &place) != NULL, "%s", vmm_errmsg());
	fx_move(&fx, &to);
	mem = vm_map_gpa(to.vmm.vm, 0x100000, 0x200000);
	memcpy(mem, vm_map_gpa(fx.vmm.vm, 0x100000, 0x200000), 0x200000);
	devices_resume(&to.vmm);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, VM_BASE + V_CONFIG + 32, 1), 0);
	for (unsigned i = 0; __atomic_load_n(&mem[0x8000 + 2], __ATOMIC_ACQUIRE) != 2; i++) {
		CHECK(i < 60000);
		fx_turn(&to);
		usleep(500);
	}
	CHECK_EQ(mem[STATUS - 0x100000 + 1], 0);
	CHECK_EQ(mem[DATA - 0x100000 + 512], 6);
	CHECK_EQ(data[512], 0);
	fx_close(&to);
	finish();
}

static void *
resetter(void *arg)
{
	for (unsigned i = 0; i < 50; i++)
		v_write(&fx, V_STATUS, 0);
	return (NULL);
}

/* Several vCPUs reset and notify while requests are in flight. */
TEST(resets_meet)
{
	pthread_t t[3];

	setup("disk.cache=writethrough\n", 0);
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 4; i++)
			ask(i, 1, 128 * i, DATA + 65536 * i, 65536, false);
		v_write(&fx, V_NOTIFY, 0);
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(pthread_create(&t[i], NULL, resetter, NULL), 0);
		for (unsigned i = 0; i < 50; i++)
			v_write(&fx, V_NOTIFY, 0);
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK_EQ(v_read(&fx, V_STATUS), 0);
		v_start(&d, &fx, 0, RING);
	}
	ask(0, 0, 5, DATA, 512, true);
	answers(1);
	CHECK_EQ(status[0], 0);
	finish();
}

/* Every request in flight is complete when pause or reset returns. */
TEST(pause_and_reset_drain)
{
	setup("disk.cache=writethrough\n", 0);
	for (unsigned round = 0; round < 20; round++) {
		memset(data, (int)round, 65536);
		ask(0, 1, 128 * (round % 4), DATA, 65536, false);
		ask(1, 0, 512, DATA + 65536, 65536, true);
		v_write(&fx, V_NOTIFY, 0);
		if (round % 2 == 0) {
			CHECK_EQ(vm_pause(fx.vmm.vm), 0);
			devices_pause(&fx.vmm);
			CHECK_EQ(d.used[1], (uint16_t)2);
			CHECK_EQ(status[0], 0);
			devices_resume(&fx.vmm);
			CHECK_EQ(vm_resume(fx.vmm.vm), 0);
		}
		v_write(&fx, V_STATUS, 0);
		v_start(&d, &fx, 0, RING);
	}
	finish();
}

TEST(images_that_cannot_be)
{
	static const char *const bad[] = { "disk.sectorsize=1024\n", "disk.serial=123456789012345678901\n" };

	for (unsigned i = 0; i < 2; i++) {
		fx_open(&fx);
		image();
		CHECK(disk(bad[i]) == NULL);
		CHECK(strlen(vmm_errmsg()) > 10);
		finish();
		memcpy(path + strlen(path) - 6, "XXXXXX", 6);
	}
	/* Not a whole sector; used by someone else. */
	fx_open(&fx);
	image();
	CHECK_EQ(ftruncate(fd, 1000), 0);
	CHECK(disk("") == NULL);
	CHECK(strstr(vmm_errmsg(), "whole number of sectors") != NULL);
	CHECK_EQ(ftruncate(fd, 1024), 0);
	CHECK(disk("") != NULL);
	fx_close(&fx);
	fx_open(&fx);
	CHECK(disk("disk.path=/does/not/exist\n") == NULL);
	CHECK(strstr(vmm_errmsg(), "/does/not/exist") != NULL);
	finish();
}

TEST_MAIN()

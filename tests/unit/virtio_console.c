/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_console.c - the console device: bytes each way, none lost and none twice, hosts that are slow, and drivers that are odd.
 */
#include "console/chardev.h"
#include "vq_driver.h"

#define	DATA	0x200000ULL
#define	LEN	0x200000U
#define	RING	16

enum { RX, TX };

static struct fx fx;
static struct vdrv q[2];
static struct chardev *cd;
static uint8_t *data;

static struct device *
console(struct fx *f, struct chardev *back, const char *keys)
{
	const struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1, .irq = { f->irq }, .chardev = back };

	return (fx_make_with(f, "virtio-console", "con", &place, keys));
}

static void
start(uint64_t features)
{
	CHECK(v_negotiate(&fx, features | VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < 2; i++) {
		v_rings(&q[i], &fx, 0x100000 + 0x10000 * i, RING);
		v_queue(&q[i], i);
		CHECK_EQ(v_read(&fx, V_QREADY), 1);
	}
	v_write(&fx, V_STATUS, 0xf);
	fx_turn(&fx);
}

static void
setup(size_t ring, const char *keys, uint64_t features)
{
	fx_open(&fx);
	cd = chardev_open_ring(fx.vmm.loop, ring);
	CHECK(cd != NULL);
	CHECKF(console(&fx, cd, keys) != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	CHECK_EQ(v_read(&fx, V_ID), 3);
	data = vm_map_gpa(fx.vmm.vm, DATA, LEN);
	CHECK(data != NULL);
	start(features);
}

static void
finish(void)
{
	devices_destroy(&fx.vmm);
	chardev_close(cd);
	fx_close(&fx);
}

/* Descriptor i; the last of a chain makes it available. */
static void
ask(unsigned queue, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags)
{
	static uint16_t head;
	static bool open;

	if (!open)
		head = i;
	open = (flags & D_NEXT) != 0;
	q[queue].desc[i] = (struct vdesc){ addr, len, flags, (uint16_t)(i + 1) };
	if (!open)
		v_avail(&q[queue], head);
}

static void
kick(unsigned queue)
{
	v_write(&fx, V_NOTIFY, queue);
}

static void
pattern(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
}

TEST(transmits)
{
	char out[64] = { 0 };

	setup(4096, "", 0);
	memcpy(data, "hello, world\n", 13);
	ask(TX, 0, DATA, 7, D_NEXT);
	ask(TX, 1, DATA + 7, 6, 0);
	ask(TX, 2, DATA, 5, 0);
	kick(TX);
	CHECK_EQ(q[TX].used[1], 2);
	CHECK_EQ(v_used_id(&q[TX], 0), 0);
	CHECK_EQ(v_used_len(&q[TX], 0), 0);
	CHECK_EQ(chardev_ring_get(cd, out, sizeof(out)), 18);
	CHECK_STR(out, "hello, world\nhello");
	CHECK(fx_level(&fx));
	finish();
}

TEST(receives)
{
	setup(4096, "", 0);
	/* Bytes that come before there is room wait. */
	CHECK_EQ(chardev_ring_put(cd, "abcdefgh", 8), 8);
	fx_turn(&fx);
	memset(data, 0xee, 64);
	ask(RX, 0, DATA, 3, D_WRITE | D_NEXT);
	ask(RX, 1, DATA + 16, 2, D_WRITE);
	ask(RX, 2, DATA + 32, 16, D_WRITE);
	kick(RX);
	CHECK_EQ(q[RX].used[1], 2);
	CHECK_EQ(v_used_len(&q[RX], 0), 5);
	CHECK_EQ(v_used_len(&q[RX], 1), 3);
	CHECK(memcmp(data, "abc\xee", 4) == 0);
	CHECK(memcmp(data + 16, "de\xee", 3) == 0);
	CHECK(memcmp(data + 32, "fgh\xee", 4) == 0);
	/* And buffers wait for bytes. */
	ask(RX, 3, DATA + 48, 16, D_WRITE);
	kick(RX);
	CHECK_EQ(q[RX].used[1], 2);
	CHECK_EQ(chardev_ring_put(cd, "x", 1), 1);
	fx_turn(&fx);
	CHECK_EQ(q[RX].used[1], 3);
	CHECK_EQ(v_used_id(&q[RX], 2), 3);
	CHECK_EQ(v_used_len(&q[RX], 2), 1);
	CHECK(memcmp(data + 48, "x\xee", 2) == 0);
	finish();
}

/* A host that takes little at a time gets every byte once, in order; the guest's buffer is its own again only then. */
TEST(slow_host)
{
	static uint8_t want[100000], got[sizeof(want)];
	size_t n = 0;

	setup(100, "", VIRTIO_F_EVENT_IDX);
	pattern(want, sizeof(want));
	memcpy(data, want, sizeof(want));
	ask(TX, 0, DATA, 1000, D_NEXT);
	ask(TX, 1, DATA + 1000, 49000, 0);
	ask(TX, 2, DATA + 50000, 50000, 0);
	kick(TX);
	CHECK_EQ(q[TX].used[1], 0);
	for (unsigned i = 0; n < sizeof(want); i++) {
		CHECKF(i < 100000, "stuck at %zu", n);
		n += chardev_ring_get(cd, got + n, 1 + i % 90 < sizeof(want) - n ? 1 + i % 90 : sizeof(want) - n);
		CHECK(q[TX].used[1] == 0 || n + 100 >= 50000);
		fx_turn(&fx);
	}
	CHECK(memcmp(want, got, sizeof(want)) == 0);
	CHECK_EQ(q[TX].used[1], 2);
	finish();
}

/* More than one call moves; nobody notifies again. */
TEST(long_chains)
{
	static uint8_t want[300000], got[sizeof(want)];

	setup(1 << 20, "", 0);
	pattern(want, sizeof(want));
	memcpy(data, want, sizeof(want));
	ask(TX, 0, DATA, sizeof(want), 0);
	kick(TX);
	for (unsigned i = 0; q[TX].used[1] == 0; i++) {
		CHECK(i < 1000);
		fx_turn(&fx);
	}
	CHECK_EQ(chardev_ring_get(cd, got, sizeof(got)), sizeof(got));
	CHECK(memcmp(want, got, sizeof(want)) == 0);
	memset(data, 0, sizeof(want));
	CHECK_EQ(chardev_ring_put(cd, want, sizeof(want)), sizeof(want));
	for (uint16_t i = 0; i < 8; i++)
		ask(RX, i, DATA + 40000 * i, 40000, D_WRITE);
	kick(RX);
	for (unsigned i = 0; i < 100; i++)
		fx_turn(&fx);
	CHECK(q[RX].used[1] >= 7);
	for (size_t at = 0, i = 0, n; at < sizeof(want); at += n, i++) {
		CHECK(i < q[RX].used[1]);
		n = v_used_len(&q[RX], (uint16_t)i);
		CHECK(memcmp(data + 40000 * i, want + at, n) == 0);
	}
	finish();
}

/* In the middle of a chain the device is paused, saved and loaded elsewhere, and goes on where it was. */
TEST(moves_in_the_middle)
{
	static struct fx to;
	static uint8_t want[1000], got[sizeof(want)];
	struct chardev *other;
	size_t n;

	setup(300, "", 0);
	pattern(want, sizeof(want));
	memcpy(data, want, sizeof(want));
	ask(TX, 0, DATA, sizeof(want), 0);
	kick(TX);
	n = chardev_ring_get(cd, got, sizeof(got));
	CHECK_EQ(n, 300);
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	fx_open(&to);
	other = chardev_open_ring(to.vmm.loop, 4096);
	CHECK(console(&to, other, "") != NULL);
	fx_move(&fx, &to);
	/* Memory moves too. */
	memcpy(vm_map_gpa(to.vmm.vm, 0x100000, 0x20000), vm_map_gpa(fx.vmm.vm, 0x100000, 0x20000), 0x20000);
	memcpy(vm_map_gpa(to.vmm.vm, DATA, 4096), data, 4096);
	devices_resume(&to.vmm);
	fx_turn(&to);
	CHECK_EQ(chardev_ring_get(other, got + n, sizeof(got) - n), sizeof(got) - n);
	CHECK(memcmp(want, got, sizeof(want)) == 0);
	devices_destroy(&to.vmm);
	chardev_close(other);
	fx_close(&to);
	/* And here as well, had it stayed. */
	devices_resume(&fx.vmm);
	CHECK_EQ(vm_resume(fx.vmm.vm), 0);
	for (unsigned i = 0; i < 10 && n < sizeof(got); i++) {
		fx_turn(&fx);
		n += chardev_ring_get(cd, got + n, sizeof(got) - n);
	}
	CHECK_EQ(n, sizeof(got));
	CHECK(memcmp(want, got, sizeof(want)) == 0);
	finish();
}

TEST(nothing_moves_while_paused)
{
	setup(4096, "", 0);
	ask(RX, 0, DATA, 16, D_WRITE);
	kick(RX);
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	CHECK_EQ(chardev_ring_put(cd, "late", 4), 4);
	fx_turn(&fx);
	CHECK_EQ(q[RX].used[1], 0);
	devices_resume(&fx.vmm);
	CHECK_EQ(vm_resume(fx.vmm.vm), 0);
	fx_turn(&fx);
	CHECK_EQ(q[RX].used[1], 1);
	CHECK_EQ(v_used_len(&q[RX], 0), 4);
	finish();
}

TEST(size)
{
	setup(64, "con.cols=132\ncon.rows=43\n", 1);
	v_write(&fx, V_FEATURES_SEL, 0);
	CHECK_EQ(v_read(&fx, V_FEATURES) & 7, 5);
	CHECK_EQ(v_read(&fx, V_CONFIG), 132 | 43 << 16);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4), 0);
	finish();
	setup(64, "", 0);
	v_write(&fx, V_FEATURES_SEL, 0);
	CHECK_EQ(v_read(&fx, V_FEATURES) & 7, 4);
	CHECK_EQ(v_read(&fx, V_CONFIG), 0);
	finish();
	fx_open(&fx);
	CHECK(console(&fx, NULL, "con.cols=80\n") == NULL);
	CHECK_HAS(vmm_errmsg(), "together");
	fx_close(&fx);
	fx_open(&fx);
	CHECK(console(&fx, NULL, "con.path=/does/not/exist\n") == NULL);
	CHECK_HAS(vmm_errmsg(), "/does/not/exist");
	fx_close(&fx);
}

/* Emergency output works without a driver, in front of everything else, and as far as the host takes it. */
TEST(emergency_writes)
{
	char out[256] = { 0 };

	setup(8, "", 0);
	v_write(&fx, V_STATUS, 0);
	for (unsigned i = 0; i < 26; i++)
		v_write(&fx, V_CONFIG + 8, 'a' + i);
	CHECK_EQ(v_read(&fx, V_CONFIG + 8), 0);
	start(0);
	memcpy(data, "queue", 5);
	ask(TX, 0, DATA, 5, 0);
	kick(TX);
	for (size_t n = 0, i = 0; n < 31; i++) {
		CHECK(i < 100);
		fx_turn(&fx);
		n += chardev_ring_get(cd, out + n, sizeof(out) - n);
	}
	CHECK_STR(out, "abcdefghijklmnopqrstuvwxyzqueue");
	/* A host that takes nothing: the rest is lost, and nothing else. */
	for (unsigned i = 0; i < 1000; i++)
		v_write(&fx, V_CONFIG + 8, '!');
	v_write(&fx, V_CONFIG + 0, 7);
	CHECK_EQ(v_read(&fx, V_CONFIG), 0);
	finish();
}

/* Buffers the wrong way round, empty ones, wild ones, and loops. */
TEST(odd_drivers)
{
	char out[16];

	setup(4096, "", 0);
	CHECK_EQ(chardev_ring_put(cd, "abc", 3), 3);
	ask(TX, 0, DATA, 16, D_WRITE);		/* nothing to transmit */
	kick(TX);
	CHECK_EQ(q[TX].used[1], 1);
	CHECK_EQ(v_used_len(&q[TX], 0), 0);
	ask(RX, 0, DATA, 16, 0);		/* nowhere to receive */
	kick(RX);
	CHECK_EQ(q[RX].used[1], 1);
	CHECK_EQ(v_used_len(&q[RX], 0), 0);
	CHECK_EQ(chardev_ring_get(cd, out, sizeof(out)), 0);
	ask(RX, 0, DATA, 16, D_WRITE);
	kick(RX);
	CHECK_EQ(v_used_len(&q[RX], 1), 3);
	/* A loop. */
	q[TX].desc[3] = (struct vdesc){ DATA, 16, D_NEXT, 3 };
	v_avail(&q[TX], 3);
	kick(TX);
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	/* Broken: no queue moves, the host's bytes wait. */
	ask(RX, 1, DATA, 16, D_WRITE);
	kick(RX);
	CHECK_EQ(chardev_ring_put(cd, "def", 3), 3);
	fx_turn(&fx);
	CHECK_EQ(q[RX].used[1], 2);
	start(0);
	ask(RX, 0, DATA, 16, D_WRITE);
	kick(RX);
	CHECK_EQ(q[RX].used[1], 1);
	CHECK(memcmp(data, "def", 3) == 0);
	/* Outside of RAM, and longer than all of it. */
	ask(TX, 0, FX_MEM - 8, 16, 0);
	kick(TX);
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	start(0);
	ask(TX, 0, DATA, UINT32_MAX, 0);
	kick(TX);
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	CHECK_EQ(chardev_ring_get(cd, out, sizeof(out)), 0);
	finish();
}

/* Reset in the middle of a chain: the next one begins at its first byte. */
TEST(reset_forgets)
{
	char out[64];

	setup(8, "", 0);
	memcpy(data, "0123456789abcdef", 16);
	ask(TX, 0, DATA, 16, 0);
	kick(TX);
	CHECK_EQ(chardev_ring_get(cd, out, sizeof(out)), 8);
	v_write(&fx, V_STATUS, 0);
	fx_turn(&fx);
	CHECK_EQ(chardev_ring_get(cd, out, sizeof(out)), 0);
	start(0);
	ask(TX, 0, DATA + 10, 4, 0);
	kick(TX);
	CHECK_EQ(chardev_ring_get(cd, out, sizeof(out)), 4);
	CHECK(memcmp(out, "abcd", 4) == 0);
	CHECK_EQ(q[TX].used[1], 1);
	finish();
}

TEST_MAIN()

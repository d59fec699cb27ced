/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtqueue.c - split virtqueues: what a good driver gets, and what a bad one cannot do.
 *
 * The device under test copies the readable part of each chain, in capitals, to its writable
 * part.
 */
#include <ctype.h>

#include "vq_driver.h"

#define	QMAX	256
#define	DATA	0x200000ULL

struct echo {
	struct virtio	 vd;
	struct virtqueue vq[1];
	unsigned	 chains, limit;
};

static void
echo_notify(struct virtio *vd, struct virtqueue *vq)
{
	struct echo *e = (struct echo *)(void *)vd;
	static struct vq_seg segs[QMAX];
	struct vq_chain chain = { .seg = segs, .max = QMAX };
	char buf[65536];
	size_t n;

	while (e->limit != 0 && vq_pop(vq, &chain) == 1) {
		e->limit--;
		e->chains++;
		n = vq_copy_out(vq, &chain, 0, buf, sizeof(buf));
		for (size_t i = 0; i < n; i++)
			buf[i] = (char)toupper((unsigned char)buf[i]);
		n = vq_copy_in(vq, &chain, 0, buf, n);
		vq_push(vq, &chain, (uint32_t)n);
	}
	vq_signal(vq);
}

static const struct virtio_ops ops = { .id = 99, .queue_max = QMAX, .notify = echo_notify };

static int
echo_init(struct device *dev)
{
	struct echo *e = dev->soft;

	e->limit = UINT32_MAX;
	return (virtio_init(&e->vd, dev, &ops, e->vq, 1));
}

static const struct vm_state_field fields[] = { VIRTIO_STATE(struct echo), VIRTIO_QUEUES(struct echo) };
static const struct vm_state_table state = VM_STATE_TABLE("test-echo", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(test_echo, "test-echo", "device of a test", &state, .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct echo), .init = echo_init, .fini = virtio_device_fini, .reset = virtio_device_reset,
    .pause = virtio_device_pause, .resume = virtio_device_resume);

static struct fx fx;
static struct device *dev;
static struct echo *e;
static struct vdrv d;
static char *data;

static struct device *
make(struct fx *f)
{
	const struct device_class *cls = device_class_find("test-echo");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1, .irq = { f->irq } };
	struct device *v = device_create(&f->vmm, cls, "echo", fx_node(f, "echo", cls), &place);

	CHECKF(v != NULL, "%s", vmm_errmsg());
	return (v);
}

static void
setup(uint64_t features, unsigned num)
{
	fx_open(&fx);
	dev = make(&fx);
	e = dev->soft;
	devices_resume(&fx.vmm);
	v_start(&d, &fx, features, num);
	data = vm_map_gpa(fx.vmm.vm, DATA, 0x100000);
}

static void
desc(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	d.desc[i] = (struct vdesc){ addr, len, flags, next };
}

static void
ring(void)
{
	v_write(&fx, V_NOTIFY, 0);
	fx_turn(&fx);
}

/* One chain of two buffers from descriptor i on, and its answer. */
static void
exchange(unsigned i)
{
	uint16_t before = d.used[1];

	strcpy(data, "hello");
	memset(data + 0x1000, 0, 16);
	desc(i, DATA, 6, D_NEXT, (uint16_t)(i + 1));
	desc(i + 1, DATA + 0x1000, 16, D_WRITE, 0);
	v_avail(&d, (uint16_t)i);
	ring();
	CHECK_EQ(d.used[1], (uint16_t)(before + 1));
	CHECK_EQ(v_used_id(&d, before), i);
	CHECK_EQ(v_used_len(&d, before), 6);
	CHECK_STR(data + 0x1000, "HELLO");
}

TEST(a_chain_is_answered)
{
	setup(0, 8);
	exchange(0);
	CHECK(fx_level(&fx));
	CHECK_EQ(v_read(&fx, V_ISR), 1);
	v_write(&fx, V_ACK, 1);
	CHECK(!fx_level(&fx));
	exchange(4);
	CHECK(fx_level(&fx));
	fx_close(&fx);
}

TEST(rings_wrap)
{
	static const unsigned sizes[] = { 2, 4, 256 };

	setup(0, 8);
	for (size_t s = 0; s < 3; s++) {
		v_start(&d, &fx, 0, sizes[s]);
		/* The indices are 16 bits wide: past their end as well. */
		for (unsigned i = 0; i < 66000; i++) {
			if (i % 1000 != 0 && i > 600 && i < 65000) {
				/* a whole ring at a time, to get there */
				d.avail[2 + d.avail[1]++ % d.num] = 0;
				if (d.avail[1] % d.num == 0)
					v_write(&fx, V_NOTIFY, 0);
				continue;
			}
			if (d.used[1] != d.avail[1])
				v_write(&fx, V_NOTIFY, 0);
			exchange(0);
		}
	}
	fx_close(&fx);
}

TEST(a_queue_of_one)
{
	setup(0, 1);
	desc(0, DATA, 6, 0, 0);
	for (int i = 0; i < 3; i++) {
		v_avail(&d, 0);
		ring();
		CHECK_EQ(d.used[1], i + 1);
		CHECK_EQ(v_used_len(&d, (uint16_t)i), 0);
	}
	fx_close(&fx);
}

TEST(many_buffers_and_many_chains)
{
	setup(0, 256);
	for (unsigned i = 0; i < 64; i++) {
		data[i] = (char)('a' + i % 26);
		desc(i, DATA + i, 1, D_NEXT, (uint16_t)(i + 1));
	}
	for (unsigned i = 64; i < 128; i++)
		desc(i, DATA + 0x1000 + i, 1, D_WRITE | (i < 127 ? D_NEXT : 0), (uint16_t)(i + 1));
	desc(200, DATA, 3, D_NEXT, 201);
	desc(201, DATA + 0x3000, 2, D_WRITE, 0);		/* shorter than what is read */
	v_avail(&d, 0);
	v_avail(&d, 200);
	ring();
	CHECK_EQ(d.used[1], 2);
	CHECK_EQ(v_used_len(&d, 0), 64);
	CHECK_EQ(data[0x1000 + 127], toupper(data[63]));
	CHECK_EQ(v_used_len(&d, 1), 2);
	CHECK(memcmp(data + 0x3000, "AB\0", 3) == 0);
	fx_close(&fx);
}

TEST(indirect_tables)
{
	struct vdesc *t;

	setup(VIRTIO_F_INDIRECT_DESC, 8);
	t = vm_map_gpa(fx.vmm.vm, 0x180000, 0x1000);
	strcpy(data, "abcdef");
	t[0] = (struct vdesc){ DATA + 3, 3, D_NEXT, 2 };
	t[2] = (struct vdesc){ DATA + 0x1000, 32, D_WRITE, 0 };
	desc(5, 0x180000, 48, D_INDIRECT, 0);
	v_avail(&d, 5);
	ring();
	CHECK_EQ(v_used_id(&d, 0), 5);
	CHECK_EQ(v_used_len(&d, 0), 3);
	/* A normal descriptor and then a table (2.7.5.3.2); the table's own WRITE flag means nothing. */
	desc(0, DATA, 3, D_NEXT, 1);
	desc(1, 0x180000, 48, D_INDIRECT | D_WRITE, 0);
	v_avail(&d, 0);
	ring();
	CHECK_EQ(v_used_len(&d, 1), 6);
	CHECK(memcmp(data + 0x1000, "ABCDEF", 6) == 0);
	fx_close(&fx);
}

TEST(interrupts_can_be_switched_off)
{
	setup(0, 8);
	d.avail[0] = 1;
	exchange(0);
	CHECK(!fx_level(&fx));
	d.avail[0] = 0;
	exchange(0);
	CHECK(fx_level(&fx));
	v_write(&fx, V_ACK, 1);
	ring();					/* nothing new: no interrupt */
	CHECK(!fx_level(&fx));
	fx_close(&fx);
}

TEST(event_indices)
{
	uint16_t *used_event, *avail_event;

	setup(VIRTIO_F_EVENT_IDX, 8);
	used_event = &d.avail[2 + 8];
	avail_event = &d.used[2 + 4 * 8];
	CHECK_EQ(*avail_event, 0);
	*used_event = 2;			/* at the third */
	exchange(0);
	CHECK(!fx_level(&fx));
	CHECK_EQ(*avail_event, 1);
	exchange(0);
	CHECK(!fx_level(&fx));
	exchange(0);
	CHECK(fx_level(&fx));
	v_write(&fx, V_ACK, 1);
	CHECK_EQ(*avail_event, 3);
	*used_event = 2;			/* passed: a whole round until again */
	exchange(0);
	CHECK(!fx_level(&fx));
	*used_event = 0xffff;
	for (int i = 4; i < 65536; i += 4) {
		desc(0, DATA, 1, 0, 0);
		for (int n = 0; n < 4; n++)
			v_avail(&d, 0);
		v_write(&fx, V_NOTIFY, 0);
		CHECK_EQ(fx_level(&fx), i + 4 == 65536);
	}
	CHECK_EQ(*avail_event, 0);
	fx_close(&fx);
}

/* Wrong chains: how they are made, and what the log says of them. */
static void
w_index(void)
{
	v_avail(&d, 8);
}

static void
w_next(void)
{
	desc(0, DATA, 1, D_NEXT, 8);
	v_avail(&d, 0);
}

static void
w_self(void)
{
	desc(0, DATA, 1, D_NEXT, 0);
	v_avail(&d, 0);
}

static void
w_loop(void)
{
	desc(0, DATA, 1, D_NEXT, 1);
	desc(1, DATA, 1, D_NEXT, 2);
	desc(2, DATA, 1, D_NEXT, 1);
	v_avail(&d, 0);
}

static void
w_empty_loop(void)
{
	desc(0, DATA, 0, D_NEXT, 0);
	v_avail(&d, 0);
}

static void
w_order(void)
{
	desc(0, DATA, 1, D_NEXT | D_WRITE, 1);
	desc(1, DATA, 1, 0, 0);
	v_avail(&d, 0);
}

static void
w_outside(void)
{
	desc(0, FX_MEM - 4, 8, 0, 0);
	v_avail(&d, 0);
}

static void
w_wrap(void)
{
	desc(0, UINT64_MAX - 3, 8, 0, 0);
	v_avail(&d, 0);
}

static void
w_huge(void)
{
	desc(0, 0, UINT32_MAX, D_WRITE, 0);
	v_avail(&d, 0);
}

static void
w_jump(void)
{
	d.avail[1] = 10;		/* one was taken: 9 outstanding in a ring of 8 */
}

static void
w_back(void)
{
	d.avail[1] = 0xffff;
}

static void
w_indirect(void)
{
	desc(0, 0x180000, 16, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static void
w_indirect_next(void)
{
	desc(0, 0x180000, 16, D_INDIRECT | D_NEXT, 1);
	v_avail(&d, 0);
}

static void
w_indirect_len(void)
{
	desc(0, 0x180000, 17, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static void
w_indirect_none(void)
{
	desc(0, 0x180000, 0, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static void
w_indirect_nested(void)
{
	struct vdesc *t = vm_map_gpa(fx.vmm.vm, 0x180000, 32);

	t[0] = (struct vdesc){ 0x180000, 16, D_INDIRECT, 0 };
	desc(0, 0x180000, 32, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static void
w_indirect_index(void)
{
	struct vdesc *t = vm_map_gpa(fx.vmm.vm, 0x180000, 32);

	t[0] = (struct vdesc){ DATA, 1, D_NEXT, 2 };
	desc(0, 0x180000, 32, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static void
w_indirect_outside(void)
{
	desc(0, FX_MEM - 16, 1600, D_INDIRECT, 0);
	memset(vm_map_gpa(fx.vmm.vm, FX_MEM - 16, 16), 0, 16);
	((struct vdesc *)vm_map_gpa(fx.vmm.vm, FX_MEM - 16, 16))->flags = D_NEXT;
	((struct vdesc *)vm_map_gpa(fx.vmm.vm, FX_MEM - 16, 16))->next = 1;
	v_avail(&d, 0);
}

static void
w_indirect_wrap(void)
{
	desc(0, UINT64_MAX - 15, 64, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static void
w_indirect_long(void)
{
	struct vdesc *t = vm_map_gpa(fx.vmm.vm, 0x180000, 0x1000);

	for (unsigned i = 0; i < 16; i++)
		t[i] = (struct vdesc){ DATA, 1, D_NEXT, (uint16_t)(i + 1) };
	desc(0, 0x180000, 0x1000, D_INDIRECT, 0);
	v_avail(&d, 0);
}

static const struct {
	const char	*name;
	uint64_t	 features;
	void		(*make)(void);
	const char	*words;
} wrongs[] = {
	{ "index", 0, w_index, "a descriptor index is beyond its table" },
	{ "next", 0, w_next, "a descriptor index is beyond its table" },
	{ "self", 0, w_self, "a descriptor chain is a loop or longer than the queue" },
	{ "loop", 0, w_loop, "a descriptor chain is a loop or longer than the queue" },
	{ "empty loop", 0, w_empty_loop, "a descriptor chain is a loop or longer than the queue" },
	{ "order", 0, w_order, "a readable buffer behind a writable one" },
	{ "outside", 0, w_outside, "a buffer is outside of RAM" },
	{ "wrap", 0, w_wrap, "a buffer is outside of RAM" },
	{ "huge", 0, w_huge, "a buffer is outside of RAM" },
	{ "jump", 0, w_jump, "the available index jumped" },
	{ "back", 0, w_back, "the available index jumped" },
	{ "indirect", 0, w_indirect, "an indirect descriptor, which was not negotiated" },
	{ "indirect next", VIRTIO_F_INDIRECT_DESC, w_indirect_next, "inside a table or with a successor" },
	{ "indirect length", VIRTIO_F_INDIRECT_DESC, w_indirect_len, "not a number of descriptors long" },
	{ "indirect empty", VIRTIO_F_INDIRECT_DESC, w_indirect_none, "not a number of descriptors long" },
	{ "indirect nested", VIRTIO_F_INDIRECT_DESC, w_indirect_nested, "inside a table or with a successor" },
	{ "indirect index", VIRTIO_F_INDIRECT_DESC, w_indirect_index, "a descriptor index is beyond its table" },
	{ "indirect outside", VIRTIO_F_INDIRECT_DESC, w_indirect_outside, "a descriptor is outside of RAM" },
	{ "indirect wrap", VIRTIO_F_INDIRECT_DESC, w_indirect_wrap, "a descriptor is outside of RAM" },
	{ "indirect long", VIRTIO_F_INDIRECT_DESC, w_indirect_long, "a loop or longer than the queue" },
};

TEST(wrong_chains_need_a_reset_and_nothing_else)
{
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		setup(wrongs[i].features, 8);
		exchange(0);
		v_write(&fx, V_ACK, 3);
		memset(d.desc, 0, 8 * sizeof(d.desc[0]));
		wrongs[i].make();
		ring();
		CHECKF(v_read(&fx, V_STATUS) == 0x4f, "%s: status %#x", wrongs[i].name, v_read(&fx, V_STATUS));
		CHECKF(strstr(fx.log, wrongs[i].words) != NULL, "%s: %s", wrongs[i].name, fx.log);
		CHECK_EQ(v_read(&fx, V_ISR), 2);	/* told by a configuration interrupt */
		CHECK(fx_level(&fx));
		CHECK_EQ(d.used[1], 1);
		ring();					/* dead until the reset */
		CHECK_EQ(d.used[1], 1);
		v_start(&d, &fx, 0, 8);
		CHECK(!fx_level(&fx));
		exchange(0);
		fx_close(&fx);
	}
}

TEST(wrong_rings_never_get_ready)
{
	static const struct { unsigned reg; uint32_t val; const char *words; } bad[] = {
		{ V_QNUM, 0, "the queue size is not a power of 2" }, { V_QNUM, 3, "not a power of 2" },
		{ V_QNUM, 512, "not a power of 2" }, { V_QNUM, 0x10008, "not a power of 2" },
		{ V_DESC, 0x100008, "a ring is not aligned" }, { V_AVAIL, 0x104001, "a ring is not aligned" },
		{ V_USED, 0x108002, "a ring is not aligned" }, { V_DESC, FX_MEM - 16, "a ring is outside of RAM" },
		{ V_AVAIL, FX_MEM - 4, "a ring is outside of RAM" }, { V_USED, FX_MEM - 8, "a ring is outside of RAM" },
		{ V_DESC + 4, UINT32_MAX, "a ring is outside of RAM" },
		{ V_USED + 4, 1, "a ring is outside of RAM" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(0, 8);
		CHECK(v_negotiate(&fx, VIRTIO_F_VERSION_1));
		v_queue(&d, 0);
		v_write(&fx, V_QREADY, 0);
		CHECK_EQ(v_read(&fx, V_QREADY), 0);
		v_write(&fx, bad[i].reg, bad[i].val);
		v_write(&fx, V_QREADY, 1);
		CHECK_EQ(v_read(&fx, V_QREADY), 0);
		CHECK_EQ(v_read(&fx, V_STATUS), 0x4b);
		CHECKF(strstr(fx.log, bad[i].words) != NULL, "%zu: %s", i, fx.log);
		v_write(&fx, V_STATUS, 0x4f);
		ring();
		CHECK_EQ(e->chains, 0);
		/* Such a state can be saved and loaded all the same. */
		devices_pause(&fx.vmm);
		fx_move(&fx, &fx);
		fx_close(&fx);
	}
}

TEST(writes_are_marked_dirty)
{
	struct vm_dirty *dirty;
	uint64_t bits[64] = { 0 };

	setup(0, 8);
	CHECKF(vm_start(fx.vmm.vm) == 0 || true, "%s", vm_errmsg());
	dirty = vm_dirty_open(fx.vmm.vm);
	CHECKF(dirty != NULL, "%s", vm_errmsg());
	exchange(0);
	CHECKF(vm_dirty_fetch(dirty, 0, FX_MEM, bits) == 0, "%s", vm_errmsg());
	for (unsigned page = 0; page < FX_MEM / VM_PAGE_SIZE; page++) {
		bool want = page == (DATA + 0x1000) / VM_PAGE_SIZE || page == 0x108000 / VM_PAGE_SIZE;

		CHECKF(((bits[page / 64] >> (page % 64)) & 1) == want, "page %#x", page);
	}
	vm_dirty_close(dirty);
	fx_close(&fx);
}

TEST(state_goes_on_in_the_middle_of_a_queue)
{
	static struct fx to;
	uint8_t *mem;

	setup(VIRTIO_F_EVENT_IDX, 8);
	exchange(0);
	exchange(2);
	/* Two chains are available, one of them taken when the pause comes. */
	e->limit = 1;
	desc(0, DATA, 6, D_NEXT, 1);
	desc(1, DATA + 0x1000, 16, D_WRITE, 0);
	desc(2, DATA, 6, D_NEXT, 3);
	desc(3, DATA + 0x2000, 16, D_WRITE, 0);
	v_avail(&d, 0);
	v_avail(&d, 2);
	ring();
	CHECK_EQ(d.used[1], 3);
	devices_pause(&fx.vmm);
	v_write(&fx, V_NOTIFY, 0);		/* comes too late, and is not lost */
	fx_turn(&fx);
	CHECK_EQ(d.used[1], 3);
	fx_open(&to);
	make(&to);
	mem = vm_map_gpa(to.vmm.vm, 0, FX_MEM);
	memcpy(mem, vm_map_gpa(fx.vmm.vm, 0, FX_MEM), FX_MEM);
	fx_move(&fx, &to);
	devices_resume(&to.vmm);
	fx_turn(&to);
	CHECK_EQ(*(uint16_t *)(void *)(mem + 0x108002), 4);
	CHECK_STR((char *)mem + DATA + 0x2000, "HELLO");
	CHECK(fx_level(&to));
	CHECK_EQ(v_read(&to, V_STATUS), 0xf);
	fx_close(&to);
	fx_close(&fx);
}

TEST(impossible_state_is_refused)
{
	setup(0, 8);
	devices_pause(&fx.vmm);
	e->vq[0].num = 3;
	CHECK_EQ(virtqueue_state_table.check(&e->vq[0]), -1);
	e->vq[0].num = 512;
	CHECK_EQ(virtqueue_state_table.check(&e->vq[0]), -1);
	e->vq[0].num = 8;
	e->vq[0].used++;
	CHECK_EQ(virtqueue_state_table.check(&e->vq[0]), -1);
	e->vq[0].used--;
	CHECK_EQ(virtqueue_state_table.check(&e->vq[0]), 0);
	e->vd.isr = 4;
	CHECK_EQ(virtio_state_table.check(&e->vd), -1);
	e->vd.isr = 0;
	e->vd.driver_features |= 1;
	CHECK_EQ(virtio_state_table.check(&e->vd), -1);
	CHECK_HAS(vm_errmsg(), "which this device does not have");
	e->vd.driver_features = 0;
	e->vd.status = 4;
	CHECK_EQ(virtio_state_table.check(&e->vd), -1);
	fx_close(&fx);
}

/* Rings that a loaded state puts outside of RAM break when they are used. */
TEST(loaded_rings_may_be_anywhere)
{
	setup(0, 8);
	devices_pause(&fx.vmm);
	e->vq[0].avail = 1ULL << 40;
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(v_read(&fx, V_STATUS), 0x4f);
	CHECK_HAS(fx.log, "the available ring is outside of RAM");
	fx_close(&fx);

	setup(0, 8);
	devices_pause(&fx.vmm);
	e->vq[0].used = 1ULL << 40;
	devices_resume(&fx.vmm);
	desc(0, DATA, 1, 0, 0);
	v_avail(&d, 0);
	ring();
	CHECK_EQ(v_read(&fx, V_STATUS), 0x4f);
	CHECK_HAS(fx.log, "the used ring is outside of RAM");
	fx_close(&fx);
}

/* Random bytes as rings: the device answers or breaks, and can be reset. */
TEST(random_rings)
{
	uint64_t x = 88172645463325252ULL;

	setup(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 8);
	for (int round = 0; round < 3000; round++) {
		v_start(&d, &fx, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 8);
		for (int i = 0; i < 8; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			desc((unsigned)i, (x >> 8) & 0x1fffff0, (uint32_t)(x >> 33) & 0xff0, (uint16_t)(x & 7),
			    (uint16_t)(x >> 50) & 9);
			d.avail[2 + i] = (uint16_t)(x >> 60);
		}
		d.avail[1] = (uint16_t)(x >> 20) % 10;
		ring();
		CHECK(v_read(&fx, V_STATUS) == 0xf || v_read(&fx, V_STATUS) == 0x4f);
	}
	CHECK(e->chains > 100);
	fx_close(&fx);
}

TEST_MAIN()

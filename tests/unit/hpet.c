/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hpet.c - the high precision event timers by the IA-PC HPET specification 1.0a, on virtual time.
 *
 * Edges are seen in the request registers of the 8259 pair, levels of the legacy lines at their
 * handles, messages in the local APIC's request register.
 */

#include "timer/hpet.h"
#include "virtual_fixture.h"

#define	BASE	0xfed00000ULL
#define	TICK	10ULL			/* ns at the default frequency */

#define	CAP	0x000
#define	CONF	0x010
#define	STATUS	0x020
#define	COUNTER	0x0f0
#define	T(i)	(0x100 + 0x20 * (i))
#define	CMP(i)	(T(i) + 8)
#define	FSB(i)	(T(i) + 16)

#define	ENABLE	1
#define	LEGACY	2

#define	LEVEL	0x0002
#define	INT	0x0004
#define	PERIODIC 0x0008
#define	VAL_SET	0x0040
#define	MODE32	0x0100
#define	ROUTE(n) ((uint64_t)(n) << 9)
#define	FSB_EN	0x4000

static struct vfx vms[2], *vm = vms;
#define	v	(*vm)			/* the VM that the functions below are about */
static struct device *dev;
static struct vm_irq *line0;

static uint64_t
rd(unsigned off, unsigned size)
{
	return (fx_read(&v.fx, VM_SPACE_MEM, BASE + off, size));
}

static uint64_t
r64(unsigned off)
{
	return (rd(off, 8));
}

static void
w64(unsigned off, uint64_t val)
{
	fx_write(&v.fx, VM_SPACE_MEM, BASE + off, 8, val);
}

static void
w32(unsigned off, uint32_t val)
{
	fx_write(&v.fx, VM_SPACE_MEM, BASE + off, 4, val);
}

static void
outb(uint16_t p, uint8_t val)
{
	fx_write(&v.fx, VM_SPACE_IO, p, 1, val);
}

/* Initialise the 8259 pair, which forgets edges, with all inputs masked. */
static void
forget_edges(void)
{
	static const struct { uint16_t port; uint8_t val; } icw[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 }, { 0x21, 0x04 }, { 0xa1, 0x02 },
		{ 0x21, 0x01 }, { 0xa1, 0x01 }, { 0x21, 0xff }, { 0xa1, 0xff }, { 0x20, 0x0a }, { 0xa0, 0x0a },
	};

	for (size_t i = 0; i < sizeof(icw) / sizeof(icw[0]); i++)
		outb(icw[i].port, icw[i].val);
}

/* Lines with a request, since the last call. */
static unsigned
edges(void)
{
	unsigned irr = (unsigned)(fx_read(&v.fx, VM_SPACE_IO, 0x20, 1) | fx_read(&v.fx, VM_SPACE_IO, 0xa0, 1) << 8);

	forget_edges();
	return (irr & ~4U);		/* the cascade */
}

static bool
level_of(struct vm_irq *irq)
{
	struct vm_irq_info info;

	CHECK_EQ(vm_irq_get_info(irq, &info), 0);
	return (info.level);
}

/* Whether a message with this vector has arrived: the saved local APIC has its request register. */
static bool
arrived(unsigned vector)
{
	static const uint8_t head[] = { 3, 3, 'i', 'r', 'r', 8, 0, 0, 0, 32, 0, 0, 0 };
	struct vm_state_out *so = vm_state_out_open();
	const uint8_t *p;
	size_t len;
	bool is;

	CHECKF(vm_state_save(v.fx.vmm.vm, so) == 0, "%s", vm_errmsg());
	p = vm_state_out_data(so, &len);
	p = memmem(p, len, head, sizeof(head));
	CHECK(p != NULL);
	is = (p[sizeof(head) + vector / 8] >> (vector & 7) & 1) != 0;
	vm_state_out_close(so);
	return (is);
}

static struct device *
make(struct vfx *f, const char *const *keys)
{
	const struct device_class *cls = device_class_find("hpet");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = BASE, .nirqs = 2, .irq = { line0, f->fx.irq } };
	struct config_node *node = fx_node(&f->fx, "hpet", cls);
	struct device *d;

	/* Inputs that the 8259 shows. */
	vfx_set(f, "hpet.routes", "0x1800");
	for (; keys != NULL && *keys != NULL; keys += 2)
		vfx_set(f, keys[0], keys[1]);
	d = device_create(&f->fx.vmm, cls, "hpet", node, &place);
	CHECKF(d != NULL, "%s", vmm_errmsg());
	return (d);
}

static void
setup(const char *const *keys)
{
	vfx_open(&v);
	line0 = vm_irq_open_line(v.fx.vmm.vm, 0);
	CHECK(line0 != NULL);
	dev = make(&v, keys);
	devices_resume(&v.fx.vmm);
	forget_edges();
}

static void
teardown(void)
{
	devices_destroy(&v.fx.vmm);
	vm_irq_close(line0);
	vfx_close(&v);
}

/* Ticks since the clock's 0. */
static void
until(uint64_t ticks)
{
	vfx_until(&v, ticks * TICK);
}

static void
just_before(uint64_t ticks)
{
	vfx_until(&v, ticks * TICK - 1);
}

TEST(capabilities)
{
	setup(NULL);
	/* 10^7 fs; Intel's; legacy replacement; 64 bits; timers 0 to 2; revision 1 */
	CHECK_EQ(r64(CAP), 0x009896808086a201);
	CHECK_EQ(hpet_block_id(dev), 0x8086a201);
	CHECK_EQ(r64(CONF), 0);
	CHECK_EQ(r64(STATUS), 0);
	CHECK_EQ(r64(COUNTER), 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(r64(T(i)), 0x0000180000008030);
		CHECK_EQ(r64(CMP(i)), UINT64_MAX);
		CHECK_EQ(r64(FSB(i)), 0);
	}
	CHECK_EQ(r64(T(3)), 0);
	w64(T(3), UINT64_MAX);
	CHECK_EQ(r64(T(3)), 0);
	w64(CAP, 0);
	CHECK_EQ(r64(CAP), 0x009896808086a201);
	w64(CONF, UINT64_MAX);
	CHECK_EQ(r64(CONF), ENABLE | LEGACY);
	w64(CONF, 0);
	w64(T(1), UINT64_MAX & ~ROUTE(31) & ~(uint64_t)INT);
	CHECK_EQ(r64(T(1)), 0x000018000000c13a);
	teardown();
}

TEST(keys)
{
	static const char *const k[] = {
		"hpet.timers", "24", "hpet.frequency", "14318180", "hpet.legacy", "no", "hpet.msi", "no",
		"hpet.routes", "0xf00000", NULL
	};
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };
	const struct device_class *cls = device_class_find("hpet");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = BASE, .nirqs = 2 };

	setup(k);
	CHECK_EQ(r64(CAP) & 0xffffffff, 0x80863701 & ~0x8000u);
	CHECK_EQ(r64(CAP) >> 32, 69841279);		/* fs */
	w64(CONF, UINT64_MAX);
	CHECK_EQ(r64(CONF), ENABLE);
	CHECK_EQ(r64(T(23)), 0x00f0000000000030);
	w64(T(23), FSB_EN | ROUTE(23));
	CHECK_EQ(r64(T(23)), 0x00f0000000000030 | ROUTE(23));
	vfx_until(&v, NSEC);
	CHECK_EQ(r64(COUNTER), 14318180);
	teardown();

	vfx_open(&v);
	line0 = v.fx.irq;
	place.irq[0] = place.irq[1] = line0;
	(void)fx_node(&v.fx, "hpet", cls);
	CHECK_EQ(config_set(v.fx.vmm.config, "hpet.timers", "2", &origin), -1);
	CHECK_EQ(config_set(v.fx.vmm.config, "hpet.timers", "25", &origin), -1);
	CHECK_EQ(config_set(v.fx.vmm.config, "hpet.frequency", "9999999", &origin), -1);
	vfx_set(&v, "hpet.routes", "0x80000000");
	CHECK(device_create(&v.fx.vmm, cls, "hpet", config_node(v.fx.vmm.config, "hpet"), &place) == NULL);
	CHECK_HAS(vmm_errmsg(), "hpet: routes: ");
	place.nirqs = 1;
	CHECK(device_create(&v.fx.vmm, cls, "hpet", config_node(v.fx.vmm.config, "hpet"), &place) == NULL);
	vfx_close(&v);
}

TEST(the_counter)
{
	setup(NULL);
	until(1000);
	CHECK_EQ(r64(COUNTER), 0);		/* halted */
	w64(CONF, ENABLE);
	just_before(1001);
	CHECK_EQ(r64(COUNTER), 0);
	until(1001);
	CHECK_EQ(r64(COUNTER), 1);
	w64(CONF, 0);
	until(2000);
	CHECK_EQ(r64(COUNTER), 1);
	w64(COUNTER, 0x123456789abcdef0);
	CHECK_EQ(r64(COUNTER), 0x123456789abcdef0);
	w32(COUNTER, 0xffffffff);
	CHECK_EQ(r64(COUNTER), 0x12345678ffffffff);
	w32(COUNTER + 4, 0x9);
	CHECK_EQ(r64(COUNTER), 0x9ffffffff);
	w64(CONF, ENABLE);
	until(2002);
	CHECK_EQ(rd(COUNTER, 4), 1);
	CHECK_EQ(rd(COUNTER + 4, 4), 0xa);
	w64(COUNTER, UINT64_MAX);
	until(2003);
	CHECK_EQ(r64(COUNTER), 0);
	teardown();
}

TEST(accesses_of_other_sizes)
{
	setup(NULL);
	w64(COUNTER, 0x1122334455667788);
	CHECK_EQ(rd(COUNTER, 1), 0x88);
	CHECK_EQ(rd(COUNTER + 3, 1), 0x55);
	CHECK_EQ(rd(COUNTER + 2, 2), 0x5566);
	CHECK_EQ(rd(COUNTER + 2, 8), 0x0000112233445566);
	CHECK_EQ(rd(0x3fc, 8), 0);
	CHECK_EQ(rd(0x3ff, 1), 0);
	CHECK_EQ(rd(4, 8), r64(CAP) >> 32);
	/* Writes that are neither 32 nor 64 bits wide, or not aligned, do nothing, and are told. */
	fx_write(&v.fx, VM_SPACE_MEM, BASE + COUNTER, 1, 0);
	fx_write(&v.fx, VM_SPACE_MEM, BASE + COUNTER, 2, 0);
	fx_write(&v.fx, VM_SPACE_MEM, BASE + COUNTER + 2, 4, 0);
	fx_write(&v.fx, VM_SPACE_MEM, BASE + COUNTER + 4, 8, 0);
	fx_write(&v.fx, VM_SPACE_MEM, BASE + 0x3fc, 8, 0);
	CHECK_EQ(r64(COUNTER), 0x1122334455667788);
	CHECK_HAS(v.fx.log, "hpet: a write of 1 bytes at offset 0xf0 is ignored");
	teardown();
}

TEST(one_shot)
{
	setup(NULL);
	w64(T(0), INT | ROUTE(11));
	w64(CMP(0), 1000);
	w64(CONF, ENABLE);
	just_before(1000);
	CHECK_EQ(edges(), 0);
	until(1000);
	CHECK_EQ(edges(), 1 << 11);
	CHECK_EQ(r64(CMP(0)), 1000);
	CHECK_EQ(r64(STATUS), 0);		/* edges have none */
	until(100000);
	CHECK_EQ(edges(), 0);
	/* The next one; another input. */
	w64(T(0), INT | ROUTE(12));
	w64(CMP(0), 100100);
	until(100100);
	CHECK_EQ(edges(), 1 << 12);
	/* Behind the counter: not before it has gone round. */
	w64(CMP(0), 100099);
	w64(CMP(1), 100099);
	w64(T(1), INT | ROUTE(11) | MODE32);
	just_before(100099 + (1ULL << 32));
	CHECK_EQ(edges(), 0);
	until(100099 + (1ULL << 32));
	CHECK_EQ(edges(), 1 << 11);
	just_before(100099 + (2ULL << 32));
	CHECK_EQ(edges(), 0);
	until(100099 + (2ULL << 32));		/* 32 bits go round and round */
	CHECK_EQ(edges(), 1 << 11);
	teardown();
}

TEST(disabled_timers_are_silent)
{
	setup(NULL);
	w64(T(0), ROUTE(11));
	w64(T(1), LEVEL | ROUTE(12));
	w64(T(2), INT | ROUTE(11));
	w64(CMP(0), 1000);
	w64(CMP(1), 1000);
	w64(CMP(2), 1000);
	until(2000);				/* halted */
	CHECK_EQ(edges(), 0);
	w64(CONF, ENABLE);
	w64(T(2), 0);
	until(4000);
	CHECK_EQ(edges(), 0);
	CHECK_EQ(r64(STATUS), 2);		/* a level has a status without INT_ENB too */
	w64(T(1), LEVEL | INT | ROUTE(12));
	CHECK_EQ(edges(), 1 << 12);
	teardown();
}

TEST(routes_that_do_not_exist)
{
	setup(NULL);
	w64(T(0), INT | ROUTE(5));
	CHECK_EQ(r64(T(0)) & ROUTE(31), 0);
	w64(T(0), INT | ROUTE(11));
	w64(T(0), INT | ROUTE(31));
	CHECK_EQ(r64(T(0)) & ROUTE(31), ROUTE(11));
	w64(T(1), INT);				/* never routed */
	w64(CMP(0), 100);
	w64(CMP(1), 100);
	w64(CONF, ENABLE);
	until(100);
	CHECK_EQ(edges(), 1 << 11);
	teardown();
}

TEST(periodic)
{
	setup(NULL);
	w64(CONF, ENABLE);
	until(500);
	/* As Linux does: a first match, then the period. */
	w32(T(0), INT | PERIODIC | VAL_SET | MODE32 | ROUTE(11));
	CHECK_EQ(r64(T(0)) & VAL_SET, 0);	/* reads as 0 */
	w32(CMP(0), 10500);
	w32(CMP(0), 10000);
	CHECK_EQ(r64(CMP(0)), 10500);
	for (unsigned n = 1; n < 20; n++) {
		just_before(500 + n * 10000);
		CHECK_EQ(edges(), 0);
		CHECK_EQ(r64(CMP(0)), 500 + n * 10000);
		until(500 + n * 10000);
		CHECK_EQ(edges(), 1 << 11);
		CHECK_EQ(r64(CMP(0)), 500 + (n + 1) * 10000);
	}
	/* Another period: from the match after the next one on. */
	w32(CMP(0), 4000);
	CHECK_EQ(r64(CMP(0)), 200500);
	until(200500);
	CHECK_EQ(edges(), 1 << 11);
	CHECK_EQ(r64(CMP(0)), 204500);
	/* One write with VAL_SET is both. */
	w64(T(0), INT | PERIODIC | VAL_SET | ROUTE(11));
	w64(CMP(0), 300000);
	until(300000);
	CHECK_EQ(edges(), 1 << 11);
	CHECK_EQ(r64(CMP(0)), 600000);
	/* A period of 0 does not advance. */
	w64(CMP(0), 0);
	until(600000);
	CHECK_EQ(edges(), 1 << 11);
	CHECK_EQ(r64(CMP(0)), 600000);
	until(2000000);
	CHECK_EQ(edges(), 0);
	teardown();
}

/* 32-bit software on a 64-bit periodic timer: VAL_SET before each half (2.3.9.2.2). */
TEST(periodic_in_halves)
{
	setup(NULL);
	w64(COUNTER, 0x4fffff000);
	w32(T(1), PERIODIC | VAL_SET | INT | ROUTE(12));
	w32(CMP(1), 0x1000);
	w32(T(1), PERIODIC | VAL_SET | INT | ROUTE(12));
	w32(CMP(1) + 4, 5);
	CHECK_EQ(r64(CMP(1)), 0x500001000);
	w32(CMP(1), 0x8000);
	w32(CMP(1) + 4, 0);
	CHECK_EQ(r64(CMP(1)), 0x500001000);
	w64(CONF, ENABLE);
	just_before(0x2000);
	CHECK_EQ(edges(), 0);
	until(0x2000);
	CHECK_EQ(edges(), 1 << 12);
	CHECK_EQ(r64(CMP(1)), 0x500009000);
	until(0xa000);
	CHECK_EQ(edges(), 1 << 12);
	teardown();
}

TEST(levels)
{
	setup(NULL);
	w64(CONF, ENABLE | LEGACY);
	w64(T(0), LEVEL | INT | PERIODIC | VAL_SET);
	w64(CMP(0), 10000);
	w64(T(1), LEVEL | INT);
	w64(CMP(1), 15000);
	just_before(10000);
	CHECK(!level_of(line0));
	until(10000);
	CHECK(level_of(line0));
	CHECK_EQ(r64(STATUS), 1);
	until(15000);
	CHECK(level_of(v.fx.irq));
	CHECK_EQ(r64(STATUS), 3);
	w64(STATUS, 0);
	CHECK(level_of(line0));
	w32(STATUS, 1);
	CHECK(!level_of(line0));
	CHECK(level_of(v.fx.irq));
	CHECK_EQ(r64(STATUS), 2);
	until(20000);
	CHECK(level_of(line0));
	/* Not acknowledged: no more than raised; the comparator goes on. */
	until(55000);
	CHECK(level_of(line0));
	CHECK_EQ(r64(CMP(0)), 60000);
	/* INT_ENB and ENABLE take the line away, not the status. */
	w64(T(0), LEVEL | PERIODIC);
	CHECK(!level_of(line0));
	CHECK_EQ(r64(STATUS), 3);
	w64(T(0), LEVEL | PERIODIC | INT);
	CHECK(level_of(line0));
	w64(CONF, LEGACY);
	CHECK(!level_of(line0));
	CHECK(!level_of(v.fx.irq));
	CHECK_EQ(r64(STATUS), 3);
	w64(STATUS, 1);
	w64(CONF, ENABLE | LEGACY);
	CHECK(!level_of(line0));
	CHECK(level_of(v.fx.irq));
	/* A level moves with its route. */
	w64(CONF, ENABLE);
	CHECK(!level_of(v.fx.irq));
	(void)edges();
	w64(T(1), LEVEL | INT | ROUTE(11));
	CHECK_EQ(edges(), 1 << 11);
	/* Edges have no status. */
	w64(T(1), INT | ROUTE(11));
	CHECK_EQ(r64(STATUS), 0);
	teardown();
}

static int legacy_on;
static unsigned legacy_calls;

static void
legacy(void *arg, bool on)
{
	CHECK(arg == &legacy_on);
	legacy_on = on;
	legacy_calls++;
}

TEST(legacy_replacement)
{
	struct device other = { .cls = device_class_find("ns16550"), .name = (char *)(uintptr_t)"com1" };

	setup(NULL);
	devices_pause(&v.fx.vmm);
	CHECK_EQ(hpet_on_legacy(dev, legacy, &legacy_on), 0);
	CHECK_EQ(hpet_on_legacy(&other, legacy, &legacy_on), -1);
	CHECK_EQ(hpet_block_id(&other), 0);
	legacy_on = -1;
	devices_resume(&v.fx.vmm);
	CHECK_EQ(legacy_on, 0);			/* told at the resume */
	CHECK_EQ(legacy_calls, 1);
	w64(CONF, LEGACY);
	CHECK_EQ(legacy_on, 0);
	w64(CONF, LEGACY | ENABLE);
	CHECK_EQ(legacy_on, 1);
	CHECK_EQ(legacy_calls, 2);
	/* Routes and messages of timers 0 and 1 have no effect, those of timer 2 have. */
	w64(T(0), INT | ROUTE(11));
	w64(T(1), INT | FSB_EN);
	w64(FSB(1), 0xfee00000ULL << 32 | 0x61);
	w64(T(2), INT | ROUTE(12));
	for (unsigned i = 0; i < 3; i++)
		w64(CMP(i), 1000);
	until(1000);
	CHECK_EQ(edges(), 1 << 0 | 1 << 8 | 1 << 12);
	CHECK(!arrived(0x61));
	w64(CONF, ENABLE);
	CHECK_EQ(legacy_on, 0);
	for (unsigned i = 0; i < 3; i++)
		w64(CMP(i), 2000);
	until(2000);
	CHECK_EQ(edges(), 1 << 11 | 1 << 12);
	CHECK(arrived(0x61));
	/* A level stays one, whatever is said about messages. */
	w64(CONF, ENABLE | LEGACY);
	w64(T(1), INT | FSB_EN | LEVEL);
	w64(CMP(1), 3000);
	until(3000);
	CHECK(level_of(v.fx.irq));
	w64(CONF, ENABLE);
	CHECK(!level_of(v.fx.irq));
	w64(CONF, LEGACY | ENABLE);
	fx_reset(&v.fx);
	CHECK_EQ(legacy_on, 0);
	devices_pause(&v.fx.vmm);
	CHECK_EQ(hpet_on_legacy(dev, NULL, NULL), 0);
	teardown();
}

TEST(messages)
{
	setup(NULL);
	w64(CONF, ENABLE);
	w64(T(2), INT | FSB_EN | PERIODIC | VAL_SET | ROUTE(11));
	w32(FSB(2) + 4, 0xfee00000);
	w32(FSB(2), 0x51);
	w64(CMP(2), 10000);
	CHECK_EQ(r64(FSB(2)), 0xfee0000000000051);
	just_before(10000);
	CHECK(!arrived(0x51));
	until(10000);
	CHECK(arrived(0x51));
	w32(FSB(2), 0x72);
	CHECK(!arrived(0x72));
	until(20000);
	CHECK(arrived(0x72));
	CHECK_EQ(edges(), 0);
	/* Level-triggered as a message is the message alone. */
	w64(T(2), INT | FSB_EN | LEVEL | PERIODIC);
	w32(FSB(2), 0x83);
	until(30000);
	CHECK(arrived(0x83));
	CHECK_EQ(edges(), 0);
	/* An address that no controller takes goes nowhere. */
	w64(FSB(2), 0x1234567800000084);
	until(50000);
	CHECK(!arrived(0x84));
	w64(FSB(2), 0xfee0000000000095);
	until(60000);
	CHECK(arrived(0x95));
	teardown();
}

/* Periods that no guest could follow do not keep the host busy. */
TEST(a_frantic_timer_is_held_to_a_rate)
{
	setup(NULL);
	w64(CONF, ENABLE);
	w64(T(0), INT | PERIODIC | VAL_SET | ROUTE(11));
	w64(CMP(0), 1);
	for (uint64_t n = 1; n < 100; n++) {
		until(n * 2000);			/* 20 us */
		CHECK_EQ(edges(), 1 << 11);
		CHECK_EQ(r64(CMP(0)), n * 2000 + 1);
		(void)edges();
	}
	until(100000000);				/* a second */
	CHECK_EQ(r64(CMP(0)), 100000001);
	teardown();
}

/* Any comparator, mode, width and step against counting tick by tick. */
TEST(agrees_with_counting)
{
	uint64_t seed = 0x4e7, now = 0;

	setup(NULL);
	for (int i = 0; i < 3000; i++) {
		bool mode32 = test_random(&seed) & 1, per = test_random(&seed) & 1, hit = false;
		uint64_t mask = mode32 ? UINT32_MAX : UINT64_MAX, period = test_random(&seed) % 60;
		uint64_t counter = (test_random(&seed) & 1) != 0 ? mask - test_random(&seed) % 50 : test_random(&seed);
		uint64_t cmp = (counter + test_random(&seed) % 300 - 20) & mask;
		unsigned passed = (unsigned)(test_random(&seed) % 700);

		w64(CONF, 0);
		w64(COUNTER, counter);
		w64(T(1), LEVEL | (mode32 ? MODE32 : 0) | (per ? PERIODIC | VAL_SET : 0));
		w64(CMP(1), cmp);
		if (per)
			w64(CMP(1), period);
		w64(STATUS, 2);
		w64(CONF, ENABLE);
		now += passed * TICK;
		CHECK_EQ(vm_clock_set(v.fx.vmm.vm, now), 0);
		for (unsigned k = 0; k < passed; k++) {
			counter++;
			if ((counter & mask) != cmp)
				continue;
			hit = true;
			if (per)
				cmp = (cmp + period) & mask;
		}
		CHECK_EQ(r64(COUNTER), counter);
		CHECKF(r64(CMP(1)) == cmp, "case %d: comparator 0x%jx, counted 0x%jx", i, (uintmax_t)r64(CMP(1)),
		    (uintmax_t)cmp);
		CHECK_EQ(r64(STATUS), hit ? 2 : 0);
	}
	teardown();
}

TEST(reset)
{
	setup(NULL);
	w64(CONF, ENABLE | LEGACY);
	w64(T(0), LEVEL | INT);
	w64(CMP(0), 1000);
	w64(T(2), INT | ROUTE(11));
	w64(CMP(2), 3000);
	w64(FSB(2), 42);
	until(2000);
	CHECK(level_of(line0));
	devices_pause(&v.fx.vmm);
	devices_reset(&v.fx.vmm);
	CHECK(!level_of(line0));
	devices_resume(&v.fx.vmm);
	(void)edges();
	until(10000);
	CHECK_EQ(edges(), 0);
	CHECK_EQ(r64(CONF), 0);
	CHECK_EQ(r64(STATUS), 0);
	CHECK_EQ(r64(COUNTER), 0);
	CHECK_EQ(r64(T(0)), 0x0000180000008030);
	CHECK_EQ(r64(CMP(2)), UINT64_MAX);
	CHECK_EQ(r64(FSB(2)), 0);
	teardown();
}

TEST(pause_raises_nothing)
{
	setup(NULL);
	w64(CONF, ENABLE | LEGACY);
	w64(T(0), LEVEL | INT);
	w64(CMP(0), 1000);
	w64(T(2), INT | ROUTE(11));
	w64(CMP(2), 1000);
	devices_pause(&v.fx.vmm);
	until(5000);				/* a clock that runs on all the same */
	CHECK_EQ(edges(), 0);
	CHECK(!level_of(line0));
	devices_resume(&v.fx.vmm);
	CHECK_EQ(edges(), 1 << 0 | 1 << 11);
	CHECK(level_of(line0));
	/* Nor does an access, which nobody should make. */
	w64(STATUS, 1);
	w64(CMP(0), 6000);
	w64(CMP(2), 6000);
	devices_pause(&v.fx.vmm);
	until(7000);
	CHECK_EQ(r64(COUNTER), 7000);
	CHECK_EQ(edges(), 0);
	CHECK(!level_of(line0));
	devices_resume(&v.fx.vmm);
	CHECK(level_of(line0));
	teardown();
}

/* One shot, a period, and a level that is raised: all go on elsewhere at the right time. */
TEST(state_moves_with_its_timers)
{
	struct vm_irq *old0;

	setup(NULL);
	w64(CONF, ENABLE | LEGACY);
	w64(T(0), INT | PERIODIC | VAL_SET);
	w64(CMP(0), 10000);
	w64(T(1), LEVEL | INT);
	w64(CMP(1), 4000);
	w64(T(2), INT | FSB_EN);
	w64(FSB(2), 0xfee0000000000051);
	w64(CMP(2), 25000);
	until(15000);
	CHECK_EQ(edges(), 1 << 0 | 1 << 8);
	devices_pause(&v.fx.vmm);
	old0 = line0;

	vm = &vms[1];
	vfx_open(&v);
	line0 = vm_irq_open_line(v.fx.vmm.vm, 0);
	vfx_until(&v, 12345);
	dev = make(&v, NULL);
	vfx_move(&vms[0], &v);
	forget_edges();
	CHECK(!level_of(v.fx.irq));
	devices_resume(&v.fx.vmm);
	CHECK(level_of(v.fx.irq));		/* from the state alone */
	CHECK_EQ(r64(COUNTER), 15000);
	(void)edges();
	just_before(20000);
	CHECK_EQ(edges() & 1, 0);
	until(20000);
	CHECK_EQ(edges() & 1, 1);
	just_before(25000);
	CHECK(!arrived(0x51));
	until(25000);
	CHECK(arrived(0x51));
	until(30000);
	CHECK_EQ(edges() & 1, 1);
	w64(STATUS, 2);
	CHECK(!level_of(v.fx.irq));
	teardown();
	vm = &vms[0];
	line0 = old0;
	teardown();
}

TEST(damaged_state_is_refused)
{
	setup(NULL);
	w64(T(2), INT | ROUTE(11));
	devices_pause(&v.fx.vmm);
	fx_damage(&v.fx);
	devices_resume(&v.fx.vmm);
	CHECK_EQ(r64(T(2)) & ROUTE(31), ROUTE(11));
	teardown();
}

TEST(impossible_state_is_refused)
{
	static const struct fx_bad bad[] = {
		{ "caps", 0x009896808086a301, 8, "other capabilities" }, { "hz", 10000000, 4, "other capabilities" },
		{ "routes", 0x800, 4, "other capabilities" }, { "conf", 4, 1, "bits that do not exist" },
		{ "status", 8, 4, "bits that do not exist" }, { .field = NULL }
	};
	static const char *const nomsi[] = { "hpet.msi", "no", NULL }, *const nolegacy[] = { "hpet.legacy", "no", NULL };
	const struct vm_state_table *table;
	uint32_t *conf;

	setup(NULL);
	table = dev->cls->state;
	devices_pause(&v.fx.vmm);
	fx_refuses(dev, bad);
	/* Of a timer: the first field of the struct in the last field. */
	table = table->fields[table->nfields - 1].sub;
	CHECK_STR(table->fields[0].name, "conf");
	conf = (uint32_t *)(void *)((uint8_t *)fx_field(dev, "t") + table->fields[0].offset);
	*conf = 0x8000;
	CHECK_EQ(table->check(fx_field(dev, "t")), -1);
	CHECK_HAS(vm_errmsg(), "bits that do not exist");
	*conf = ROUTE(5);
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	CHECK_HAS(vm_errmsg(), "timer 0 has a route");
	*conf = 0;
	teardown();

	setup(nomsi);
	conf = (uint32_t *)(void *)((uint8_t *)fx_field(dev, "t") + table->fields[0].offset);
	devices_pause(&v.fx.vmm);
	*conf = FSB_EN;
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	CHECK_HAS(vm_errmsg(), "timer 0 sends messages");
	*conf = 0;
	teardown();

	setup(nolegacy);
	devices_pause(&v.fx.vmm);
	*(uint8_t *)fx_field(dev, "conf") = LEGACY;
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	*(uint8_t *)fx_field(dev, "conf") = 0;
	teardown();
}

/* Random accesses of every size at every offset, while time passes in leaps of any length. */
TEST(random_accesses)
{
	static const char *const many[] = { "hpet.timers", "24", NULL };
	uint64_t seed = 0x1e47, now = 0;

	setup(many);
	for (int i = 0; i < 200000 * test_long(10); i++) {
		uint64_t r = test_random(&seed), val = test_random(&seed);
		unsigned size = 1U << (r & 3), off = (unsigned)(r >> 8) % 0x400;

		if ((r & 0x30) != 0)
			off &= ~(size - 1);
		if ((r & 0x40) != 0)
			val &= 0xffff;
		if ((r & 0x4) != 0)
			fx_write(&v.fx, VM_SPACE_MEM, BASE + off, size, size == 8 ? val : val & ((1ULL << 8 * size) - 1));
		else
			(void)rd(off, size);
		if (i % 5 == 0) {
			now += test_random(&seed) >> (20 + i % 44);
			CHECK_EQ(vm_clock_set(v.fx.vmm.vm, now & (UINT64_MAX >> 1)), 0);
		}
		if (i % 1000 == 0) {
			w64(CONF, ENABLE | (i % 2000 == 0 ? LEGACY : 0));
			devices_pause(&v.fx.vmm);
			CHECK_EQ(dev->cls->state->check(dev->soft), 0);
			if (i % 5000 == 0)
				devices_reset(&v.fx.vmm);
			devices_resume(&v.fx.vmm);
		}
	}
	teardown();
}

TEST(describes_itself)
{
	struct device_description d = { 0 };

	setup(NULL);
	dev->cls->describe(dev, &d);
	CHECK_STR(d.hid, "PNP0103");
	teardown();
}

static void *
hammer(void *arg)
{
	for (unsigned i = 0; i < 5000; i++) {
		w64((i * 8) % 0x180, (uint64_t)i << (i % 30));
		(void)r64((i * 24) % 0x180);
	}
	return (NULL);
}

TEST(any_access_from_any_thread)
{
	setup(NULL);
	vfx_hammer(&v, hammer, 1000000);
	devices_pause(&v.fx.vmm);
	CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	teardown();
}

/* Levels, edges and messages from the library's thread, in a VM that stops and goes. */
TEST(fires_on_the_hosts_clock)
{
	const struct device_class *cls = device_class_find("hpet");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = BASE, .nirqs = 2 };
	struct vcpu *vcpu = hfx_open(&v.fx);

	line0 = vm_irq_open_line(v.fx.vmm.vm, 0);
	place.irq[0] = line0;
	place.irq[1] = v.fx.irq;
	dev = device_create(&v.fx.vmm, cls, "hpet", fx_node(&v.fx, "hpet", cls), &place);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	devices_resume(&v.fx.vmm);
	w64(T(0), LEVEL | INT | PERIODIC | VAL_SET);
	w64(CMP(0), 10000);				/* 100 us */
	w64(T(1), INT | PERIODIC | VAL_SET);
	w64(CMP(1), 7000);
	w64(T(2), INT | FSB_EN | PERIODIC | VAL_SET);
	w64(FSB(2), 0xfee0000000000051);
	w64(CMP(2), 3000);
	w64(CONF, ENABLE | LEGACY);			/* last: a host may be slower than 30 us */
	for (unsigned n = 0; n < 500; n++) {
		w64(STATUS, 1);
		for (int i = 0; i < 300000 && !level_of(line0); i++) {
			usleep(50);
			if (n % 10 == 0)
				hfx_stop_and_go(&v.fx);
		}
		CHECK(level_of(line0));
	}
	devices_destroy(&v.fx.vmm);
	vm_irq_close(line0);
	vm_vcpu_close(vcpu);
	fx_close(&v.fx);
}

TEST_MAIN()

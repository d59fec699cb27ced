/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_pm_timer.c - the ACPI power management timer by ACPI 6.4 section 4.8.3.3, on virtual time.
 */

#include "timer/acpi_pm_timer.h"
#include "virtual_fixture.h"

#define	BASE	0x608
#define	HZ	3579545ULL

static struct vfx v;
static struct device *dev;
static unsigned told;

static void
tell(void *arg)
{
	CHECK(arg == &told);
	told++;
}

static struct device *
make(struct vfx *f, const char *bits, const struct device_place *place)
{
	const struct device_class *cls = device_class_find("acpi-pm-timer");
	struct config_node *node = fx_node(&f->fx, "pmtimer", cls);
	struct device *d;

	if (bits != NULL)
		vfx_set(f, "pmtimer.bits", bits);
	d = device_create(&f->fx.vmm, cls, "pmtimer", node, place);
	CHECKF(d != NULL, "%s", vmm_errmsg());
	acpi_pm_timer_on_sts(d, tell, &told);
	return (d);
}

static const struct device_place port = { .on = DEVICE_ON_IO, .base = BASE };

static void
setup(const char *bits)
{
	vfx_open(&v);
	told = 0;
	dev = make(&v, bits, &port);
	devices_resume(&v.fx.vmm);
}

static uint32_t
val(void)
{
	return ((uint32_t)fx_read(&v.fx, VM_SPACE_IO, BASE, 4));
}

TEST(counts_3579545_hz)
{
	setup(NULL);
	CHECK_EQ(acpi_pm_timer_bits(dev), 24);
	CHECK_EQ(val(), 0);
	vfx_until(&v, vfx_ns(1, HZ) - 1);
	CHECK_EQ(val(), 0);
	vfx_until(&v, vfx_ns(1, HZ));
	CHECK_EQ(val(), 1);
	vfx_until(&v, NSEC);
	CHECK_EQ(val(), HZ);
	CHECK_EQ(acpi_pm_timer_value(dev), HZ);
	vfx_until(&v, vfx_ns((1 << 24) - 1, HZ));
	CHECK_EQ(val(), 0xffffff);
	vfx_until(&v, vfx_ns(1 << 24, HZ));
	CHECK_EQ(val(), 0);
	vfx_close(&v);
}

TEST(counts_32_bits)
{
	setup("32");
	CHECK_EQ(acpi_pm_timer_bits(dev), 32);
	vfx_until(&v, vfx_ns(1 << 24, HZ));
	CHECK_EQ(val(), 1 << 24);
	vfx_until(&v, vfx_ns((1ULL << 32) - 1, HZ));
	CHECK_EQ(val(), 0xffffffff);
	vfx_until(&v, vfx_ns((1ULL << 32) + 5, HZ));
	CHECK_EQ(val(), 5);
	vfx_close(&v);
}

TEST(is_read_only_in_any_size)
{
	setup(NULL);
	vfx_until(&v, vfx_ns(0x123456, HZ));
	fx_write(&v.fx, VM_SPACE_IO, BASE, 4, 0);
	fx_write(&v.fx, VM_SPACE_IO, BASE + 1, 1, 0xff);
	CHECK_EQ(val(), 0x123456);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE, 1), 0x56);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 1, 1), 0x34);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 1, 2), 0x1234);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 2, 4), 0xffff0012);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 3, 4), 0xffffff00);
	vfx_close(&v);
}

TEST(as_memory)
{
	const struct device_place mem = { .on = DEVICE_ON_MMIO, .base = 0xfed50000 };

	vfx_open(&v);
	make(&v, "32", &mem);
	devices_resume(&v.fx.vmm);
	vfx_until(&v, vfx_ns(0x12345678, HZ));
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0xfed50000, 4), 0x12345678);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0xfed50000, 8), 0xffffffff12345678);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_MEM, 0xfed50002, 8), 0xffffffffffff1234);
	vfx_close(&v);
}

TEST(status_follows_the_highest_bit)
{
	for (unsigned bits = 24; bits <= 32; bits += 8) {
		uint64_t half = 1ULL << (bits - 1);

		setup(bits == 24 ? "24" : "32");
		vfx_until(&v, vfx_ns(half, HZ) - 1);
		CHECK(!acpi_pm_timer_sts(dev));
		vfx_until(&v, vfx_ns(half, HZ));
		CHECK(acpi_pm_timer_sts(dev));
		CHECK(acpi_pm_timer_sts(dev));		/* until it is cleared */
		acpi_pm_timer_clear_sts(dev);
		CHECK(!acpi_pm_timer_sts(dev));
		vfx_until(&v, vfx_ns(2 * half, HZ) - 1);
		CHECK(!acpi_pm_timer_sts(dev));
		vfx_until(&v, vfx_ns(2 * half, HZ));	/* set to clear */
		CHECK(acpi_pm_timer_sts(dev));
		vfx_until(&v, vfx_ns(6 * half, HZ));	/* several */
		CHECK(acpi_pm_timer_sts(dev));
		acpi_pm_timer_clear_sts(dev);
		CHECK(!acpi_pm_timer_sts(dev));
		CHECK_EQ(told, 0);			/* not enabled */
		vfx_close(&v);
	}
}

TEST(tells_when_enabled)
{
	const uint64_t half = 1 << 23;

	setup(NULL);
	CHECK(!acpi_pm_timer_en(dev));
	acpi_pm_timer_set_en(dev, true);
	CHECK(acpi_pm_timer_en(dev));
	vfx_until(&v, vfx_ns(half, HZ) - 1);
	CHECK_EQ(told, 0);
	vfx_until(&v, vfx_ns(half, HZ));
	CHECK_EQ(told, 1);
	vfx_until(&v, vfx_ns(4 * half, HZ));
	CHECK_EQ(told, 1);				/* it is set already */
	acpi_pm_timer_clear_sts(dev);
	vfx_until(&v, vfx_ns(5 * half, HZ));
	CHECK_EQ(told, 2);
	acpi_pm_timer_clear_sts(dev);
	acpi_pm_timer_set_en(dev, false);
	vfx_until(&v, vfx_ns(6 * half, HZ));
	CHECK_EQ(told, 2);
	CHECK(acpi_pm_timer_sts(dev));
	acpi_pm_timer_set_en(dev, true);		/* who enables looks himself */
	CHECK_EQ(told, 2);
	vfx_until(&v, vfx_ns(8 * half, HZ));
	CHECK_EQ(told, 2);
	vfx_close(&v);
}

static uint64_t
ones(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (0x11111111);
}

TEST(moves_with_pmbase)
{
	struct vm_range_spec block = {
		.name = "pm", .space = VM_SPACE_IO, .base = 0xb000, .len = 0x40, .read = ones,
	};
	const struct device_place nowhere = { .on = DEVICE_ON_IO, .base = ACPI_PM_TIMER_NOWHERE };
	struct vm_range *range;
	uint64_t x;

	vfx_open(&v);
	dev = make(&v, NULL, &nowhere);
	devices_resume(&v.fx.vmm);
	vfx_until(&v, vfx_ns(0x4321, HZ));
	CHECK_EQ(vm_access(v.fx.vmm.vm, VM_SPACE_IO, BASE, 4, false, &x), -1);
	CHECK_EQ(acpi_pm_timer_value(dev), 0x4321);
	CHECK_EQ(acpi_pm_timer_move(dev, BASE), 0);
	CHECK_EQ(val(), 0x4321);
	/* Inside of the block that it belongs to. */
	range = vm_range_add(v.fx.vmm.vm, &block);
	CHECK(range != NULL);
	CHECK_EQ(acpi_pm_timer_move(dev, 0xb008), 0);
	CHECK_EQ(vm_access(v.fx.vmm.vm, VM_SPACE_IO, BASE, 4, false, &x), -1);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, 0xb008, 4), 0x4321);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, 0xb00c, 4), 0x11111111);
	CHECK_EQ(acpi_pm_timer_move(dev, 0xb00a), 0);	/* over where it was */
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, 0xb00a, 4), 0x4321);
	CHECK_EQ(acpi_pm_timer_move(dev, 0xfffe), -1);
	CHECK_HAS(vmm_errmsg(), "pmtimer: ");
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, 0xb00a, 4), 0x11111111);
	CHECK_EQ(acpi_pm_timer_move(dev, ACPI_PM_TIMER_NOWHERE), 0);
	vm_range_remove(range);
	vfx_close(&v);
}

TEST(reset_starts_anew)
{
	setup(NULL);
	acpi_pm_timer_set_en(dev, true);
	vfx_until(&v, 3 * NSEC);
	CHECK(acpi_pm_timer_sts(dev));
	acpi_pm_timer_clear_sts(dev);
	fx_reset(&v.fx);
	CHECK_EQ(val(), 0);
	CHECK(!acpi_pm_timer_sts(dev));
	CHECK(!acpi_pm_timer_en(dev));
	vfx_until(&v, 4 * NSEC);
	CHECK(val() == HZ || val() == HZ - 1 || val() == HZ + 1);
	vfx_close(&v);
}

TEST(pause_tells_nothing)
{
	setup(NULL);
	acpi_pm_timer_set_en(dev, true);
	devices_pause(&v.fx.vmm);
	vfx_until(&v, 3 * NSEC);
	CHECK_EQ(told, 0);
	CHECK(acpi_pm_timer_sts(dev));
	devices_resume(&v.fx.vmm);
	vfx_until(&v, 3 * NSEC + 1);
	CHECK_EQ(told, 1);				/* now */
	acpi_pm_timer_clear_sts(dev);
	vfx_until(&v, 5 * NSEC);
	CHECK_EQ(told, 2);
	vfx_close(&v);
}

TEST(state_moves_with_its_deadline)
{
	static struct vfx to;
	const uint64_t half = 1 << 23;
	struct device *other;

	setup(NULL);
	acpi_pm_timer_set_en(dev, true);
	vfx_until(&v, NSEC);
	devices_pause(&v.fx.vmm);
	vfx_open(&to);
	vfx_until(&to, 7777777);
	other = make(&to, NULL, &port);
	vfx_move(&v, &to);
	CHECK_EQ(acpi_pm_timer_value(other), HZ);
	devices_resume(&to.fx.vmm);
	vfx_until(&to, vfx_ns(half, HZ) - 1);
	CHECK_EQ(told, 0);
	vfx_until(&to, vfx_ns(half, HZ));
	CHECK_EQ(told, 1);
	CHECK(acpi_pm_timer_en(other));
	vfx_close(&to);
	vfx_close(&v);
}

TEST(damaged_and_impossible_state_is_refused)
{
	setup(NULL);
	devices_pause(&v.fx.vmm);
	fx_damage(&v.fx);
	*(uint8_t *)fx_field(dev, "width") = 32;
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	CHECK_HAS(vm_errmsg(), "32 bits, but this one has 24");
	*(uint8_t *)fx_field(dev, "width") = 24;
	/* Any numbers else are some state. */
	for (uint64_t seed = 1, i = 0; i < 1000; i++) {
		*(uint64_t *)fx_field(dev, "origin") = test_random(&seed);
		*(uint64_t *)fx_field(dev, "cleared") = test_random(&seed);
		*(bool *)fx_field(dev, "en") = i & 1;
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
		devices_resume(&v.fx.vmm);
		(void)val();
		(void)acpi_pm_timer_sts(dev);
		acpi_pm_timer_clear_sts(dev);
		CHECK(!acpi_pm_timer_sts(dev));
		devices_pause(&v.fx.vmm);
	}
	vfx_close(&v);
}

TEST(bad_places_and_keys)
{
	const struct device_class *cls = device_class_find("acpi-pm-timer");
	const struct device_place beyond = { .on = DEVICE_ON_IO, .base = 0xfffd };
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };
	struct config_node *node;

	vfx_open(&v);
	node = fx_node(&v.fx, "pmtimer", cls);
	CHECK(device_create(&v.fx.vmm, cls, "pmtimer", node, &beyond) == NULL);
	CHECK_HAS(vmm_errmsg(), "pmtimer: ");
	CHECK_EQ(config_set(v.fx.vmm.config, "pmtimer.bits", "16", &origin), -1);
	vfx_close(&v);
}

static void *
hammer(void *arg)
{
	for (unsigned i = 0; i < 3000; i++) {
		(void)fx_read(&v.fx, VM_SPACE_IO, BASE + i % 4, 1U << i % 3);
		fx_write(&v.fx, VM_SPACE_IO, BASE + i % 4, 1U << i % 3, i);
		acpi_pm_timer_set_en(dev, i & 1);
		acpi_pm_timer_clear_sts(dev);
	}
	return (NULL);
}

TEST(any_access_from_any_thread)
{
	setup(NULL);
	vfx_hammer(&v, hammer, NSEC);
	vfx_close(&v);
}

static _Atomic unsigned carried;

static void
carry(void *arg)
{
	acpi_pm_timer_clear_sts(arg);
	carried++;
}

/* On the host's clock: the clock is put just before a carry, which is waited for. */
TEST(carries_on_the_hosts_clock)
{
	const struct device_class *cls = device_class_find("acpi-pm-timer");
	struct vcpu *vcpu = hfx_open(&v.fx);
	struct vmctx *vm = v.fx.vmm.vm;
	struct device *d;

	d = device_create(&v.fx.vmm, cls, "pmtimer", fx_node(&v.fx, "pmtimer", cls), &port);
	CHECK(d != NULL);
	acpi_pm_timer_on_sts(d, carry, d);
	devices_resume(&v.fx.vmm);
	acpi_pm_timer_set_en(d, true);
	for (unsigned n = 1; n < 20; n++) {
		CHECK_EQ(vm_pause(vm), 0);
		CHECK_EQ(vm_clock_set(vm, vfx_ns((uint64_t)n << 23, HZ) - 1000000), 0);
		CHECK_EQ(vm_resume(vm), 0);
		for (int i = 0; i < 300000 && carried < n; i++) {
			usleep(100);
			hfx_stop_and_go(&v.fx);
		}
		CHECK_EQ(carried, n);
	}
	vm_vcpu_close(vcpu);
	fx_close(&v.fx);
}

TEST_MAIN()

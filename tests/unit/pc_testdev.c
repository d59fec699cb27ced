/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc_testdev.c - the test device of a PC: exit codes, access sizes, interrupt lines, memory that is a device's.
 */
#include "testdev/pc_testdev.h"
#include "vmm_fixture.h"

#define	SIZES	0xe0
#define	LINES	0x2000
#define	MEMORY	0xff000000ULL
#define	LEN	0x10000

static struct fx fx;
static int code;

static void
ended(void *arg, int c)
{
	CHECK(arg == &code);
	code = c;
}

/* Line 4 is the fixture's; the others are not connected. */
static struct device *
make(struct fx *f)
{
	const struct device_class *cls = device_class_find("pc-testdev");
	const struct device_place place = { .on = DEVICE_ON_IO, .base = PC_TESTDEV_EXIT };
	struct vm_irq *lines[PC_TESTDEV_LINES] = { [4] = f->irq };
	struct device *dev;

	CHECKF(cls != NULL, "%s", vmm_errmsg());
	dev = device_create(&f->vmm, cls, "pc-testdev", fx_node(f, "pc-testdev", cls), &place);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	pc_testdev_connect(dev, lines, ended, &code);
	return (dev);
}

static struct device *
setup(void)
{
	struct device *dev;

	fx_open(&fx);
	dev = make(&fx);
	devices_resume(&fx.vmm);
	return (dev);
}

static uint64_t
in(uint64_t port, unsigned size)
{
	return (fx_read(&fx, VM_SPACE_IO, port, size));
}

static void
out(uint64_t port, unsigned size, uint64_t val)
{
	fx_write(&fx, VM_SPACE_IO, port, size, val);
}

/* v * 2 + 1, of 8 bits; a read ends nothing. */
TEST(exit_code)
{
	static const struct {
		uint64_t val;
		unsigned size;
		int	 code;
	} ways[] = { { 0, 1, 1 }, { 1, 4, 3 }, { 0x12, 2, 0x25 }, { 0x7f, 4, 0xff }, { 0x80, 1, 1 }, { 0xffffffff, 4, 0xff } };

	(void)setup();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		code = -1;
		CHECK_EQ(in(PC_TESTDEV_EXIT, 4), 0xffffffff);
		CHECK_EQ(code, -1);
		out(PC_TESTDEV_EXIT, ways[i].size, ways[i].val);
		CHECK_EQ(code, ways[i].code);
	}
	fx_close(&fx);
}

/* Little-endian, byte by byte if one likes, and nothing behind the end. */
TEST(access_sizes)
{
	(void)setup();
	CHECK_EQ(in(SIZES, 4), 0);
	out(SIZES, 4, 0x44332211);
	CHECK_EQ(in(SIZES, 4), 0x44332211);
	CHECK_EQ(in(SIZES, 1), 0x11);
	CHECK_EQ(in(SIZES + 1, 1), 0x22);
	CHECK_EQ(in(SIZES + 2, 2), 0x4433);
	out(SIZES, 1, 0xaa);
	CHECK_EQ(in(SIZES, 4), 0x443322aa);
	out(SIZES + 2, 2, 0xbbcc);
	CHECK_EQ(in(SIZES, 4), 0xbbcc22aa);
	out(SIZES + 3, 4, 0x11223344);
	CHECK_EQ(in(SIZES, 4), 0x44cc22aa);
	CHECK_EQ(in(SIZES + 3, 4), 0xffffff44);
	fx_close(&fx);
}

TEST(interrupt_lines)
{
	(void)setup();
	CHECK(!fx_level(&fx));
	out(LINES + 4, 1, 1);
	CHECK(fx_level(&fx));
	CHECK_EQ(in(LINES + 4, 1), 1);
	CHECK_EQ(in(LINES + 5, 1), 0);
	out(LINES + 5, 1, 1);			/* another one, which is not connected */
	CHECK_EQ(in(LINES + 5, 1), 1);
	out(LINES + 4, 4, 0);
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(LINES + 5, 1), 1);
	out(LINES + PC_TESTDEV_LINES - 1, 4, 0x100);
	CHECK_EQ(in(LINES + PC_TESTDEV_LINES - 1, 1), 1);
	fx_close(&fx);
}

TEST(memory)
{
	(void)setup();
	fx_write(&fx, VM_SPACE_MEM, MEMORY + 0x1003, 8, 0x8877665544332211);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MEMORY + 0x1000, 4), 0x11000000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MEMORY + 0x1007, 4), 0x88776655);
	fx_write(&fx, VM_SPACE_MEM, MEMORY + LEN - 1, 2, 0x55aa);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MEMORY + LEN - 1, 1), 0xaa);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MEMORY + LEN - 1, 4), 0xffffffaa);
	fx_close(&fx);
}

TEST(reset)
{
	(void)setup();
	out(SIZES, 4, 0x44332211);
	out(LINES + 4, 1, 1);
	fx_write(&fx, VM_SPACE_MEM, MEMORY, 4, 1);
	devices_pause(&fx.vmm);
	devices_reset(&fx.vmm);
	devices_resume(&fx.vmm);
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(SIZES, 4), 0);
	CHECK_EQ(in(LINES + 4, 1), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MEMORY, 4), 0);
	fx_close(&fx);
}

TEST(state)
{
	static struct fx to;
	static const struct fx_bad bad[] = { { "levels", 1U << 24, 4, "no such line" }, { NULL, 0, 0, NULL } };
	struct device *dev = setup();

	out(SIZES, 4, 0x44332211);
	out(LINES + 4, 1, 1);
	fx_write(&fx, VM_SPACE_MEM, MEMORY + LEN - 4, 4, 0x12345678);
	devices_pause(&fx.vmm);
	fx_refuses(dev, bad);
	fx_open(&to);
	(void)make(&to);
	fx_move(&fx, &to);
	devices_resume(&to.vmm);
	CHECK(fx_level(&to));
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, SIZES, 4), 0x44332211);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, LINES + 4, 1), 1);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, MEMORY + LEN - 4, 4), 0x12345678);
	fx_close(&to);
	fx_close(&fx);
}

/* A line that is high goes down with the device. */
TEST(ends_with_lines_low)
{
	struct device *dev = setup();

	out(LINES + 4, 1, 1);
	devices_pause(&fx.vmm);
	device_destroy(dev);
	CHECK(!fx_level(&fx));
	fx_close(&fx);
}

/* What is in its place already is told. */
TEST(place_is_taken)
{
	const struct device_class *cls = device_class_find("pc-testdev");
	const struct device_place place = { .on = DEVICE_ON_IO, .base = PC_TESTDEV_EXIT };
	struct vm_range_spec other = { .name = "other", .space = VM_SPACE_IO, .base = LINES + 8, .len = 1 };
	struct vm_range *range;

	fx_open(&fx);
	range = vm_range_add(fx.vmm.vm, &other);
	CHECK(range != NULL);
	CHECK(device_create(&fx.vmm, cls, "pc-testdev", fx_node(&fx, "pc-testdev", cls), &place) == NULL);
	CHECK_HAS(vmm_errmsg(), "other");
	vm_range_remove(range);
	CHECK(device_create(&fx.vmm, cls, "again", fx_node(&fx, "again", cls), &place) != NULL);
	fx_close(&fx);
}

TEST_MAIN()

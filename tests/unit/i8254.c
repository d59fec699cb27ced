/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 by its datasheet, on a VM whose virtual time passes when the test says so.
 */
#include "amd64/apic.h"
#include "vm_fixture.h"

#define	HZ	1193182ULL
#define	NSEC	1000000000ULL

static struct vmctx *vm;
static struct vcpu *cpu;
static struct vm_i8254 *pit;
static uint64_t clocks;		/* passed since the start */

static void
start(void)
{
	vm = tv_virtual(VM_ARCH_AMD64, 1 << 20, 0);
	cpu = tv_cpu(vm, 0);
	pit = vm_amd64_i8254_open(vm);
	if (pit == NULL)
		FAIL("vm_amd64_i8254_open: %s", vm_errmsg());
	if (vm_start(vm) != 0)
		FAIL("vm_start: %s", vm_errmsg());
	clocks = 0;
}

static void
stop(void)
{
	vm_amd64_i8254_close(pit);
	vm_vcpu_close(cpu);
	vm_close(vm);
}

/* Let n clocks of the chip pass: up to the first nanosecond at which the last one is there. */
static void
pass(uint64_t n)
{
	uint64_t then;

	clocks += n;
	then = (clocks * NSEC + HZ - 1) / HZ;
	clock_icount_advance(vm, then - vm_clock_now(vm));
}

#define	inb(port)		((uint8_t)tv_read(vm, VM_SPACE_IO, (port), 1))
#define	outb(port, val)		tv_write(vm, VM_SPACE_IO, (port), 1, (val))

static void
program(unsigned c, unsigned mode, uint16_t count)
{
	outb(0x43, (uint8_t)(c << 6 | 0x30 | mode << 1));
	outb((uint16_t)(0x40 + c), (uint8_t)count);
	outb((uint16_t)(0x40 + c), (uint8_t)(count >> 8));
}

static uint16_t
count(unsigned c)
{
	uint8_t lo;

	outb(0x43, (uint8_t)(c << 6));
	lo = inb((uint16_t)(0x40 + c));
	return ((uint16_t)(lo | inb((uint16_t)(0x40 + c)) << 8));
}

static uint8_t
status(unsigned c)
{
	outb(0x43, (uint8_t)(0xe0 | 2 << c));
	return (inb((uint16_t)(0x40 + c)));
}

static bool
out(unsigned c)
{
	return ((status(c) & 0x80) != 0);
}

/* The 8259 sees line 0's edges. */
static void
init_pic(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0x21, 0xfe);
}

static bool
tick(void)
{
	if (!intc_apic.pending(cpu))
		return (false);
	CHECK_EQ(intc_apic.ack(cpu), 0x20);
	outb(0x20, 0x20);
	return (true);
}

TEST(power_on)
{
	start();
	init_pic();
	pass(1000000);
	CHECK(!tick());
	CHECK(out(0) && out(1) && out(2));
	CHECK_EQ(status(0) & 0x40, 0x40);
	CHECK_EQ(inb(0x43), 0xff);
	stop();
}

TEST(mode_2_ticks)
{
	start();
	init_pic();
	program(0, 2, 1000);
	CHECK(!tick());
	CHECK_EQ(status(0), 0xb4);
	for (int i = 0; i < 5; i++) {
		pass(1000);
		CHECK(!tick());			/* the count is loaded one clock after the write */
		pass(1);
		CHECK(tick());
		CHECK(!tick());
		clocks--;
		pass(0);
	}
	stop();
}

TEST(mode_2_output_and_count)
{
	start();
	program(0, 2, 10);
	pass(1);
	CHECK_EQ(count(0), 10);
	CHECK(out(0));
	pass(8);
	CHECK_EQ(count(0), 2);
	CHECK(out(0));
	pass(1);
	CHECK_EQ(count(0), 1);
	CHECK(!out(0));
	pass(1);
	CHECK_EQ(count(0), 10);
	CHECK(out(0));
	stop();
}

TEST(mode_3_output_and_count)
{
	static const uint16_t even[] = { 6, 4, 2, 6, 4, 2, 6 }, odd[] = { 4, 2, 0, 4, 2, 4, 2 };
	static const bool even_out[] = { 1, 1, 1, 0, 0, 0, 1 }, odd_out[] = { 1, 1, 1, 0, 0, 1, 1 };

	start();
	program(2, 3, 6);
	outb(0x61, 1);
	pass(1);
	for (int i = 0; i < 7; i++) {
		CHECK_EQ(count(2), even[i]);
		CHECK_EQ(out(2), even_out[i]);
		pass(1);
	}
	stop();
	start();
	outb(0x61, 1);
	program(2, 3, 5);
	pass(1);
	for (int i = 0; i < 7; i++) {
		CHECK_EQ(count(2), odd[i]);
		CHECK_EQ(out(2), odd_out[i]);
		pass(1);
	}
	stop();
}

TEST(mode_3_ticks_once_a_period)
{
	start();
	init_pic();
	program(0, 3, 0);			/* 65536 */
	pass(1);
	for (int i = 0; i < 5; i++) {
		pass(65535);
		CHECK(!tick());
		pass(1);
		CHECK(tick());
	}
	/* Missed ones are one. */
	pass(10 * 65536);
	CHECK(tick());
	CHECK(!tick());
	pass(65536);
	CHECK(tick());
	stop();
}

TEST(mode_0_counts_once)
{
	start();
	init_pic();
	program(0, 0, 500);
	CHECK(!out(0));
	pass(1);
	CHECK_EQ(count(0), 500);
	pass(499);
	CHECK(!out(0));
	CHECK(!tick());
	pass(1);
	CHECK(out(0));
	CHECK(tick());
	CHECK_EQ(count(0), 0);
	pass(1);
	CHECK_EQ(count(0), 0xffff);		/* goes on */
	pass(100000);
	CHECK(!tick());
	/* A new count starts it again; its first byte alone stops it. */
	outb(0x40, 100);
	CHECK(!out(0));
	pass(1000);
	CHECK(!out(0));
	outb(0x40, 0);
	pass(100);
	CHECK(!tick());
	pass(1);
	CHECK(tick());
	stop();
}

TEST(mode_4_strobes_once)
{
	start();
	init_pic();
	program(0, 4, 50);
	CHECK(out(0));
	pass(50);
	CHECK(out(0));
	pass(1);
	CHECK(!out(0));
	CHECK(!tick());
	pass(1);
	CHECK(out(0));
	/* The strobe is shorter than anything that would lower the line: its end is the edge. */
	stop();
}

TEST(modes_1_and_5_wait_for_the_gate)
{
	start();
	init_pic();
	program(0, 1, 10);			/* gate 0 is tied high: nothing happens */
	program(0, 5, 10);
	pass(1000);
	CHECK(!tick());
	program(2, 1, 10);
	CHECK(out(2));
	pass(100);
	CHECK(out(2));
	outb(0x61, 1);
	pass(1);
	CHECK(!out(2));
	CHECK_EQ(count(2), 10);
	pass(9);
	CHECK(!out(2));
	outb(0x61, 0);				/* its fall has no effect */
	pass(1);
	CHECK(out(2));
	/* Again, and retriggered in the middle. */
	outb(0x61, 1);
	pass(6);
	CHECK(!out(2));
	outb(0x61, 0);
	outb(0x61, 1);
	pass(10);
	CHECK(!out(2));
	pass(1);
	CHECK(out(2));
	program(2, 5, 10);
	outb(0x61, 0);
	outb(0x61, 1);
	pass(10);
	CHECK(out(2));
	pass(1);
	CHECK(!out(2));
	pass(1);
	CHECK(out(2));
	stop();
}

TEST(gate_2_and_port_61)
{
	start();
	program(2, 0, 100);
	CHECK_EQ(inb(0x61) & 0x2f, 0);
	pass(500);
	CHECK_EQ(count(2), 100);		/* the gate is low */
	outb(0x61, 0x01);
	pass(50);
	CHECK_EQ(count(2), 50);
	outb(0x61, 0x00);
	pass(1000);
	CHECK_EQ(count(2), 50);
	outb(0x61, 0x03);
	CHECK_EQ(inb(0x61) & 0x23, 0x03);
	pass(50);
	CHECK_EQ(inb(0x61) & 0x23, 0x23);	/* output 2: how Linux and firmware time things */
	/* Modes 2 and 3: a low gate puts the output high, its rise starts anew. */
	program(2, 3, 100);
	pass(71);
	CHECK_EQ(inb(0x61) & 0x20, 0);
	outb(0x61, 0x00);
	CHECK_EQ(inb(0x61) & 0x20, 0x20);
	pass(500);
	outb(0x61, 0x01);
	pass(1);
	CHECK_EQ(count(2), 100);
	/* The refresh request toggles. */
	outb(0x61, 0x0c);
	CHECK_EQ(inb(0x61) & 0x0f, 0x0c);
	pass(18);
	{
		uint8_t a = inb(0x61) & 0x10, b;

		pass(18);
		b = inb(0x61) & 0x10;
		CHECK(a != b);
	}
	stop();
}

TEST(a_new_count_waits_for_the_end_of_the_period)
{
	start();
	init_pic();
	program(0, 2, 1000);
	pass(401);
	outb(0x40, 200);
	outb(0x40, 0);
	CHECK_EQ(status(0) & 0x40, 0x40);	/* null count */
	CHECK_EQ(count(0), 600);
	pass(599);
	CHECK(!tick());
	pass(1);
	CHECK(tick());
	CHECK_EQ(status(0) & 0x40, 0);
	CHECK_EQ(count(0), 200);
	pass(199);
	CHECK(!tick());
	pass(1);
	CHECK(tick());
	/* Mode 3: the end of the half period. */
	program(0, 3, 1000);
	pass(101);
	outb(0x40, 200);
	outb(0x40, 0);
	pass(399);
	CHECK(out(0));
	pass(1);
	CHECK(!out(0));
	pass(99);
	CHECK(!out(0));
	CHECK(!tick());
	pass(1);
	CHECK(out(0));
	CHECK(tick());
	pass(200);
	CHECK(tick());
	stop();
}

TEST(latches)
{
	start();
	program(0, 2, 0x1234);
	pass(1);
	outb(0x43, 0x00);
	pass(100);
	outb(0x43, 0x00);			/* a second latch is ignored */
	CHECK_EQ(inb(0x40), 0x34);
	CHECK_EQ(inb(0x40), 0x12);
	CHECK_EQ(inb(0x40), (0x1234 - 100) & 0xff);
	CHECK_EQ(inb(0x40), (0x1234 - 100) >> 8);
	/* Read-back of status and count at once: status comes first. */
	outb(0x43, 0xc2);
	CHECK_EQ(inb(0x40), 0xb4);
	CHECK_EQ(inb(0x40), (0x1234 - 100) & 0xff);
	CHECK_EQ(inb(0x40), (0x1234 - 100) >> 8);
	/* One byte only. */
	outb(0x43, 0x14);
	outb(0x40, 80);
	pass(11);
	CHECK_EQ(inb(0x40), 70);
	CHECK_EQ(inb(0x40), 70);
	outb(0x43, 0x24);
	outb(0x40, 2);
	pass(1);
	CHECK_EQ(inb(0x40), 2);
	pass(1);
	CHECK_EQ(inb(0x40), 1);
	stop();
}

TEST(decimal_counting)
{
	start();
	outb(0x43, 0x35);			/* mode 2, BCD */
	outb(0x40, 0x00);
	outb(0x40, 0x10);
	pass(1);
	CHECK_EQ(count(0), 0x1000);
	pass(1);
	CHECK_EQ(count(0), 0x0999);
	pass(899);
	CHECK_EQ(count(0), 0x0100);
	outb(0x43, 0x31);			/* mode 0, 0 is 10000 */
	outb(0x40, 0);
	outb(0x40, 0);
	pass(2);
	CHECK_EQ(count(0), 0x9999);
	pass(9999);
	CHECK(out(0));
	pass(1);
	CHECK_EQ(count(0), 0x9999);
	stop();
}

TEST(modes_6_and_7_are_2_and_3)
{
	start();
	program(0, 6, 100);
	CHECK_EQ(status(0) & 0x0e, 0x04);
	program(0, 7, 100);
	CHECK_EQ(status(0) & 0x0e, 0x06);
	stop();
}

TEST(a_frantic_counter_is_held_to_a_rate)
{
	int n = 0;

	start();
	init_pic();
	program(0, 2, 2);
	for (int i = 0; i < 1000; i++) {
		pass(2);
		n += tick();
	}
	CHECK(n > 10 && n <= 2000 / 24 + 2);
	stop();
}

TEST(state_is_carried_over)
{
	struct vm_state_out *so;
	struct vm_state_in *si;
	const void *buf;
	uint64_t was;
	size_t len;

	start();
	program(0, 2, 1000);
	program(2, 0, 500);
	outb(0x61, 1);
	pass(301);
	so = vm_state_out_open();
	CHECK_EQ(vm_state_put(so, vm_amd64_i8254_state(), "pit", pit), 0);
	if (vm_state_save(vm, so) != 0)
		FAIL("vm_state_save: %s", vm_errmsg());
	buf = vm_state_out_data(so, &len);
	was = clocks;
	stop();

	start();
	si = vm_state_in_open(buf, len);
	CHECK(si != NULL);
	CHECK_EQ(vm_state_get(si, vm_amd64_i8254_state(), "pit", pit), 0);
	if (vm_state_load(vm, si) != 0)
		FAIL("vm_state_load: %s", vm_errmsg());
	vm_amd64_i8254_loaded(pit);
	vm_state_in_close(si);
	vm_state_out_close(so);
	clocks = was;
	init_pic();
	CHECK_EQ(count(0), 700);
	CHECK_EQ(count(2), 200);
	pass(699);
	CHECK(!tick());
	pass(1);
	CHECK(tick());
	CHECK(out(2));
	stop();
}

TEST(misuse)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT };
	struct vmctx *arm;

	CHECK(vm_amd64_i8254_open(NULL) == NULL);
	CHECK_EQ(errno, EINVAL);
	arm = vm_new(&spec);
	CHECK(arm != NULL);
	CHECK(vm_amd64_i8254_open(arm) == NULL);
	CHECK_EQ(errno, EINVAL);
	vm_close(arm);
	start();
	CHECK(vm_amd64_i8254_open(vm) == NULL);
	CHECK_EQ(errno, EEXIST);
	vm_amd64_i8254_close(NULL);
	vm_amd64_i8254_reset(NULL);
	stop();
}

TEST(random_programming)
{
	uint64_t x = 88172645463325252ULL, v;

	start();
	init_pic();
	for (int i = 0; i < 400000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v = x >> 20;
		switch (x & 7) {
		case 0: case 1: case 2:
			(void)vm_access(vm, VM_SPACE_IO, 0x40 + (x >> 8 & 3), 1U << (x >> 10 & 1), true, &v);
			break;
		case 3: case 4:
			(void)vm_access(vm, VM_SPACE_IO, 0x40 + (x >> 8 & 3), 1U << (x >> 10 & 1), false, &v);
			break;
		case 5:
			(void)vm_access(vm, VM_SPACE_IO, 0x61, 1, x >> 8 & 1, &v);
			break;
		case 6:
			pass(v % 70000);
			break;
		default:
			(void)tick();
			break;
		}
	}
	stop();
}

TEST_MAIN()

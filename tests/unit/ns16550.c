/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ns16550.c - the 16550A UART by its data sheet, and its host side.
 */
#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>

#include "serial_fixture.h"

#define	BASE	0x3f8

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = 0, FCR = 2, DLL = 0, DLM = 1 };

static uint8_t
in(unsigned reg)
{
	return ((uint8_t)fx_read(&fx, VM_SPACE_IO, BASE + reg, 1));
}

static void
out(unsigned reg, uint8_t val)
{
	fx_write(&fx, VM_SPACE_IO, BASE + reg, 1, val);
}

static struct device *
make(struct fx *f, struct chardev *c)
{
	const struct device_class *cls = device_class_find("ns16550");
	struct device_place place = {
		.on = DEVICE_ON_IO, .base = BASE, .nirqs = 1, .irq = { f->irq }, .chardev = c,
	};
	struct device *d = device_create(&f->vmm, cls, "com1", fx_node(f, "com1", cls), &place);

	CHECKF(d != NULL, "%s", vmm_errmsg());
	return (d);
}

TEST(after_reset)
{
	setup(64);
	CHECK_EQ(in(IER), 0);
	CHECK_EQ(in(IIR), 0x01);
	CHECK_EQ(in(LCR), 0);
	CHECK_EQ(in(MCR), 0);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
	CHECK(!fx_level(&fx));
	teardown();
}

TEST(registers_keep_what_they_have)
{
	setup(64);
	out(SCR, 0xa5);
	CHECK_EQ(in(SCR), 0xa5);
	out(IER, 0xff);
	CHECK_EQ(in(IER), 0x0f);
	out(MCR, 0xef);
	CHECK_EQ(in(MCR), 0x0f);
	out(LCR, 0x80);
	out(DLL, 0x34);
	out(DLM, 0x12);
	CHECK_EQ(in(DLL), 0x34);
	CHECK_EQ(in(DLM), 0x12);
	out(LCR, 0x03);
	CHECK_EQ(in(IER), 0x0f);
	out(LSR, 0xff);
	CHECK_EQ(in(LSR), 0x60);
	/* FIFO bits in IIR follow FCR bit 0. */
	out(IER, 0);
	out(FCR, 0x01);
	CHECK_EQ(in(IIR), 0xc1);
	out(FCR, 0x00);
	CHECK_EQ(in(IIR), 0x01);
	teardown();
}

TEST(transmits)
{
	setup(64);
	out(LCR, 0x03);
	for (const char *p = "hello"; *p != '\0'; p++) {
		CHECK_EQ(in(LSR) & 0x20, 0x20);
		out(THR, (uint8_t)*p);
	}
	expect("hello");
	/* The host gets whole bytes whatever the word length; a guest that listens to itself does not. */
	out(LCR, 0x02);
	out(THR, 0xc1);
	expect("\xc1");
	out(MCR, 0x10);
	out(THR, 0xc1);
	CHECK_EQ(in(RBR), 0x41);
	teardown();
}

TEST(a_slow_host_holds_the_transmitter)
{
	setup(4);
	out(LCR, 0x03);
	out(FCR, 0x01);
	out(IER, 0x02);
	CHECK_EQ(in(IIR), 0xc2);
	CHECK_EQ(in(IIR), 0xc1);		/* read once */
	CHECK(!fx_level(&fx));
	for (int i = 0; i < 24; i++)		/* 4 at the host, 16 in the FIFO, 4 lost */
		out(THR, (uint8_t)('a' + i));
	CHECK_EQ(in(LSR) & 0x60, 0);
	/* THRE was raised while the host took bytes, and is void since the FIFO is full. */
	CHECK_EQ(in(IIR), 0xc1);
	expect("abcd");
	fx_turn(&fx);
	CHECK_EQ(in(LSR) & 0x60, 0);
	for (const char *const *p = (const char *const[]){ "efgh", "ijkl", "mnop", NULL }; *p != NULL; p++) {
		expect(*p);
		fx_turn(&fx);
	}
	/* The FIFO is empty now: THRE interrupts. */
	CHECK_EQ(in(LSR) & 0x60, 0x60);
	CHECK(fx_level(&fx));
	CHECK_EQ(in(IIR), 0xc2);
	CHECK(!fx_level(&fx));
	expect("qrst");
	teardown();
}

TEST(receives_without_fifo)
{
	setup(64);
	out(LCR, 0x03);
	out(IER, 0x01);
	type("xyz");
	CHECK_EQ(in(LSR), 0x61);
	CHECK(fx_level(&fx));
	CHECK_EQ(in(IIR), 0x04);
	/* The host's next byte follows when there is room; none is lost. */
	CHECK_EQ(in(RBR), 'x');
	CHECK_EQ(in(RBR), 'y');
	CHECK_EQ(in(RBR), 'z');
	CHECK_EQ(in(LSR), 0x60);
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(IIR), 0x01);
	teardown();
}

TEST(trigger_levels)
{
	static const struct { uint8_t fcr; unsigned level; } t[] = {
		{ 0x01, 1 }, { 0x41, 4 }, { 0x81, 8 }, { 0xc1, 14 },
	};

	setup(64);
	out(LCR, 0x03);
	out(IER, 0x01);
	for (size_t i = 0; i < 4; i++) {
		out(FCR, 0x00);
		out(FCR, t[i].fcr);
		for (unsigned n = 1; n < t[i].level; n++)
			type("a");
		CHECK(!fx_level(&fx));
		type("a");
		CHECK(fx_level(&fx));
		CHECK_EQ(in(IIR), 0xc4);
		/* One read brings it below the level. */
		CHECK_EQ(in(RBR), 'a');
		CHECK(!fx_level(&fx));
	}
	teardown();
}

TEST(the_fifo_holds_the_host_back)
{
	char far[64];

	setup(64);
	out(LCR, 0x03);
	out(FCR, 0x01);
	memset(far, 'q', sizeof(far));
	CHECK_EQ(chardev_ring_put(cd, far, 64), 64);
	fx_turn(&fx);
	CHECK_EQ(chardev_ring_put(cd, far, 64), 16);	/* it took a FIFO's worth */
	for (int i = 0; i < 80; i++) {
		CHECK_EQ(in(LSR) & 0x03, 0x01);		/* ready, no overrun */
		CHECK_EQ(in(RBR), 'q');
	}
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(RBR), 0);
	teardown();
}

TEST(fifo_resets)
{
	setup(64);
	out(LCR, 0x03);
	out(FCR, 0x01);
	type("abc");
	out(FCR, 0x03);
	CHECK_EQ(in(LSR), 0x60);
	type("def");
	out(FCR, 0x00);			/* changing the mode clears both */
	CHECK_EQ(in(LSR), 0x60);
	out(FCR, 0xc6);			/* without bit 0 nothing else is written */
	out(FCR, 0x01);
	type("g");
	out(IER, 0x01);
	CHECK_EQ(in(IIR), 0xc4);	/* trigger level 1 */
	teardown();
}

TEST(loopback)
{
	setup(64);
	out(LCR, 0x03);
	out(FCR, 0x01);
	out(MCR, 0x10);
	CHECK_EQ(in(MSR) & 0xf0, 0);		/* outputs are off */
	(void)in(MSR);
	out(MCR, 0x1f);
	CHECK_EQ(in(MSR), 0xf0 | 0x0b);		/* all rose; TERI is for the trailing edge */
	CHECK_EQ(in(MSR), 0xf0);
	out(MCR, 0x10);
	CHECK_EQ(in(MSR), 0x0f);
	for (int i = 0; i < 16; i++)
		out(THR, (uint8_t)i);
	CHECK_EQ(in(LSR), 0x61);
	out(THR, 99);				/* the 17th overruns; the FIFO keeps what it has */
	CHECK_EQ(in(LSR), 0x63);
	CHECK_EQ(in(LSR), 0x61);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(in(RBR), i);
	/* Nothing reached the host, and nothing comes from it. */
	expect("");
	type("host");
	CHECK_EQ(in(LSR), 0x60);
	/* A break loops too. */
	out(LCR, 0x43);
	CHECK_EQ(in(LSR), 0x60 | 0x80 | 0x10 | 0x08 | 0x01);
	CHECK_EQ(in(LSR), 0x61);		/* read once */
	CHECK_EQ(in(RBR), 0);
	out(LCR, 0x03);
	out(MCR, 0x00);
	fx_turn(&fx);
	CHECK_EQ(in(RBR), 'h');
	teardown();
}

TEST(overrun_without_fifo_overwrites)
{
	setup(64);
	out(LCR, 0x03);
	out(MCR, 0x10);
	out(THR, 1);
	out(THR, 2);
	CHECK_EQ(in(LSR), 0x63);
	CHECK_EQ(in(RBR), 2);
	teardown();
}

TEST(interrupt_priorities)
{
	setup(64);
	out(LCR, 0x03);
	out(FCR, 0x01);
	out(MCR, 0x10);
	(void)in(MSR);
	out(IER, 0x0f);
	for (int i = 0; i < 17; i++)
		out(THR, (uint8_t)i);		/* received data, and an overrun; THRE */
	out(MCR, 0x12);				/* modem status */
	CHECK(fx_level(&fx));
	CHECK_EQ(in(IIR), 0xc6);
	CHECK_EQ(in(LSR) & 0x02, 0x02);		/* takes line status away */
	CHECK_EQ(in(IIR), 0xc4);
	for (int i = 0; i < 16; i++)
		(void)in(RBR);
	CHECK_EQ(in(IIR), 0xc2);		/* reading takes THRE away */
	CHECK_EQ(in(IIR), 0xc0);
	CHECK(fx_level(&fx));
	CHECK_EQ(in(MSR), 0x11);
	CHECK_EQ(in(IIR), 0xc1);
	CHECK(!fx_level(&fx));
	/* Enabling THRE over an empty transmitter raises it. */
	out(IER, 0x00);
	out(IER, 0x02);
	CHECK(fx_level(&fx));
	out(IER, 0x00);
	CHECK(!fx_level(&fx));
	teardown();
}

TEST(wide_accesses_are_bytes)
{
	setup(64);
	out(SCR, 0x77);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, BASE + LSR, 2), 0xb060);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, BASE + SCR, 2), 0xff77);	/* beyond the last register */
	fx_write(&fx, VM_SPACE_IO, BASE + MSR, 4, 0x55665500);
	CHECK_EQ(in(SCR), 0x55);
	teardown();
}

TEST(character_timeout)
{
	struct vcpu *vcpu;
	struct timespec ms = { 0, 1000000 };

	setup(64);
	/* The VM's clock runs once the VM has started. */
	vcpu = vm_vcpu_open(fx.vmm.vm, 0);
	CHECK(vcpu != NULL);
	CHECKF(vm_start(fx.vmm.vm) == 0, "%s", vm_errmsg());
	out(LCR, 0x03);
	out(FCR, 0xc1);
	out(IER, 0x01);
	type("ab");
	for (int i = 0; i < 20000 && !fx_level(&fx); i++)
		nanosleep(&ms, NULL);
	CHECK(fx_level(&fx));
	CHECK_EQ(in(IIR), 0xcc);
	CHECK_EQ(in(RBR), 'a');			/* a read takes it away and times the rest */
	for (int i = 0; i < 20000 && !fx_level(&fx); i++)
		nanosleep(&ms, NULL);
	CHECK_EQ(in(IIR), 0xcc);
	CHECK_EQ(in(RBR), 'b');
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(IIR), 0xc1);
	vm_vcpu_close(vcpu);
	teardown();
}

TEST(pause_stops_everything)
{
	setup(2);
	out(LCR, 0x03);
	out(FCR, 0x01);
	out(IER, 0x01);
	for (int i = 0; i < 5; i++)
		out(THR, (uint8_t)('a' + i));	/* 2 at the host, 3 held */
	devices_pause(&fx.vmm);
	CHECK_EQ(chardev_ring_put(cd, "x", 1), 1);
	expect("ab");
	for (int i = 0; i < 3; i++)
		fx_turn(&fx);
	expect("");
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(LSR) & 0x61, 0);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	expect("cd");
	CHECK(fx_level(&fx));
	CHECK_EQ(in(RBR), 'x');
	fx_turn(&fx);
	expect("e");
	teardown();
}

TEST(state_moves_with_its_fifos)
{
	static struct fx to;
	struct chardev *far;
	char buf[8];

	setup(2);
	out(LCR, 0x03);
	out(FCR, 0x01);
	out(SCR, 0x42);
	out(IER, 0x01);
	for (int i = 0; i < 5; i++)
		out(THR, (uint8_t)('a' + i));
	type("12");
	CHECK(fx_level(&fx));
	devices_pause(&fx.vmm);
	fx_open(&to);
	far = chardev_open_ring(to.vmm.loop, 64);
	make(&to, far);
	fx_move(&fx, &to);
	CHECK(!fx_level(&to));
	devices_resume(&to.vmm);
	CHECK(fx_level(&to));			/* from the state alone */
	CHECK_EQ(chardev_ring_get(far, buf, 8), 3);
	CHECK(memcmp(buf, "cde", 3) == 0);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, BASE + SCR, 1), 0x42);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, BASE + RBR, 1), '1');
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, BASE + RBR, 1), '2');
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, BASE + LSR, 1), 0x60);
	CHECK(!fx_level(&to));
	devices_destroy(&to.vmm);
	chardev_close(far);
	fx_close(&to);
	teardown();
}

TEST(damaged_state_is_refused)
{
	setup(64);
	out(LCR, 0x03);
	out(FCR, 0x01);
	type("zz");
	devices_pause(&fx.vmm);
	fx_damage(&fx);
	devices_resume(&fx.vmm);
	CHECK_EQ(in(RBR), 'z');
	teardown();
}

/* What the tables' check refuses: states that no 16550 can be in. */
TEST(impossible_state_is_refused)
{
	static const struct fx_bad bad[] = {
		{ "rxlen", 17, 1, "characters in FIFOs of" }, { "txlen", 2, 1, "characters in FIFOs of" },
		{ "ier", 0x10, 1, "bits that do not exist" }, { "mcr", 0x20, 1, "bits that do not exist" },
		{ "fcr", 0x40, 1, "bits that do not exist" }, { "overrun", 1, 1, "bits that do not exist" },
		{ "timeout", 1, 1, "time-out without a character" }, { "rxerr", 1, 1, "errors that do not exist" }, { .field = NULL }
	};

	setup(64);
	devices_pause(&fx.vmm);
	fx_refuses(dev, bad);
	teardown();
}

TEST(describes_itself)
{
	struct device_description d = { 0 };

	setup(64);
	dev->cls->describe(dev, &d);
	CHECK_STR(d.compatible, "ns16550a");
	CHECK_STR(d.hid, "PNP0501");
	CHECK_EQ(d.clock_hz, 1843200);
	teardown();
}

/* The same device through its key, on a terminal. */
TEST(a_terminal_by_path)
{
	const struct device_class *cls = device_class_find("ns16550");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = 0xf0000000, .nirqs = 1 };
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };
	struct config_node *node;
	struct termios t;
	char path[128], buf[16];
	int master, slave;

	if (openpty(&master, &slave, path, NULL, NULL) != 0)
		SKIP("no pseudo terminals here");
	CHECK_EQ(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
	fx_open(&fx);
	place.irq[0] = fx.irq;
	node = fx_node(&fx, "serial", cls);
	CHECK_EQ(config_set(fx.vmm.config, "serial.path", "/nowhere/at/all", &origin), 0);
	CHECK(device_create(&fx.vmm, cls, "serial", node, &place) == NULL);
	CHECK_STR(vmm_errmsg(), "serial: cannot open '/nowhere/at/all': No such file or directory");
	CHECK_EQ(config_set(fx.vmm.config, "serial.path", path, &origin), 0);
	CHECKF(device_create(&fx.vmm, cls, "serial", node, &place) != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	fx_write(&fx, VM_SPACE_MEM, 0xf0000003, 1, 0x03);
	fx_write(&fx, VM_SPACE_MEM, 0xf0000000, 1, 'A');
	CHECK_EQ(read(master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], 'A');
	CHECK_EQ(write(master, "B", 1), 1);
	CHECK_EQ(event_loop_once(fx.vmm.loop, 10000), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xf0000000, 1), 'B');
	fx_close(&fx);
	close(master);
	close(slave);
}

TEST(descriptor_pairs)
{
	struct event_loop *loop = event_loop_new();
	struct chardev *c;
	char buf[8];
	int sv[2], p[2];

	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	c = chardev_open_fds(loop, sv[0], sv[0], true);
	CHECKF(c != NULL, "%s", vmm_errmsg());
	CHECK_EQ(chardev_read(c, buf, 8), 0);
	CHECK_EQ(write(sv[1], "hey", 3), 3);
	CHECK_EQ(chardev_read(c, buf, 2), 2);
	CHECK_EQ(chardev_read(c, buf, 8), 1);
	CHECK_EQ(chardev_write(c, "you", 3), 3);
	CHECK_EQ(read(sv[1], buf, 8), 3);
	CHECK(!chardev_eof(c));
	close(sv[1]);
	CHECK_EQ(chardev_read(c, buf, 8), 0);
	CHECK(chardev_eof(c));
	CHECK_EQ(chardev_write(c, "gone", 4), 4);	/* taken: it can never be written */
	chardev_want(c, true, false);
	event_loop_once(loop, 0);
	chardev_close(c);
	CHECK(fcntl(sv[0], F_GETFD) < 0);		/* owned */

	/* A pipe that is full takes nothing, and its flags stay as they were. */
	CHECK_EQ(pipe(p), 0);
	c = chardev_open_fds(loop, -1, p[1], false);
	CHECK(chardev_eof(c));
	while (chardev_write(c, buf, 8) == 8)
		;
	CHECK_EQ(chardev_write(c, buf, 8), 0);
	CHECK_EQ(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
	chardev_close(c);
	CHECK(fcntl(p[1], F_GETFD) >= 0);
	c = chardev_open(loop, "");
	CHECK(c == NULL);
	CHECK_EQ(errno, EINVAL);
	chardev_close(NULL);
	event_loop_free(loop);
}

static void *
hammer(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		(void)in((unsigned)i & 7);
		out((unsigned)(i * 7) & 7, (uint8_t)(i * 37));
	}
	return (NULL);
}

/* Several threads write anything anywhere while the host types and reads: whatever happens, it goes on. */
TEST(any_access_from_any_thread)
{
	storm(hammer);
}

TEST_MAIN()

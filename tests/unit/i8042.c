/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8042.c - the keyboard controller with keyboard and mouse (IBM PS/2 Hardware Interface Technical Reference).
 */
#include <vmmapi/amd64.h>

#include "input/i8042.h"
#include "stopped.h"
#include "vmm_fixture.h"

#define	DATA	0x60
#define	STATUS	0x64
#define	OBF	0x01
#define	SYS	0x04
#define	CMD	0x08
#define	FREE	0x10
#define	AUX	0x20
#define	ACK	0xfa

static struct fx fx, *at = &fx;	/* at: what is read and written */
static struct vm_irq *mouse_irq;
static struct device *dev;

/* A line of its own for the mouse; the keyboard's is the fixture's. */
static struct device *
make(struct fx *f, struct vm_irq **mouse)
{
	struct device_place place = { .on = DEVICE_ON_IO, .base = DATA, .nirqs = 2, .irq = { f->irq } };
	const struct device_place place92 = { .on = DEVICE_ON_IO, .base = 0x92 };
	struct device *d, *port92;

	*mouse = place.irq[1] = vm_irq_open_line(f->vmm.vm, 12);
	CHECKF(*mouse != NULL, "%s", vmm_errmsg());
	port92 = fx_make(f, "port92", "port92", &place92);
	d = fx_make(f, "i8042", "kbc", &place);
	i8042_set_port92(d, port92);
	return (d);
}

static void
setup(void)
{
	fx_open(&fx);
	dev = make(&fx, &mouse_irq);
	devices_resume(&fx.vmm);
}

static void
end(void)
{
	devices_destroy(&fx.vmm);
	vm_irq_close(mouse_irq);
	fx_close(&fx);
}

static unsigned
status(void)
{
	return ((unsigned)fx_read(at, VM_SPACE_IO, STATUS, 1));
}

static unsigned
data(void)
{
	return ((unsigned)fx_read(at, VM_SPACE_IO, DATA, 1));
}

static void
command(unsigned v)
{
	fx_write(at, VM_SPACE_IO, STATUS, 1, v);
}

static void
write_data(unsigned v)
{
	fx_write(at, VM_SPACE_IO, DATA, 1, v);
}

static void
with_byte(unsigned cmd, unsigned v)
{
	command(cmd);
	write_data(v);
}

static void
set_ctr(unsigned v)
{
	with_byte(0x60, v);
}

static bool
mouse_level(void)
{
	struct vm_irq_info info;

	CHECK_EQ(vm_irq_get_info(mouse_irq, &info), 0);
	return (info.level);
}

/* The bytes that come, with their source, and no more. */
static void
expect(unsigned source, const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(status() & (OBF | AUX), OBF | source);
		CHECK_EQ(data(), (uint8_t)bytes[i]);
	}
	CHECK_EQ(status() & OBF, 0);
}
#define	EXPECT(source, bytes)	expect(source, bytes, sizeof(bytes) - 1)

static void
to_mouse(unsigned v)
{
	with_byte(0xd4, v);
}

TEST(power_on)
{
	setup();
	CHECK_EQ(status(), FREE);
	CHECK(!fx_level(&fx));
	CHECK(!mouse_level());
	command(0x20);
	CHECK_EQ(status(), FREE | CMD | OBF);
	EXPECT(0, "\x61");
	end();
}

TEST(self_tests)
{
	setup();
	set_ctr(0);
	command(0xaa);
	EXPECT(0, "\x55");
	command(0xab);
	EXPECT(0, "\0");
	command(0xa9);
	EXPECT(0, "\0");
	command(0xc0);
	EXPECT(0, "\x80");
	end();
}

TEST(ram_and_command_byte)
{
	setup();
	set_ctr(0xff);
	command(0x20);
	EXPECT(0, "\x7f");			/* bit 7 is none */
	CHECK_EQ(status() & SYS, SYS);
	for (unsigned i = 1; i < 32; i++)
		with_byte(0x60 + i, 0x80 + i);
	for (unsigned i = 1; i < 32; i++) {
		command(0x20 + i);
		CHECK_EQ(data(), 0x80 + i);
	}
	set_ctr(0);
	CHECK_EQ(status() & SYS, 0);
	command(0xa7);
	command(0xad);
	command(0x20);
	EXPECT(0, "\x30");
	command(0xa8);
	command(0x20);
	EXPECT(0, "\x10");
	command(0xae);
	command(0x20);
	EXPECT(0, "\0");
	/* A command that waited for its byte is forgotten when another one comes. */
	command(0x60);
	command(0xaa);
	EXPECT(0, "\x55");
	write_data(0xee);
	EXPECT(0, "\xee");			/* an echo: it went to the keyboard */
	command(0x20);
	EXPECT(0, "\0");
	command(0x00);
	CHECK_HAS(fx.log, "command 0, which the controller does not have");
	CHECK_EQ(status() & OBF, 0);
	end();
}

TEST(lines)
{
	setup();
	set_ctr(0x03);
	write_data(0xf2);
	CHECK(fx_level(&fx));
	CHECK(!mouse_level());
	EXPECT(0, "\xfa\xab\x83");
	CHECK(!fx_level(&fx));
	to_mouse(0xf2);
	CHECK(!fx_level(&fx));
	CHECK(mouse_level());
	EXPECT(AUX, "\xfa\0");
	CHECK(!mouse_level());
	/* The controller's own words are the keyboard's line. */
	command(0xaa);
	CHECK(fx_level(&fx));
	EXPECT(0, "\x55");
	set_ctr(0);
	to_mouse(0xf2);
	CHECK(!mouse_level());
	/* What is there already is told as soon as it is enabled. */
	set_ctr(0x02);
	CHECK(mouse_level());
	EXPECT(AUX, "\xfa\0");
	end();
}

TEST(devices_wait_while_they_are_off)
{
	setup();
	set_ctr(0);
	write_data(0xf2);
	to_mouse(0xf2);
	/* One byte is in the buffer. */
	command(0xad);
	command(0xa7);
	CHECK_EQ(data(), ACK);
	CHECK_EQ(status() & OBF, 0);
	command(0xa8);
	EXPECT(AUX, "\xfa\0");
	command(0xae);
	EXPECT(0, "\xab\x83");
	/* Writing to one lets it answer. */
	set_ctr(0x30);
	write_data(0xee);
	EXPECT(0, "\xee");
	command(0x20);
	EXPECT(0, "\x20");
	to_mouse(0xea);
	EXPECT(AUX, "\xfa");
	command(0x20);
	EXPECT(0, "\0");
	end();
}

/* As a driver that looks for a mouse does: what it says comes back as if the mouse or the keyboard had said it. */
TEST(loopback)
{
	setup();
	set_ctr(0x03);
	with_byte(0xd3, 0x5a);
	CHECK(mouse_level());
	EXPECT(AUX, "\x5a");
	with_byte(0xd2, 0xa5);
	CHECK(fx_level(&fx));
	EXPECT(0, "\xa5");
	end();
}

TEST(keyboard)
{
	setup();
	set_ctr(0);
	write_data(0xff);
	EXPECT(0, "\xfa\xaa");
	write_data(0xf2);
	EXPECT(0, "\xfa\xab\x83");
	write_data(0xed);
	EXPECT(0, "\xfa");
	write_data(0x07);
	EXPECT(0, "\xfa");
	write_data(0xed);
	EXPECT(0, "\xfa");
	write_data(0xee);			/* a command instead of its argument */
	EXPECT(0, "\xee");
	write_data(0x07);			/* so that this is nothing */
	EXPECT(0, "\xfe");
	write_data(0xf3);
	EXPECT(0, "\xfa");
	write_data(0x7f);
	EXPECT(0, "\xfa");
	for (unsigned cmd = 0xf4; cmd <= 0xfa; cmd++) {
		write_data(cmd);
		EXPECT(0, "\xfa");
	}
	write_data(0xfb);
	EXPECT(0, "\xfa");
	write_data(0x1c);
	EXPECT(0, "\xfa");
	/* Once more what it said last, and a new command ends what it was saying. */
	write_data(0xf2);
	CHECK_EQ(data(), ACK);
	CHECK_EQ(data(), 0xab);
	CHECK_EQ(data(), 0x83);
	write_data(0xfe);
	EXPECT(0, "\x83");
	write_data(0xf2);
	write_data(0xee);
	EXPECT(0, "\xfa\xee");			/* the first byte was in the controller's buffer */
	end();
}

TEST(scan_code_sets)
{
	static const char number[] = "\2\1\2\3", translated[] = "\x41\x43\x41\x3f";

	setup();
	set_ctr(0);
	for (unsigned set = 0; set < 4; set++) {
		if (set != 0) {
			write_data(0xf0);
			EXPECT(0, "\xfa");
			write_data(set);
			EXPECT(0, "\xfa");
		}
		write_data(0xf0);
		EXPECT(0, "\xfa");
		write_data(0);
		CHECK_EQ(data(), ACK);
		expect(0, number + set, 1);
		set_ctr(0x40);
		write_data(0xf0);
		EXPECT(0, "\xfa");
		write_data(0);
		CHECK_EQ(data(), ACK);
		expect(0, translated + set, 1);
		set_ctr(0);
	}
	write_data(0xf0);
	EXPECT(0, "\xfa");
	write_data(4);
	EXPECT(0, "\xfe");
	set_ctr(0x40);
	write_data(0xf2);
	EXPECT(0, "\xfa\xab\x41");
	write_data(0xff);
	EXPECT(0, "\xfa\xaa");
	write_data(0xf0);
	EXPECT(0, "\xfa");
	write_data(0);
	EXPECT(0, "\xfa\x41");			/* set 2 again */
	end();
}

TEST(mouse)
{
	setup();
	set_ctr(0);
	to_mouse(0xff);
	EXPECT(AUX, "\xfa\xaa\0");
	to_mouse(0xf2);
	EXPECT(AUX, "\xfa\0");
	to_mouse(0xe9);
	EXPECT(AUX, "\xfa\0\2\x64");
	to_mouse(0xe8);
	EXPECT(AUX, "\xfa");
	to_mouse(3);
	EXPECT(AUX, "\xfa");
	to_mouse(0xe8);
	EXPECT(AUX, "\xfa");
	to_mouse(4);
	EXPECT(AUX, "\xfe");
	to_mouse(0xf3);
	EXPECT(AUX, "\xfa");
	to_mouse(200);
	EXPECT(AUX, "\xfa");
	to_mouse(0xe7);
	EXPECT(AUX, "\xfa");
	to_mouse(0xf4);
	EXPECT(AUX, "\xfa");
	to_mouse(0xf0);
	EXPECT(AUX, "\xfa");
	to_mouse(0xe9);
	EXPECT(AUX, "\xfa\x70\3\xc8");
	to_mouse(0xeb);
	EXPECT(AUX, "\xfa\x08\0\0");
	to_mouse(0xe6);
	EXPECT(AUX, "\xfa");
	to_mouse(0xf5);
	EXPECT(AUX, "\xfa");
	to_mouse(0xea);
	EXPECT(AUX, "\xfa");
	to_mouse(0xe9);
	EXPECT(AUX, "\xfa\0\3\xc8");
	/* A mirror. */
	to_mouse(0xee);
	EXPECT(AUX, "\xfa");
	to_mouse(0xf2);
	EXPECT(AUX, "\xf2");
	to_mouse(0xe9);
	EXPECT(AUX, "\xe9");
	to_mouse(0xec);
	EXPECT(AUX, "\xfa");
	to_mouse(0xf6);
	EXPECT(AUX, "\xfa");
	to_mouse(0xe9);
	EXPECT(AUX, "\xfa\0\2\x64");
	to_mouse(0xfe);
	EXPECT(AUX, "\x64");
	to_mouse(0xee);
	EXPECT(AUX, "\xfa");
	to_mouse(0xff);
	EXPECT(AUX, "\xfa\xaa\0");
	to_mouse(0xe1);				/* other makers' */
	EXPECT(AUX, "\xfe");
	end();
}

TEST(output_port)
{
	bool on;

	setup();
	set_ctr(0);
	fx_write(&fx, VM_SPACE_IO, 0x92, 1, 0);
	command(0xd0);
	EXPECT(0, "\xc3");
	with_byte(0xd1, 0xdd);
	CHECK(vm_amd64_get_a20(fx.vmm.vm, &on) == 0 && !on);
	command(0xd0);
	EXPECT(0, "\xc1");
	with_byte(0xd1, 0xdf);
	CHECK(vm_amd64_get_a20(fx.vmm.vm, &on) == 0 && on);
	/* Bits 4 and 5: the buffer is full. */
	write_data(0xee);
	command(0xd0);
	EXPECT(0, "\xee\xd3");
	to_mouse(0xea);
	command(0xd0);
	CHECK_EQ(data(), ACK);
	EXPECT(0, "\xe3");
	end();
}

TEST(reset_of_the_processors)
{
	setup();
	command(0xff);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	command(0xfe);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	command(0xf0);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	with_byte(0xd1, 0x03);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	with_byte(0xd1, 0x02);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	end();
}

TEST(reset_of_the_machine)
{
	bool on;

	setup();
	fx_write(&fx, VM_SPACE_IO, 0x92, 1, 0);
	with_byte(0xd1, 1);
	set_ctr(0x03);
	to_mouse(0xe7);
	EXPECT(AUX, "\xfa");
	write_data(0xf2);
	CHECK(fx_level(&fx));
	command(0xd4);
	devices_pause(&fx.vmm);
	devices_reset(&fx.vmm);
	CHECK(!fx_level(&fx));
	devices_resume(&fx.vmm);
	CHECK(!fx_level(&fx));
	CHECK(vm_amd64_get_a20(fx.vmm.vm, &on) == 0 && on);
	CHECK_EQ(status(), FREE);
	write_data(0xee);
	EXPECT(0, "\xee");
	command(0x20);
	EXPECT(0, "\x61");
	to_mouse(0xe9);
	EXPECT(AUX, "\xfa\0\2\x64");
	end();
}

/* In the middle of everything: a byte in the buffer, one of the controller's behind it, both devices with more, a command without its byte. */
TEST(state)
{
	static const struct fx_bad bad[] = {
		{ "ram", 0x80, 1, "reserved bits" }, { "command", 0x20, 1, "takes no byte" }, { "command", 0xd5, 1, "takes no byte" },
		{ NULL, 0, 0, NULL },
	};
	static const char *const fields[] = { "keyboard", "mouse" };
	static struct fx to;
	struct vm_irq *irq;
	struct device *d;
	bool on;

	setup();
	fx_write(&fx, VM_SPACE_IO, 0x92, 1, 0);
	set_ctr(0x03);
	with_byte(0xd1, 1);
	with_byte(0x65, 0x99);
	to_mouse(0xe7);
	EXPECT(AUX, "\xfa");
	to_mouse(0xf3);
	EXPECT(AUX, "\xfa");
	write_data(0xf2);
	command(0xaa);
	command(0xd4);
	devices_pause(&fx.vmm);
	fx_damage(&fx);
	fx_refuses(dev, bad);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *len = (uint8_t *)fx_field(dev, fields[i]) + 8, *cmd = len + 2, old = *cmd;

		*len += 9;
		CHECK_EQ(dev->cls->state->check(dev->soft), -1);
		*len -= 9;
		*cmd = 0xf2;
		CHECK_EQ(dev->cls->state->check(dev->soft), -1);
		*cmd = old;
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	}
	fx_open(&to);
	d = make(&to, &irq);
	CHECK(d->soft != NULL);
	fx_move(&fx, &to);
	devices_resume(&to.vmm);
	CHECK(fx_level(&to));
	CHECK(vm_amd64_get_a20(to.vmm.vm, &on) == 0 && !on);
	at = &to;
	CHECK_EQ(data(), ACK);
	CHECK_EQ(data(), 0x55);
	CHECK_EQ(data(), 0xab);
	CHECK_EQ(data(), 0x83);
	write_data(200);
	EXPECT(AUX, "\xfa");
	to_mouse(0xe9);
	EXPECT(AUX, "\xfa\x10\2\xc8");
	command(0x25);
	EXPECT(0, "\x99");
	devices_destroy(&to.vmm);
	vm_irq_close(irq);
	fx_close(&to);
	end();
}

static void *
hammer(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg, val;

	for (int i = 0; i < 20000; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		val = x >> 24;
		(void)vm_access(fx.vmm.vm, VM_SPACE_IO, (x >> 40) % 3 == 0 ? STATUS : DATA, 1U << ((x >> 50) % 3), (x >> 59) & 1, &val);
	}
	return (NULL);
}

TEST(any_access_from_any_thread)
{
	pthread_t th[FX_THREADS];

	setup();
	fx_hammer_start(th, hammer);
	fx_hammer_join(th);
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	command(0xa7);
	for (unsigned i = 0; i < 32; i++)
		(void)data();
	command(0xaa);
	EXPECT(0, "\x55");
	end();
}

TEST_MAIN()

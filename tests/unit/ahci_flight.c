/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci_flight.c - commands under way in an AHCI controller: ports that are stopped, resets, pauses and the loss of the bus meanwhile; a disk
 * that fails; durability; and drivers on several processors at once.
 */
#include "held_disk.h"
#include "ahci_driver.h"

static void
setup(const char *more)
{
	char keys[256];

	(void)snprintf(keys, sizeof(keys), "sata.port.0.path=held\n%s", more);
	ah_open(keys);
	pt_start(HD);
}

static void
finish(void)
{
	pd_close();
	CHECK(disk.closed);
}

/* Queued reads that are told at once. */
static void
read_some(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ah_queue(i, C_READ_QUEUED, 8 * i, 8, DATA + 4096 * i);
	ah_tell_queued((1U << n) - 1);
}

static unsigned
read_one(void)
{
	return (ah_rw(C_READ_DMA_EXT, 0, 8, DATA, 4096));
}

/* Stopping the port waits for what the image has, and tells nobody. */
TEST(stop_with_commands_outstanding)
{
	pthread_t t;

	setup("");
	hold(true);
	read_some(8);
	wait_held(4);			/* as many as the image has threads */
	CHECK_EQ(pt_read(HD, P_SACT), 0xff);
	CHECK_EQ(pt_read(HD, P_CI), 0);
	t = release_later();
	pt_write(HD, P_CMD, CMD_FRE);
	CHECK_EQ(disk.waiting, 0);
	CHECK_EQ(pt_read(HD, P_CMD) & CMD_CR, 0);
	CHECK_EQ(pt_read(HD, P_SACT), 0);
	CHECK_EQ(pt_read(HD, P_IS), 0);
	pthread_join(t, NULL);
	pt_write(HD, P_CMD, CMD_FRE | CMD_ST);
	CHECK_EQ(read_one(), 0x50);
	finish();
}

/* So does a COMRESET, and the controller's reset. */
TEST(resets_with_commands_outstanding)
{
	pthread_t t;

	setup("");
	for (unsigned i = 0; i < 2; i++) {
		hold(true);
		if (i == 0) {
			read_some(3);
			wait_held(3);
		} else {
			ah_put(HD, 0, &(struct ata){ .command = C_READ_DMA_EXT, .device = 0x40, .count = 8 }, 1);
			ah_prd(HD, 0, 0, DATA, 4096);
			pt_write(HD, P_CI, 1);
			wait_held(1);
			CHECK_EQ(pt_read(HD, P_TFD) & 0x80, 0x80);
		}
		t = release_later();
		if (i == 0) {
			pt_write(HD, P_SCTL, 1);
			CHECK_EQ(pt_read(HD, P_TFD), 0x7f);
			pt_write(HD, P_SCTL, 0);
		} else {
			ah_write(R_GHC, GHC_HR);
		}
		CHECK_EQ(disk.waiting, 0);
		CHECK_EQ(pt_read(HD, P_SACT) | pt_read(HD, P_CI), 0);
		CHECK_EQ(pt_read(HD, P_TFD), 0x150);
		pthread_join(t, NULL);
		pt_start(HD);
		CHECK_EQ(read_one(), 0x50);
	}
	finish();
}

/* A pause waits too, and what was done is told after the resume; commands that it left are taken then. */
TEST(pause_with_commands_outstanding)
{
	struct ata a = { .command = C_READ_DMA_EXT, .device = 0x40, .count = 8 };
	pthread_t t;

	setup("");
	hold(true);
	for (unsigned i = 0; i < 3; i++) {
		ah_put(HD, i, &a, 1);
		ah_prd(HD, i, 0, DATA + 4096 * i, 4096);
	}
	pt_write(HD, P_CI, 7);
	wait_held(1);
	CHECK_EQ(pt_read(HD, P_CI), 7);
	t = release_later();
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	CHECK_EQ(disk.reads, 1);
	pthread_join(t, NULL);
	CHECK_EQ(pt_read(HD, P_CI), 6);
	devices_resume(&fx.vmm);
	ah_wait(HD, P_CI, 7);
	CHECK_EQ(disk.reads, 3);
	finish();
}

TEST(machine_reset)
{
	setup("");
	read_some(8);
	pd_reset();
	CHECK_EQ(pt_read(HD, P_CLB), 0);
	CHECK_EQ(pt_read(HD, P_CMD), 6);
	pt_start(HD);
	CHECK_EQ(read_one(), 0x50);
	finish();
}

TEST(bus_is_lost_with_commands_outstanding)
{
	pthread_t t;

	setup("");
	hold(true);
	read_some(2);
	wait_held(2);
	t = release_later();
	ram[FIS_AT(HD) + 0x58] = 0;
	pd_bus(false);
	CHECK_EQ(disk.waiting, 0);
	CHECK_EQ(ram[FIS_AT(HD) + 0x58], 0xa1);
	pthread_join(t, NULL);
	CHECK_EQ(pt_read(HD, P_SACT), 0);
	ah_queue(4, C_READ_QUEUED, 0, 8, DATA);
	ah_tell_queued(1 << 4);
	CHECK_EQ(pt_read(HD, P_CI), 1 << 4);
	CHECK_EQ(disk.reads, 2);
	pd_bus(true);
	ah_wait(HD, P_SACT, 1 << 4);
	CHECK_EQ(disk.reads, 3);
	finish();
}

/* A command that is not queued ends those that are. */
TEST(mixed_commands)
{
	pthread_t t;

	setup("");
	hold(true);
	read_some(2);
	wait_held(2);
	ah_put(HD, 9, &(struct ata){ .command = C_FLUSH }, 0);
	pt_write(HD, P_CI, 1 << 9);
	CHECK_EQ(pt_read(HD, P_TFD), 0x451);
	CHECK_EQ(pt_read(HD, P_IS), IS_TFES | IS_DHRS);
	t = release_later();
	pt_restart(HD);
	pthread_join(t, NULL);
	CHECK_EQ(read_one(), 0x50);
	/* One tag twice. */
	hold(true);
	read_some(1);
	wait_held(1);
	ah_tell_queued(1);
	CHECK_EQ(pt_read(HD, P_IS) & IS_TFES, IS_TFES);
	t = release_later();
	pt_restart(HD);
	pthread_join(t, NULL);
	finish();
}

/* What is durable when: flushes, FUA, modes that switch the power off, and no cache. */
TEST(durability)
{
	struct ata flush = { .command = C_FLUSH }, standby = { .command = C_STANDBY }, no_cache = { .command = C_FEATURES, .feature = 0x82 };

	setup("");
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 8, DATA, 4096), 0x50);
	CHECK_EQ(disk.flushes, 0);
	CHECK_EQ(ah_do(HD, &flush, 0, 0), 0x50);
	CHECK_EQ(disk.flushes, 1);
	CHECK_EQ(ah_rw(C_WRITE_FUA, 0, 8, DATA, 4096), 0x50);
	CHECK_EQ(disk.flushes, 2);
	for (unsigned write = 0; write < 2; write++) {
		ah_queue(0, write ? C_WRITE_QUEUED : C_READ_QUEUED, 0, 8, DATA);
		ram[TABLE_AT(HD, 0) + 7] |= 0x80;
		ah_tell_queued(1);
		ah_wait(HD, P_SACT, 1);
		CHECK_EQ(disk.flushes, 3 + write);
	}
	CHECK_EQ(ah_do(HD, &standby, 0, 0), 0x50);
	CHECK_EQ(disk.flushes, 5);
	CHECK_EQ(ah_do(HD, &no_cache, 0, 0), 0x50);
	CHECK_EQ(disk.flushes, 6);
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 8, DATA, 4096), 0x50);
	CHECK_EQ(disk.flushes, 7);
	CHECK_EQ(read_one(), 0x50);
	CHECK_EQ(disk.flushes, 7);
	finish();
}

TEST(writethrough)
{
	struct ata cache = { .command = C_FEATURES, .feature = 0x02 };

	setup("sata.port.0.cache=writethrough\n");
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 8, DATA, 4096), 0x50);
	CHECK_EQ(disk.flushes, 1);
	CHECK_EQ(ah_do(HD, &cache, 0, 0), 0x50);
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 8, DATA, 4096), 0x50);
	CHECK_EQ(disk.flushes, 1);
	finish();
}

TEST(disk_that_fails)
{
	struct ata flush = { .command = C_FLUSH }, trim = { .command = C_TRIM, .device = 0x40, .feature = 1, .count = 1 };
	uint64_t range = 1ULL << 48;

	setup("");
	memset(ram + DATA, 0, 4096);
	memcpy(ram + DATA, &range, sizeof(range));
	disk.error = EIO;
	CHECK_EQ(ah_do(HD, &trim, DATA, 512), 0x461);
	CHECK_EQ(disk.discards, 1);
	pt_restart(HD);
	CHECK_EQ(read_one(), 0x4051);
	pt_restart(HD);
	CHECK_EQ(ah_rw(C_VERIFY_EXT, 0, 8, 0, 0), 0x4051);
	pt_restart(HD);
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 8, DATA, 4096), 0x461);
	pt_restart(HD);
	CHECK_EQ(ah_rw(C_WRITE_FUA, 0, 8, DATA, 4096), 0x461);
	CHECK_EQ(disk.flushes, 0);		/* nothing to be made durable */
	pt_restart(HD);
	/* Of several queued ones, those that failed later are told by nobody. */
	read_some(4);
	ah_wait(HD, P_SACT, 15);
	CHECK_EQ(pt_read(HD, P_IS) & (IS_TFES | IS_SDBS), IS_TFES | IS_SDBS);
	CHECK_EQ(pt_read(HD, P_TFD), 0x4051);
	pt_restart(HD);
	CHECK_EQ(ah_do(HD, &(struct ata){ .command = C_READ_LOG, .device = 0x40, .count = 1, .lba = 0x10 }, DATA, 512), 0x50);
	CHECK_EQ(ram[DATA + 3], 0x40);
	disk.error = 0;
	CHECK_EQ(read_one(), 0x50);
	disk.flush_error = EIO;
	CHECK_EQ(ah_do(HD, &flush, 0, 0), 0x461);
	pt_restart(HD);
	disk.flush_error = 0;
	CHECK_EQ(ah_do(HD, &flush, 0, 0), 0x461);	/* nobody knows what was lost */
	CHECK_HAS(fx.log, "Input/output error");
	finish();
}

/* A medium that cannot be read. */
TEST(medium_that_fails)
{
	ah_open("sata.port.1.type=cd\nsata.port.1.path=held\n");
	pt_start(CD);
	(void)PACKET(0, 0);
	pt_restart(CD);
	disk.error = EIO;
	CHECK_EQ(PACKET(2048, 0x28, 0, 0, 0, 0, 7, 0, 0, 1), 0x3451);
	pt_restart(CD);
	CHECK_EQ(PACKET(18, 0x03, 0, 0, 0, 18), 0x50);
	CHECK_EQ(ram[DATA + 2], 3);
	CHECK_EQ(ram[DATA + 12], 0x11);
	finish();
}

/* Several processors: commands in slots, resets of all kinds, the bus, while the others are at it. */
static void
touch(uint32_t v)
{
	switch (v % 8) {
	case 1:
		pt_write(HD, P_CMD, CMD_FRE | ((v & 0x700) != 0 ? CMD_ST : 0));
		break;
	case 2:
		pt_write(HD, P_IE, v);
		pt_write(HD, P_IS, v >> 4);
		break;
	case 3:
		if ((v & 0xf00) == 0)
			ah_write(R_GHC, GHC_IE | (v >> 16 & 1));
		else if ((v & 0xf00) == 0x100)
			pt_write(HD, P_SCTL, v >> 16 & 1);
		break;
	default:
		pt_write(HD, P_SACT, v >> 8 & 0xff00);
		pt_write(HD, P_CI, v >> 8);
		break;
	}
}

static void *
hammer(void *arg)
{
	return (pd_hammer(arg, touch));
}

TEST(processors_meet)
{
	pthread_t t[FX_THREADS];

	setup("");
	/* Tables that are the same whoever reads them when; no two commands write to the same memory. */
	for (unsigned i = 0; i < 32; i++) {
		static const uint8_t commands[] = { C_WRITE_DMA_EXT, C_FLUSH, C_CHECK_POWER, C_VERIFY_EXT };
		struct ata a = { .command = commands[i % 4], .device = 0x40, .count = 8, .lba = i };

		if (i >= 8 && i < 16) {
			ah_queue(i, C_WRITE_QUEUED, i, 8, DATA + 4096 * i);
		} else {
			ah_put(HD, i, &a, 1);
			ah_prd(HD, i, 0, DATA + 4096 * i, 4096);
		}
	}
	fx_hammer_start(t, hammer);
	fx_hammer_join(t);
	pd_bus(true);
	ah_write(R_GHC, GHC_HR);
	pt_start(HD);
	CHECK_EQ(read_one(), 0x50);
	finish();
}

TEST_MAIN()

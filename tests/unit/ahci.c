/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci.c - the AHCI controller as a driver sees it: registers, resets, a disk's and a CD drive's commands, data in every kind of PRD,
 * interrupts, errors and their end, a life, and drivers that do wrong.  What happens to commands under way is ahci_flight.c's.
 */
#include <fcntl.h>
#include <unistd.h>

#include "ahci_driver.h"

#define	SECTORS		8192U		/* of the disk: 4 MiB */
#define	CD_SECTORS	300U

static char path[] = "/tmp/hyve-ahci-XXXXXX", cd_path[] = "/tmp/hyve-ahci-XXXXXX";
static int fd, cd_fd;
static char keys[1024];

static uint8_t
pattern(uint64_t off)
{
	return ((uint8_t)(off / 512 * 7 + off % 251));
}

static int
image(char *name, size_t len)
{
	uint8_t *all = malloc(len);
	int new = mkstemp(name);

	CHECK(new >= 0 && all != NULL);
	for (size_t i = 0; i < len; i++)
		all[i] = pattern(i);
	CHECK_EQ(pwrite(new, all, len, 0), len);
	free(all);
	return (new);
}

static void
images(const char *more)
{
	fd = image(path, SECTORS * 512);
	cd_fd = image(cd_path, CD_SECTORS * 2048);
	(void)snprintf(keys, sizeof(keys), "sata.port.0.path=%s\nsata.port.1.type=cd\nsata.port.1.path=%s\n%s", path, cd_path, more);
}

/* Up to ports that work. */
static void
setup(const char *more)
{
	images(more);
	ah_open(keys);
	ah_write(R_GHC, GHC_IE);
	pt_start(HD);
	pt_start(CD);
}

static void
finish(void)
{
	pd_close();
	close(fd);
	close(cd_fd);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(unlink(cd_path), 0);
}

static void
check_data(const uint8_t *data, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		CHECKF(data[i] == pattern(off + i), "byte %zu is %#x, not %#x", i, data[i], pattern(off + i));
}

/* A command of the disk without data; the task file. */
static uint32_t
plain(unsigned port, uint8_t command, uint16_t feature, uint16_t count, uint64_t lba)
{
	struct ata a = { .command = command, .device = 0x40, .feature = feature, .count = count, .lba = lba };

	return (ah_do(port, &a, 0, 0));
}

static uint32_t
identify(unsigned port, uint8_t command)
{
	struct ata a = { .command = command };

	memset(ram + DATA, 0xee, 512);
	return (ah_do(port, &a, DATA, 512));
}

static uint16_t
word(unsigned i)
{
	return ((uint16_t)(ram[DATA + 2 * i] | ram[DATA + 2 * i + 1] << 8));
}

static unsigned
sum(const uint8_t *block)
{
	unsigned s = 0;

	for (unsigned i = 0; i < 512; i++)
		s += block[i];
	return (s & 0xff);
}

TEST(registers)
{
	images("");
	ah_open(keys);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x08, 4) >> 8, 0x010601);
	CHECK_EQ(cfg_r(&fx, SLOT, R_PIN, 1), 1);
	CHECK_EQ(ah_read(R_CAP), 0xc1348000U | 31 << 8 | 1);
	CHECK_EQ(ah_read(R_GHC), 0x80000000U);
	CHECK_EQ(ah_read(R_PI), 3);
	CHECK_EQ(ah_read(R_VS), 0x00010301);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ah_reg(R_VS) + 1, 1), 0x03);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ah_reg(R_PI), 8), 3 | 0x00010301ULL << 32);
	CHECK_EQ(ah_read(0x200), 0);			/* a port that is not there */
	CHECK_EQ(ah_read(0xffc), 0);
	for (unsigned p = 0; p < 2; p++) {
		CHECK_EQ(pt_read(p, P_SSTS), 0x133);
		CHECK_EQ(pt_read(p, P_SIG), p == HD ? 0x00000101 : 0xeb140101);
		CHECK_EQ(pt_read(p, P_TFD), p == HD ? 0x150 : 0x100);
		CHECK_EQ(pt_read(p, P_SERR), 0x04010000);
		CHECK_EQ(pt_read(p, P_IS), IS_PCS | IS_PRCS);
		CHECK_EQ(pt_read(p, P_CMD), p == HD ? 6 : 0x01000006);
	}
	/* Read-only ones, and bits that do not exist. */
	ah_write(R_CAP, 0);
	ah_write(R_PI, UINT32_MAX);
	ah_write(R_VS, 0);
	pt_write(HD, P_SSTS, 0);
	pt_write(HD, P_TFD, 0);
	pt_write(HD, P_CLB, UINT32_MAX);
	pt_write(HD, P_FB, UINT32_MAX);
	pt_write(HD, P_IE, UINT32_MAX);
	ah_write(0x200, UINT32_MAX);
	CHECK_EQ(ah_read(R_PI), 3);
	CHECK_EQ(pt_read(HD, P_SSTS), 0x133);
	CHECK_EQ(pt_read(HD, P_CLB), 0xfffffc00U);
	CHECK_EQ(pt_read(HD, P_FB), 0xffffff00U);
	CHECK_EQ(pt_read(HD, P_IE), 0xfdc000ffU);
	/* Without PxCMD.ST there are no commands. */
	pt_write(HD, P_CI, 1);
	pt_write(HD, P_SACT, 1);
	CHECK_EQ(pt_read(HD, P_CI) | pt_read(HD, P_SACT), 0);
	fx_write(&fx, VM_SPACE_MEM, ah_reg(R_GHC), 2, GHC_IE);
	fx_write(&fx, VM_SPACE_MEM, ah_reg(R_GHC) + 2, 4, GHC_IE);
	CHECK_EQ(ah_read(R_GHC), 0x80000000U);
	fx_write(&fx, VM_SPACE_MEM, ah_reg(0x100), 8, 0x1122334455667788ULL);
	CHECK_EQ(pt_read(HD, P_CLB), 0x55667400U);
	CHECK_EQ(pt_read(HD, P_CLBU), 0x11223344U);
	/* A reset leaves the addresses (AHCI 10.4.3). */
	ah_write(R_GHC, GHC_IE);
	ah_write(R_GHC, GHC_HR | GHC_IE);
	CHECK_EQ(ah_read(R_GHC), 0x80000000U);
	CHECK_EQ(pt_read(HD, P_CLBU), 0x11223344U);
	CHECK_EQ(pt_read(HD, P_IE), 0);
	CHECK_EQ(pt_read(HD, P_SSTS), 0x133);
	finish();
}

/* COMRESET and switching off, by PxSCTL; the signature is in memory as soon as FISes are taken. */
TEST(link_resets)
{
	images("");
	ah_open(keys);
	pt_write(HD, P_FB, (uint32_t)FIS_AT(HD));
	CHECK_EQ(ram[FIS_AT(HD) + 0x40], 0);
	pt_write(HD, P_CMD, CMD_FRE);
	CHECK_EQ(pt_read(HD, P_CMD) & (CMD_FR | CMD_FRE | CMD_CR), CMD_FR | CMD_FRE);
	CHECK_EQ(ram[FIS_AT(HD) + 0x40], 0x34);
	CHECK_EQ(ram[FIS_AT(HD) + 0x42], 0x50);
	CHECK_EQ(ram[FIS_AT(HD) + 0x44], 1);
	CHECK_EQ(ram[FIS_AT(HD) + 0x4c], 1);
	pt_start(HD);
	CHECK_EQ(pt_read(HD, P_CMD) & CMD_CR, CMD_CR);
	CHECK_EQ(pt_read(HD, P_IS), 0);
	ram[FIS_AT(HD) + 0x40] = 0;
	pt_write(HD, P_SCTL, 1);
	CHECK_EQ(pt_read(HD, P_SSTS), 0);
	CHECK_EQ(pt_read(HD, P_TFD), 0x7f);
	CHECK_EQ(pt_read(HD, P_SIG), UINT32_MAX);
	pt_write(HD, P_CI, 1);
	CHECK_EQ(pt_read(HD, P_CI), 1);		/* nobody is there to take it */
	pt_write(HD, P_SCTL, 0x300);
	CHECK_EQ(pt_read(HD, P_SSTS), 0x133);
	CHECK_EQ(pt_read(HD, P_SCTL), 0x300);
	CHECK_EQ(pt_read(HD, P_TFD), 0x150);
	CHECK_EQ(pt_read(HD, P_CI), 0);
	CHECK_EQ(ram[FIS_AT(HD) + 0x40], 0x34);
	pt_write(HD, P_SCTL, 4);
	CHECK_EQ(pt_read(HD, P_SSTS), 4);
	pt_write(HD, P_SCTL, 0);
	CHECK_EQ(pt_read(HD, P_SSTS), 0x133);
	CHECK_EQ(pt_read(HD, P_IS), IS_PCS | IS_PRCS);
	pt_write(HD, P_SERR, UINT32_MAX);
	CHECK_EQ(pt_read(HD, P_IS), 0);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 1, 1, DATA, 512), 0x50);
	finish();
}

/* SRST, by two FISes: busy between them, the signature behind. */
TEST(software_reset)
{
	setup("");
	CHECK_EQ(plain(HD, C_SET_MULTIPLE, 0, 8, 0), 0x50);
	for (unsigned on = 1; on + 1 != 0; on--) {
		ah_put(HD, 0, &(struct ata){ 0 }, 0);
		ram[TABLE_AT(HD, 0) + 1] = 0;		/* a control FIS */
		ram[TABLE_AT(HD, 0) + 15] = on != 0 ? 4 : 0;
		ah_header(HD, 0, on != 0 ? 0x500 : 0, 0);
		ram[FIS_AT(HD) + 0x40] = 0;
		pt_write(HD, P_CI, 1);
		ah_wait(HD, P_CI, 1);
		CHECK_EQ(pt_read(HD, P_TFD), on != 0 ? 0x50 : 0x150);
		CHECK_EQ(ram[FIS_AT(HD) + 0x40], on != 0 ? 0 : 0x34);
	}
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(59), 0);				/* what SET MULTIPLE MODE said is forgotten */
	finish();
}

TEST(disk_says_what_it_is)
{
	setup("sata.port.0.ser=S1\nsata.port.0.model=Anvil\nsata.port.0.rev=7\nsata.port.0.nmrr=7200\n");
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(pt_read(HD, P_IS), IS_PSS);
	CHECK_EQ(ram[FIS_AT(HD) + 0x20], 0x5f);
	CHECK_EQ(ram[FIS_AT(HD) + 0x2f], 0x50);
	CHECK_EQ(ah_moved(HD, 0), 512);
	CHECK_EQ(word(0) & 0x8000, 0);
	CHECK_EQ(memcmp(ram + DATA + 20, "1S                  ", 20), 0);
	CHECK_EQ(memcmp(ram + DATA + 46, " 7      ", 8), 0);
	CHECK_EQ(memcmp(ram + DATA + 54, "nAiv l  ", 8), 0);
	CHECK_EQ(word(60) | (uint32_t)word(61) << 16, SECTORS);
	CHECK_EQ(word(100) | (uint32_t)word(101) << 16, SECTORS);
	CHECK_EQ(word(75), 31);
	CHECK_EQ(word(76) & 0x100, 0x100);
	CHECK_EQ(word(83) & 0xc000, 0x4000);
	CHECK_EQ(word(85) & 0x20, 0x20);
	CHECK_EQ(word(88) & 0xff00, 0x4000);
	CHECK_EQ(word(169), 1);
	CHECK_EQ(word(217), 7200);
	CHECK_EQ(sum(ram + DATA), 0);
	/* Features change what it says. */
	CHECK_EQ(plain(HD, C_FEATURES, 0x82, 0, 0), 0x50);
	CHECK_EQ(plain(HD, C_FEATURES, 0x55, 0, 0), 0x50);
	CHECK_EQ(plain(HD, C_FEATURES, 0x03, 0x22, 0), 0x50);
	CHECK_EQ(plain(HD, C_SET_MULTIPLE, 0, 16, 0), 0x50);
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(85) & 0x60, 0);
	CHECK_EQ(word(63) & 0xff00, 0x0400);
	CHECK_EQ(word(88) & 0xff00, 0);
	CHECK_EQ(word(59), 0x0110);
	CHECK_EQ(plain(HD, C_FEATURES, 0x02, 0, 0), 0x50);
	CHECK_EQ(plain(HD, C_FEATURES, 0xaa, 0, 0), 0x50);
	CHECK_EQ(plain(HD, C_FEATURES, 0x66, 0, 0), 0x50);
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(85) & 0x60, 0x60);
	CHECK_EQ(plain(HD, C_DIAGNOSTIC, 0, 0, 0), 0x150);
	CHECK_EQ(ram[FIS_AT(HD) + 0x43], 1);
	CHECK_EQ(ram[FIS_AT(HD) + 0x44], 1);
	finish();
}

/* Reads by each command, and what was written is read again. */
TEST(reads_and_writes)
{
	static const uint8_t reads[] = { C_READ, C_READ_EXT, C_READ_DMA_EXT, C_READ_MULTIPLE_EXT, C_READ_MULTIPLE, C_READ_DMA };
	static const uint8_t writes[] = { C_WRITE, 0x34, C_WRITE_DMA_EXT, 0x39, C_WRITE_FUA, 0xc5, C_WRITE_DMA, 0xce };

	setup("");
	CHECK_EQ(plain(HD, C_SET_MULTIPLE, 0, 4, 0), 0x50);
	for (unsigned i = 0; i < sizeof(reads); i++) {
		memset(ram + DATA, 0, 8192);
		CHECK_EQ(ah_rw(reads[i], 100 + i, 9, DATA, 9 * 512), 0x50);
		check_data(ram + DATA, (100 + i) * 512, 9 * 512);
		CHECK_EQ(ram[DATA + 9 * 512], 0);
		CHECK_EQ(ah_moved(HD, 0), 9 * 512);
		CHECK_EQ(pt_read(HD, P_IS), i == 2 || i == 5 ? IS_DHRS : IS_PSS);
	}
	for (unsigned i = 0; i < sizeof(writes); i++) {
		uint8_t back[1024];

		memset(ram + DATA, 0x30 + (int)i, 1024);
		CHECK_EQ(ah_rw(writes[i], 500 + 2 * i, 2, DATA, 1024), 0x50);
		CHECK_EQ(pt_read(HD, P_IS), IS_DHRS);
		CHECK_EQ(ram[FIS_AT(HD) + 0x40], 0x34);
		CHECK_EQ(pread(fd, back, sizeof(back), (500 + 2 * i) * 512), sizeof(back));
		CHECK_EQ(memcmp(back, ram + DATA, sizeof(back)), 0);
	}
	/* 0 is as many as the count cannot say. */
	CHECK_EQ(ah_rw(C_READ_DMA, 0, 0, DATA, 256 * 512), 0x50);
	check_data(ram + DATA, 0, 256 * 512);
	CHECK_EQ(ah_moved(HD, 0), 256 * 512);
	CHECK_EQ(ah_rw(C_READ_DMA, SECTORS - 1, 1, DATA, 512), 0x50);
	check_data(ram + DATA, (SECTORS - 1) * 512, 512);
	CHECK_EQ(ah_rw(C_VERIFY_EXT, 0, SECTORS, 0, 0), 0x50);
	CHECK_EQ(ah_rw(0x40, 0, 3, 0, 0), 0x50);
	CHECK_EQ(plain(HD, C_FLUSH, 0, 0, 0), 0x50);
	CHECK_EQ(plain(HD, 0xea, 0, 0, 0), 0x50);
	finish();
}

/* Data cut into the smallest regions, and into odd ones: several requests to the image, sectors in pieces. */
TEST(small_regions)
{
	struct ata a = { .command = C_READ_DMA_EXT, .device = 0x40, .lba = 9, .count = 3 };

	setup("");
	ah_put(HD, 0, &a, 3 * 256);
	for (unsigned i = 0; i < 3 * 256; i++)
		ah_prd(HD, 0, i, DATA + 4 * i, 2);
	pt_write(HD, P_CI, 1);
	ah_wait(HD, P_CI, 1);
	CHECK_EQ(pt_read(HD, P_TFD), 0x50);
	for (unsigned i = 0; i < 3 * 512; i++)
		CHECK_EQ(ram[DATA + i / 2 * 4 + i % 2], pattern(9 * 512 + i));
	CHECK_EQ(ah_moved(HD, 0), 3 * 512);
	/* Pieces of 6 bytes: sectors end in their middle, also where a request ends.  The last one tells its end. */
	memset(ram + DATA, 0, 16384);
	a.count = 6;
	ah_put(HD, 0, &a, 512);
	for (unsigned i = 0; i < 512; i++)
		ah_prd(HD, 0, i, DATA + 8 * i, 6);
	ah_prd(HD, 0, 511, DATA + 8 * 511, 6 | 0x80000000U);
	pt_write(HD, P_IS, UINT32_MAX);
	pt_write(HD, P_CI, 1);
	ah_wait(HD, P_CI, 1);
	CHECK_EQ(pt_read(HD, P_TFD), 0x50);
	CHECK_EQ(pt_read(HD, P_IS), IS_DHRS | IS_DPS);
	for (unsigned i = 0; i < 6 * 512; i++)
		CHECKF(ram[DATA + i / 6 * 8 + i % 6] == pattern(9 * 512 + i), "byte %u", i);
	/* And written so. */
	a.command = C_WRITE_DMA_EXT;
	a.lba = 2000;
	ah_put(HD, 0, &a, 512);
	pt_write(HD, P_CI, 1);
	ah_wait(HD, P_CI, 1);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 2000, 6, DATA, 6 * 512), 0x50);
	check_data(ram + DATA, 9 * 512, 6 * 512);
	finish();
}

/* What has no memory for its data ends the port's work, until it is started again. */
TEST(bad_memory)
{
	static const struct { uint64_t gpa; uint32_t len, is; } bad[] = {
		{ NOWHERE, 512, IS_HBFS }, { FX_MEM - 256, 512, IS_HBFS }, { UINT64_MAX - 1, 512, IS_HBFS }, { DATA, 256, IS_OFS },
		{ 0, 0, IS_OFS },
	};

	setup("");
	for (unsigned i = 0; i < 3 * sizeof(bad) / sizeof(bad[0]); i++) {
		static const uint8_t commands[] = { C_READ_DMA_EXT, C_WRITE_DMA_EXT, C_IDENTIFY };
		unsigned n = i / 3;

		(void)ah_rw(commands[i % 3], 0, 1, bad[n].gpa, bad[n].len);
		CHECKF(pt_read(HD, P_IS) == bad[n].is, "case %u: %#x", i, pt_read(HD, P_IS));
		CHECK_EQ(pt_read(HD, P_CI), 1);
		pt_write(HD, P_CI, 2);			/* not taken */
		CHECK_EQ(pt_read(HD, P_CI), 3);
		pt_restart(HD);
	}
	/* Lists, tables and FISes nowhere. */
	for (unsigned i = 0; i < 3; i++) {
		ah_put(HD, 0, &(struct ata){ .command = C_FLUSH }, 0);
		pt_write(HD, P_IS, UINT32_MAX);
		if (i == 0)
			pt_write(HD, P_CLB, (uint32_t)NOWHERE);
		else if (i == 1)
			((uint32_t *)(void *)(ram + LIST_AT(HD)))[2] = (uint32_t)NOWHERE;
		else
			pt_write(HD, P_FB, (uint32_t)NOWHERE);
		pt_write(HD, P_CI, 1);
		ah_wait(HD, P_CI, 1);
		CHECK_EQ(pt_read(HD, P_IS) & ~IS_DHRS, IS_HBFS);
		pt_write(HD, P_CLB, (uint32_t)LIST_AT(HD));
		pt_write(HD, P_FB, (uint32_t)FIS_AT(HD));
		pt_restart(HD);
	}
	/* What is no command. */
	ah_put(HD, 0, &(struct ata){ .command = C_FLUSH }, 0);
	ram[TABLE_AT(HD, 0)] = 0x46;
	pt_write(HD, P_CI, 1);
	CHECK_EQ(pt_read(HD, P_IS), IS_IFS);
	pt_restart(HD);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 0, 1, DATA, 512), 0x50);
	finish();
}

/* Commands that a disk does not take: the error register says why, and nothing else is executed until the port is started again. */
TEST(errors)
{
	static const struct { uint8_t command, device; uint16_t feature, count; uint64_t lba; uint8_t error; } bad[] = {
		{ 0x00, 0x40, 0, 0, 0, 0x04 }, { 0xff, 0x40, 0, 0, 0, 0x04 }, { C_PACKET, 0x40, 0, 0, 0, 0x04 },
		{ C_READ_DMA_EXT, 0x40, 0, 1, SECTORS, 0x10 }, { C_READ_DMA_EXT, 0x40, 0, 2, SECTORS - 1, 0x10 },
		{ C_READ_DMA_EXT, 0x40, 0, 1, 0xffffffffffffULL, 0x10 }, { C_READ_DMA, 0x4f, 0, 1, 0, 0x10 },
		{ C_READ_DMA_EXT, 0x00, 0, 1, 0, 0x04 }, { C_READ_DMA_EXT, 0x40, 0, 0, 0, 0x10 }, { C_VERIFY_EXT, 0x40, 0, 1, SECTORS, 0x10 },
		{ C_WRITE_DMA_EXT, 0x40, 0, 1, SECTORS, 0x10 }, { C_READ_MULTIPLE, 0x40, 0, 1, 0, 0x04 }, { C_SET_MULTIPLE, 0x40, 0, 3, 0, 0x04 },
		{ C_SET_MULTIPLE, 0x40, 0, 32, 0, 0x04 }, { C_FEATURES, 0x40, 0x03, 0x47, 0, 0x04 }, { C_FEATURES, 0x40, 0x03, 0x30, 0, 0x04 },
		{ C_FEATURES, 0x40, 0x05, 0, 0, 0x04 }, { C_READ_LOG, 0x40, 0, 1, 0x30, 0x04 }, { C_READ_LOG, 0x40, 0, 2, 0x10, 0x04 },
		{ C_SMART, 0x40, 0xd0, 0, 0, 0x04 }, { C_SMART, 0x40, 0xd5, 0, 0xc24f00, 0x04 }, { C_TRIM, 0x40, 0, 1, 0, 0x04 },
		{ C_TRIM, 0x40, 1, 9, 0, 0x04 },
	};

	setup("");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ata a = { .command = bad[i].command, .device = bad[i].device, .feature = bad[i].feature, .count = bad[i].count,
		    .lba = bad[i].lba };

		CHECKF(ah_do(HD, &a, DATA, 65536) == (0x51U | bad[i].error << 8), "case %u: %#x", i, pt_read(HD, P_TFD));
		CHECK_EQ(pt_read(HD, P_IS), IS_TFES | IS_DHRS);
		CHECK_EQ(pt_read(HD, P_CI), 1);
		CHECK_EQ(pt_read(HD, P_CMD) >> 8 & 31, 0);
		CHECK_EQ(ram[FIS_AT(HD) + 0x42], 0x51);
		CHECK_EQ(ram[FIS_AT(HD) + 0x43], bad[i].error);
		pt_restart(HD);
	}
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 0, 1, DATA, 512), 0x50);
	/* Sleep ends by a reset. */
	CHECK_EQ(plain(HD, C_SLEEP, 0, 0, 0), 0x50);
	CHECK_EQ(plain(HD, C_CHECK_POWER, 0, 0, 0), 0x451);
	pt_write(HD, P_CMD, CMD_FRE);
	pt_write(HD, P_SCTL, 1);
	pt_write(HD, P_SCTL, 0);
	pt_start(HD);
	CHECK_EQ(plain(HD, C_CHECK_POWER, 0, 0, 0), 0x50);
	finish();
}

TEST(power)
{
	static const struct { uint8_t command, count; } modes[] = { { C_STANDBY, 0 }, { C_IDLE, 0x80 }, { 0xe2, 0 }, { 0xe3, 0x80 } };

	setup("");
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(plain(HD, modes[i].command, 0, 0, 0), 0x50);
		CHECK_EQ(plain(HD, C_CHECK_POWER, 0, 0, 0), 0x50);
		CHECK_EQ(ram[FIS_AT(HD) + 0x4c], modes[i].count);
		CHECK_EQ(ah_rw(C_READ_DMA_EXT, 0, 1, DATA, 512), 0x50);
		CHECK_EQ(plain(HD, C_CHECK_POWER, 0, 0, 0), 0x50);
		CHECK_EQ(ram[FIS_AT(HD) + 0x4c], 0xff);
	}
	finish();
}

TEST(smart)
{
	struct ata a = { .command = C_SMART, .device = 0x40, .feature = 0xd0, .lba = 0xc24f00 };
	uint64_t written = 0;

	setup("");
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 5, DATA, 5 * 512), 0x50);
	CHECK_EQ(ah_do(HD, &a, DATA, 512), 0x50);
	CHECK_EQ(sum(ram + DATA), 0);
	CHECK_EQ(ram[DATA + 14], 0xf1);
	memcpy(&written, ram + DATA + 14 + 5, 6);
	CHECK_EQ(written, 5);
	a.feature = 0xd1;
	CHECK_EQ(ah_do(HD, &a, DATA, 512), 0x50);
	CHECK_EQ(ram[DATA + 14], 0xf1);
	CHECK_EQ(plain(HD, C_SMART, 0xda, 0, 0xc24f00), 0x50);
	CHECK_EQ(ram[FIS_AT(HD) + 0x45], 0x4f);
	CHECK_EQ(ram[FIS_AT(HD) + 0x46], 0xc2);
	CHECK_EQ(plain(HD, C_SMART, 0xd9, 0, 0xc24f00), 0x50);
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(85) & 1, 0);
	CHECK_EQ(plain(HD, C_SMART, 0xda, 0, 0xc24f00), 0x451);
	pt_restart(HD);
	CHECK_EQ(plain(HD, C_SMART, 0xd8, 0, 0xc24f00), 0x50);
	CHECK_EQ(plain(HD, C_SMART, 0xda, 0, 0xc24f00), 0x50);
	finish();
}

/* Ranges are discarded, and what the disk does not have is an error before any is. */
TEST(trim)
{
	struct ata a = { .command = C_TRIM, .device = 0x40, .feature = 1, .count = 1 };
	uint64_t *range;
	uint8_t back[512];

	setup("");
	range = (uint64_t *)(void *)(ram + DATA);
	memset(range, 0, 512);
	range[0] = 16 | 8ULL << 48;
	range[3] = 64 | 16ULL << 48;
	CHECK_EQ(ah_do(HD, &a, DATA, 512), 0x50);
	for (unsigned i = 16; i < 80; i++) {
		CHECK_EQ(pread(fd, back, 512, i * 512), 512);
		if (i < 24 || i >= 64) {
			for (unsigned k = 0; k < 512; k++)
				CHECKF(back[k] == 0, "sector %u has %#x", i, back[k]);
		} else {
			check_data(back, i * 512, 512);
		}
	}
	range[4] = SECTORS | 1ULL << 48;
	range[0] = 32 | 1ULL << 48;
	CHECK_EQ(ah_do(HD, &a, DATA, 512), 0x1051);
	CHECK_EQ(pread(fd, back, 512, 32 * 512), 512);
	check_data(back, 32 * 512, 512);
	pt_restart(HD);
	finish();
}

/* Queued commands: they leave PxCI at once and PxSACT at their end. */
TEST(queued)
{
	setup("");
	for (unsigned i = 0; i < 32; i++)
		ah_queue(i, C_READ_QUEUED, 10 * i, 4, DATA + 4096 * i);
	ah_tell_queued(UINT32_MAX);
	CHECK_EQ(pt_read(HD, P_CI), 0);
	ah_wait(HD, P_SACT, UINT32_MAX);
	CHECK_EQ(pt_read(HD, P_IS), IS_SDBS);
	for (unsigned i = 0; i < 32; i++)
		check_data(ram + DATA + 4096 * i, 10 * i * 512, 4 * 512);
	CHECK_EQ(ram[FIS_AT(HD) + 0x58], 0xa1);
	ah_queue(3, C_WRITE_QUEUED, 1000, 4, DATA);
	ram[TABLE_AT(HD, 3) + 7] |= 0x80;		/* FUA */
	ah_tell_queued(8);
	ah_wait(HD, P_SACT, 8);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 1000, 4, DATA + 8192, 2048), 0x50);
	check_data(ram + DATA + 8192, 0, 2048);
	finish();
}

/* A queued command that fails ends the others; its log says which it was, and until it is read nothing else is done. */
TEST(queued_errors)
{
	struct ata log = { .command = C_READ_LOG, .device = 0x40, .count = 1, .lba = 0x10 };

	setup("");
	ah_queue(5, C_READ_QUEUED, SECTORS, 4, DATA);
	ah_tell_queued(1 << 5);
	ah_wait(HD, P_SACT, 1 << 5);
	CHECK_EQ(pt_read(HD, P_TFD), 0x1051);
	CHECK_EQ(pt_read(HD, P_IS), IS_TFES | IS_SDBS);
	CHECK_EQ(pt_read(HD, P_SACT), 1 << 5);
	pt_restart(HD);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 0, 1, DATA, 512), 0x451);
	pt_restart(HD);
	CHECK_EQ(ah_do(HD, &log, DATA, 512), 0x50);
	CHECK_EQ(ram[DATA], 5);
	CHECK_EQ(ram[DATA + 2], 0x51);
	CHECK_EQ(ram[DATA + 3], 0x10);
	CHECK_EQ(ram[DATA + 4] | ram[DATA + 5] << 8, SECTORS);
	CHECK_EQ(sum(ram + DATA), 0);
	CHECK_EQ(ah_do(HD, &log, DATA, 512), 0x50);
	CHECK_EQ(ram[DATA], 0x80);			/* no queued command failed since */
	log.lba = 0;
	CHECK_EQ(ah_do(HD, &log, DATA, 512), 0x50);
	CHECK_EQ(ram[DATA] | ram[DATA + 1] << 8, 1);
	CHECK_EQ(ram[DATA + 0x20], 1);
	/* A tag that is not its slot's. */
	ah_queue(6, C_READ_QUEUED, 0, 4, DATA);
	ram[TABLE_AT(HD, 6) + 12] = 7 << 3;
	ah_tell_queued(1 << 6);
	ah_wait(HD, P_SACT, 1 << 6);
	CHECK_EQ(pt_read(HD, P_TFD), 0x451);
	/* COMRESET forgets the error. */
	pt_write(HD, P_SCTL, 1);
	pt_write(HD, P_SCTL, 0);
	pt_start(HD);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 0, 1, DATA, 512), 0x50);
	finish();
}

TEST(large_sectors)
{
	setup("sata.port.0.sectorsize=4096\n");
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(106), 0x5000);
	CHECK_EQ(word(117), 2048);
	CHECK_EQ(word(60), SECTORS / 8);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 3, 2, DATA, 8192), 0x50);
	check_data(ram + DATA, 3 * 4096, 8192);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, SECTORS / 8, 1, DATA, 8192), 0x1051);
	finish();
}

TEST(read_only)
{
	struct ata a = { .command = C_TRIM, .device = 0x40, .feature = 1, .count = 1 };

	setup("sata.port.0.ro=true\n");
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(169), 0);
	CHECK_EQ(ah_rw(C_WRITE_DMA_EXT, 0, 1, DATA, 512), 0x451);
	pt_restart(HD);
	memset(ram + DATA, 0, 512);
	CHECK_EQ(ah_do(HD, &a, DATA, 512), 0x451);
	pt_restart(HD);
	CHECK_EQ(ah_rw(C_READ_DMA_EXT, 0, 1, DATA, 512), 0x50);
	finish();
}

/* The pin is up as long as an enabled bit is; a message is sent for each port that becomes pending. */
TEST(interrupts)
{
	unsigned cap;
	struct px_cpu cpu;

	setup("");
	CHECK(!fx_level(&fx));
	CHECK_EQ(plain(HD, C_FLUSH, 0, 0, 0), 0x50);
	CHECK(!fx_level(&fx));
	pt_write(HD, P_IE, IS_DHRS);
	CHECK(fx_level(&fx));
	CHECK_EQ(ah_read(R_IS), 1);
	ah_write(R_IS, 1);			/* PxIS is still there */
	CHECK_EQ(ah_read(R_IS), 1);
	pt_write(HD, P_IS, UINT32_MAX);
	CHECK(fx_level(&fx));
	ah_write(R_GHC, 0);
	CHECK(!fx_level(&fx));
	ah_write(R_GHC, GHC_IE);
	CHECK(fx_level(&fx));
	ah_write(R_IS, 1);
	CHECK(!fx_level(&fx));
	CHECK_EQ(ah_read(R_IS), 0);

	cap = cfg_cap(&fx, SLOT, 0x05, 0);
	CHECK(cap != 0);
	CHECK_EQ(cfg_r(&fx, SLOT, cap + 2, 2), 0x80);
	px_start(&cpu, &fx);
	cfg_w(&fx, SLOT, cap + 4, 4, MSI_ADDR);
	cfg_w(&fx, SLOT, cap + 8, 4, 0);
	cfg_w(&fx, SLOT, cap + 12, 2, MSI_DATA(0x45));
	cfg_w(&fx, SLOT, cap + 2, 2, 0xffff);
	CHECK_EQ(cfg_r(&fx, SLOT, cap + 2, 2), 0x81);
	CHECK_EQ(px_next(&cpu), 0);
	CHECK_EQ(plain(HD, C_FLUSH, 0, 0, 0), 0x50);
	CHECK(!fx_level(&fx));
	CHECK_EQ(px_next(&cpu), 0x45);
	CHECK_EQ(px_next(&cpu), 0);
	/* Another port, and what is left when one was seen to. */
	pt_write(CD, P_IE, IS_PSS);
	CHECK_EQ(identify(CD, C_IDENTIFY_PACKET), 0x50);
	CHECK_EQ(px_next(&cpu), 0x45);
	CHECK_EQ(ah_read(R_IS), 3);
	pt_write(HD, P_IS, UINT32_MAX);
	ah_write(R_IS, 1);
	CHECK_EQ(px_next(&cpu), 0x45);
	pt_write(CD, P_IS, UINT32_MAX);
	ah_write(R_IS, 2);
	CHECK_EQ(px_next(&cpu), 0);
	/* Without the bus nothing is sent, and what is pending is sent when it is back. */
	CHECK_EQ(plain(HD, C_FLUSH, 0, 0, 0), 0x50);
	CHECK_EQ(px_next(&cpu), 0x45);
	pd_bus(false);
	ah_write(R_IS, 1);
	CHECK_EQ(px_next(&cpu), 0);
	pd_bus(true);
	CHECK_EQ(px_next(&cpu), 0x45);
	finish();
}

/* What the drive says of its last command: key, code and qualifier. */
static uint32_t
sense(void)
{
	pt_restart(CD);
	CHECK_EQ(PACKET(18, 0x03, 0, 0, 0, 18), 0x50);
	CHECK_EQ(ram[DATA], 0x70);
	return ((ram[DATA + 2] & 15U) << 16 | (uint32_t)ram[DATA + 12] << 8 | ram[DATA + 13]);
}

static uint32_t
be(unsigned off, unsigned n)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | ram[DATA + off + i];
	return (v);
}

TEST(drive_says_what_it_is)
{
	setup("sata.port.1.model=Smith and Sons DVD\n");
	CHECK_EQ(identify(CD, C_IDENTIFY), 0x451);	/* it is no disk, and says what it is */
	CHECK_EQ(ram[FIS_AT(CD) + 0x45], 0x14);
	CHECK_EQ(ram[FIS_AT(CD) + 0x46], 0xeb);
	pt_restart(CD);
	CHECK_EQ(identify(CD, C_IDENTIFY_PACKET), 0x50);
	CHECK_EQ(word(0), 0x85c0);
	CHECK_EQ(sum(ram + DATA), 0);
	CHECK_EQ(PACKET(96, 0x12, 0, 0, 0, 96), 0x50);
	CHECK_EQ(ram[DATA], 5);
	CHECK_EQ(ram[DATA + 1], 0x80);
	CHECK_EQ(memcmp(ram + DATA + 16, "Smith and Sons D", 16), 0);
	CHECK_EQ(ah_moved(CD, 0), 36);
	CHECK_EQ(ram[FIS_AT(CD) + 0x4c], 3);
	/* The first command that is to be told of the reset. */
	CHECK_EQ(PACKET(0, 0), 0x6451);
	CHECK_EQ(sense(), 0x062900);
	CHECK_EQ(PACKET(0, 0), 0x50);
	CHECK_EQ(PACKET(8, 0x25), 0x50);
	CHECK_EQ(be(0, 4), CD_SECTORS - 1);
	CHECK_EQ(be(4, 4), 2048);
	CHECK_EQ(PACKET(64, 0x46, 0, 0, 0, 0, 0, 0, 0, 64), 0x50);
	CHECK_EQ(be(6, 2), 0x0008);
	CHECK_EQ(be(0, 4), ah_moved(CD, 0) == 64 ? be(0, 4) : ah_moved(CD, 0) - 4);
	CHECK_EQ(PACKET(64, 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 64), 0x50);
	CHECK_EQ(be(0, 2), ah_moved(CD, 0) - 2);
	CHECK_EQ(PACKET(64, 0x1a, 0, 0x2a, 0, 64), 0x50);
	CHECK_EQ(ram[DATA + 4], 0x2a);
	CHECK_EQ(PACKET(8, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 0x50);
	finish();
}

TEST(reads_of_a_medium)
{
	setup("");
	(void)PACKET(0, 0);
	pt_restart(CD);
	CHECK_EQ(PACKET(8192, 0x28, 0, 0, 0, 0, 7, 0, 0, 4), 0x50);
	check_data(ram + DATA, 7 * 2048, 4 * 2048);
	CHECK_EQ(ah_moved(CD, 0), 8192);
	CHECK_EQ(PACKET(2048, 0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 1), 0x50);
	check_data(ram + DATA, 256 * 2048, 2048);
	CHECK_EQ(PACKET(2048, 0xbe, 0, 0, 0, 0, 3, 0, 0, 1, 0x10), 0x50);
	check_data(ram + DATA, 3 * 2048, 2048);
	CHECK_EQ(PACKET(0, 0x28, 0, 0, 0, 0, 7, 0, 0, 0), 0x50);
	CHECK_EQ(PACKET(0, 0x2b, 0, 0, 0, 0, 7), 0x50);
	CHECK_EQ(PACKET(64, 0x43, 0, 0, 0, 0, 0, 0, 0, 64), 0x50);
	CHECK_EQ(be(0, 2), 18);
	CHECK_EQ(ram[DATA + 5], 0x14);
	CHECK_EQ(ram[DATA + 14], 0xaa);
	CHECK_EQ(be(16, 4), CD_SECTORS);
	CHECK_EQ(PACKET(64, 0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64), 0x50);
	CHECK_EQ(be(8, 4), 0 << 16 | 6 << 8 | 0);	/* 300 + 150 frames are 6 seconds */
	CHECK_EQ(PACKET(64, 0x43, 0, 1, 0, 0, 0, 0, 0, 64), 0x50);
	CHECK_EQ(be(0, 2), 10);
	CHECK_EQ(PACKET(64, 0x43, 0, 2, 0, 0, 0, 0, 0, 64), 0x50);
	CHECK_EQ(be(0, 2), 46);
	CHECK_EQ(PACKET(34, 0x51, 0, 0, 0, 0, 0, 0, 0, 34), 0x50);
	CHECK_EQ(ram[DATA + 2], 0x0e);
	CHECK_EQ(PACKET(36, 0x52, 1, 0, 0, 0, 1, 0, 0, 36), 0x50);
	CHECK_EQ(be(24, 4), CD_SECTORS);
	/* What cannot be. */
	CHECK_EQ(PACKET(2048, 0x28, 0, 0, 0, 1, 44, 0, 0, 1), 0x5451);
	CHECK_EQ(sense(), 0x052100);
	CHECK_EQ(PACKET(2048, 0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1), 0x5451);
	CHECK_EQ(sense(), 0x052100);
	CHECK_EQ(PACKET(2048, 0xbe, 4, 0, 0, 0, 3, 0, 0, 1, 0x10), 0x5451);
	CHECK_EQ(sense(), 0x052400);
	CHECK_EQ(PACKET(64, 0x43, 0, 3, 0, 0, 0, 0, 0, 64), 0x5451);
	CHECK_EQ(sense(), 0x052400);
	CHECK_EQ(PACKET(0, 0x2a), 0x5451);		/* a write */
	CHECK_EQ(sense(), 0x052000);
	CHECK_EQ(sense(), 0);				/* it was told */
	finish();
}

TEST(tray)
{
	setup("");
	(void)PACKET(0, 0);
	pt_restart(CD);
	CHECK_EQ(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	CHECK_EQ(be(4, 2), 0x0002);
	CHECK_EQ(PACKET(0, 0x1e, 0, 0, 0, 1), 0x50);
	CHECK_EQ(PACKET(0, 0x1b, 0, 0, 0, 2), 0x5451);
	CHECK_EQ(sense(), 0x055302);
	CHECK_EQ(PACKET(0, 0x1e, 0, 0, 0, 0), 0x50);
	CHECK_EQ(PACKET(0, 0x1b, 0, 0, 0, 2), 0x50);
	CHECK_EQ(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	CHECK_EQ(be(4, 2), 0x0301);
	CHECK_EQ(PACKET(0, 0), 0x2451);
	CHECK_EQ(sense(), 0x023a02);
	CHECK_EQ(PACKET(0, 0x1b, 0, 0, 0, 3), 0x50);
	CHECK_EQ(PACKET(0, 0), 0x6451);
	CHECK_EQ(sense(), 0x062800);
	CHECK_EQ(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	CHECK_EQ(be(4, 2), 0x0202);
	CHECK_EQ(PACKET(0, 0), 0x50);
	finish();
}

/* A drive without a medium. */
TEST(empty_drive)
{
	images("");
	(void)snprintf(keys, sizeof(keys), "sata.port.1.type=cd\n");
	ah_open(keys);
	CHECK_EQ(ah_read(R_PI), 2);
	CHECK_EQ(ah_read(R_CAP) & 31, 1);
	pt_start(CD);
	(void)PACKET(0, 0);
	CHECK_EQ(sense(), 0x062900);
	CHECK_EQ(PACKET(8, 0x25), 0x2451);
	CHECK_EQ(sense(), 0x023a01);
	CHECK_EQ(PACKET(64, 0x46, 0, 0, 0, 0, 0, 0, 0, 64), 0x50);
	CHECK_EQ(be(6, 2), 0);
	finish();
}

/* A driver's life through a snapshot: a command that was told and not taken, modes, the tray, the pin. */
TEST(moves)
{
	struct ata a = { .command = C_READ_DMA_EXT, .device = 0x40, .lba = 7, .count = 1 };
	static struct fx to;
	struct pci_host *h;

	setup("sata.port.0.ro=true\n");
	CHECK_EQ(plain(HD, C_SET_MULTIPLE, 0, 8, 0), 0x50);
	CHECK_EQ(PACKET(0, 0x1b, 0, 0, 0, 2), 0x6451);
	pt_restart(CD);
	CHECK_EQ(PACKET(0, 0x1b, 0, 0, 0, 2), 0x50);
	pt_write(HD, P_IE, IS_DHRS);
	CHECK(fx_level(&fx));
	pd_bus(false);
	ah_put(HD, 0, &a, 1);
	ah_prd(HD, 0, 0, DATA, 512);
	memset(ram + DATA, 0, 512);
	pt_write(HD, P_CI, 1);
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);

	fx_open(&to);
	h = px_host(&to);
	pd_move(&to, h, ah_make(&to, h, keys));
	CHECK(fx_level(&fx));
	CHECK_EQ(pt_read(HD, P_CI), 1);
	pd_bus(true);
	ah_wait(HD, P_CI, 1);
	check_data(ram + DATA, 7 * 512, 512);
	CHECK_EQ(identify(HD, C_IDENTIFY), 0x50);
	CHECK_EQ(word(59), 0x0108);
	CHECK_EQ(PACKET(0, 0), 0x2451);
	CHECK_EQ(sense(), 0x023a02);
	finish();
}

/* Port 0 is in no state with this value of a field; without it it is in one. */
static void
port_refuses(const char *name, uint64_t val, const char *words)
{
	const struct vm_state_table *table = dev->cls->state;
	uint8_t *port = fx_field(dev, "port");
	uint64_t old = 0;

	table = table->fields[table->nfields - 1].sub;
	for (unsigned i = 0; i < table->nfields; i++) {
		const struct vm_state_field *f = &table->fields[i];
		size_t size = f->type == VM_FIELD_U8 ? 1 : f->type == VM_FIELD_U32 ? 4 : 8;

		if (strcmp(f->name, name) != 0)
			continue;
		CHECK_EQ(table->check(port), 0);
		memcpy(&old, port + f->offset, size);
		memcpy(port + f->offset, &val, size);
		CHECK_EQ(table->check(port), -1);
		CHECK_HAS(vm_errmsg(), words);
		memcpy(port + f->offset, &old, size);
		return;
	}
	FAIL("no field %s", name);
}

TEST(states_that_cannot_be)
{
	static const struct { const char *field; uint64_t val; const char *words; } bad[] = {
		{ "multiple", 17, "17 sectors at once" }, { "power", 4, "power 4" }, { "turn", 32, "slot 32" }, { "ci", 1, "stands still" },
		{ "sact", 1, "stands still" }, { "clb", 0x200, "lists at 0x200" }, { "fb", 0x80, "and 0x80" },
	};
	static struct fx to;
	struct pci_host *h;
	char other[512];

	setup("sata.port.0.ro=true\n");
	pt_write(HD, P_CMD, 0);
	pt_write(HD, P_CLB, 0);
	pt_write(HD, P_FB, 0);
	devices_pause(&fx.vmm);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		port_refuses(bad[i].field, bad[i].val, bad[i].words);
	fx_damage(&fx);
	/* A controller with another device. */
	fx_open(&to);
	h = px_host(&to);
	(void)snprintf(other, sizeof(other), "sata.port.0.path=%s\nsata.port.0.ro=true\n", path);
	CHECK(ah_make(&to, h, other) != NULL);
	fx_refused(&fx, &to, "which has none here");
	devices_destroy(&to.vmm);
	pci_host_free(h);
	fx_close(&to);
	finish();
}

TEST(keys_that_cannot_be)
{
	static const struct { const char *more, *words; } bad[] = {
		{ "sata.port.0.sectorsize=1024\n", "512 or 4096" }, { "sata.port.0.ser=123456789012345678901\n", "may have 20" },
		{ "sata.port.0.model=12345678901234567890123456789012345678901\n", "may have 40" },
		{ "sata.port.0.rev=123456789\n", "may have 8" }, { "sata.port.0.path=/nowhere/x\n", "/nowhere/x" },
	};

	images("");
	for (unsigned i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		char text[1024];

		fx_open(&fx);
		host = px_host(&fx);
		(void)snprintf(text, sizeof(text), "sata.port.0.path=%s\n%s", path, i < sizeof(bad) / sizeof(bad[0]) ? bad[i].more : "");
		if (i < sizeof(bad) / sizeof(bad[0])) {
			CHECK(ah_make(&fx, host, text) == NULL);
			CHECK_HAS(vmm_errmsg(), bad[i].words);
		} else {
			CHECK(ah_make(&fx, host, "") == NULL);
			CHECK_HAS(vmm_errmsg(), "no disk and no CD drive");
		}
		devices_destroy(&fx.vmm);
		pci_host_free(host);
		fx_close(&fx);
	}
	close(fd);
	close(cd_fd);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(unlink(cd_path), 0);
}

TEST_MAIN()

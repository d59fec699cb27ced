/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cfi_flash.c - flash memory by the command sequences that firmware sends, and by others.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <stdatomic.h>

#include "vmm_fixture.h"

#define	BASE		0x4000000ULL
#define	SIZE		(1U << 20)
#define	BLOCK		(256U * 1024)

static struct fx fx, *vm = &fx;
static struct device *dev;
static char path[64];

static const char keys32[] = "flash.size=1M\nflash.block=256K\n";
static const char keys8[] = "flash.size=1M\nflash.block=4K\nflash.width=1\nflash.chips=1\n";

/* The C library's, for all of this program: a disk that takes its time, if it is to, and who waited for it. */
static _Atomic bool slow_disk;
static _Atomic unsigned syncs, syncs_here;
static pthread_t here;

int
fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	if (pthread_equal(pthread_self(), here))
		atomic_fetch_add(&syncs_here, 1);
	while (atomic_load(&slow_disk))
		usleep(1000);
	return ((int)syscall(SYS_fdatasync, fd));
}

static struct device *
make(struct fx *f, const char *keys, const char *file)
{
	const struct device_place place = { .on = DEVICE_ON_MMIO, .base = BASE };
	char text[512];

	(void)snprintf(text, sizeof(text), "%s%s%s\n", keys, file != NULL ? "flash.path=" : "", file != NULL ? file : "");
	return (fx_make_with(f, "cfi-flash", "flash", &place, text));
}

static void
setup(const char *keys, const char *file)
{
	fx_open(&fx);
	dev = make(&fx, keys, file);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
}

static void
temporary(void)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/hyve-flash-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	CHECK_EQ(unlink(path), 0);
}

static void
w32(uint64_t off, uint32_t val)
{
	fx_write(vm, VM_SPACE_MEM, BASE + off, 4, val);
}

static uint32_t
r32(uint64_t off)
{
	return ((uint32_t)fx_read(vm, VM_SPACE_MEM, BASE + off, 4));
}

static void
w8(uint64_t off, uint8_t val)
{
	fx_write(vm, VM_SPACE_MEM, BASE + off, 1, val);
}

static uint8_t
r8(uint64_t off)
{
	return ((uint8_t)fx_read(vm, VM_SPACE_MEM, BASE + off, 1));
}

/* Whether the array is memory at the moment. */
static bool
mapped(void)
{
	vm_paddr_t gpa = BASE;
	vm_ooffset_t off;
	size_t len;
	int seg, prot, flags;

	if (vm_mmap_getnext(vm->vmm.vm, &gpa, &seg, &off, &len, &prot, &flags) != 0 || gpa != BASE)
		return (false);
	CHECK_EQ(prot, VM_PROT_READ | VM_PROT_EXEC);
	return (true);
}

/* AAVMF's way: 32 words at once. */
static void
program32(uint64_t off, const uint32_t *data, unsigned n)
{
	w32(off, 0xe800e8);
	CHECK_EQ(r32(off), 0x800080);
	w32(off, (n - 1) << 16 | (n - 1));
	for (unsigned i = 0; i < n; i++)
		w32(off + 4 * i, data[i]);
	w32(off, 0xd000d0);
	CHECK_EQ(r32(off), 0x800080);
	w32(off, 0xff00ff);
}

static void
erase32(uint64_t off)
{
	w32(off, 0x600060);
	w32(off, 0xd000d0);
	w32(off, 0x200020);
	w32(off, 0xd000d0);
	CHECK_EQ(r32(off) & 0x800080, 0x800080);
	w32(off, 0xff00ff);
}

TEST(query)
{
	setup(keys32, NULL);
	/* JESD68.01: 0x98 at word 0x55, every chip answers in its part of the bus. */
	w32(0x55 * 4, 0x980098);
	CHECK_EQ(r32(0x10 * 4), 'Q' << 16 | 'Q');
	CHECK_EQ(r32(0x11 * 4), 'R' << 16 | 'R');
	CHECK_EQ(r32(0x12 * 4), 'Y' << 16 | 'Y');
	CHECK_EQ(r32(0x13 * 4) | r32(0x14 * 4) << 8, 0x00010001);
	CHECK_EQ(1U << (r32(0x27 * 4) & 0xff), SIZE / 2);
	CHECK_EQ(r32(0x28 * 4), 0x010001);
	CHECK_EQ(1U << (r32(0x2a * 4) & 0xff), 64);
	CHECK_EQ(r32(0x2c * 4), 0x010001);
	CHECK_EQ((r32(0x2d * 4) & 0xff) + 1, SIZE / BLOCK);
	CHECK_EQ((r32(0x2f * 4) & 0xff) << 8 | (r32(0x30 * 4) & 0xff) << 16, BLOCK / 2);
	CHECK_EQ(r32(0x31 * 4), 'P' << 16 | 'P');
	CHECK_EQ(r32(0x2000), 0);
	/* A chip of 16 bits on half the bus. */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, BASE + 0x42, 2), 'Q');
	CHECK_EQ(r8(0x41), 0);
	w32(0, 0x900090);
	CHECK_EQ(r32(0), 0x890089);
	CHECK_EQ(r32(4), 0x180018);
	CHECK_EQ(r32(8), 0);
	w32(0, 0xff00ff);
	CHECK_EQ(r32(0), 0xffffffff);
	fx_close(&fx);
}

TEST(as_aavmf_does)
{
	uint32_t data[32];

	setup(keys32, NULL);
	for (unsigned i = 0; i < 32; i++)
		data[i] = i * 0x01010101 + 0x80;
	CHECK(mapped());
	w32(0, 0x500050);
	CHECK(mapped());
	w32(0, 0x700070);
	CHECK(!mapped());
	CHECK_EQ(r32(0x1234 * 4), 0);
	w32(0, 0xff00ff);
	CHECK(mapped());
	program32(BLOCK + 0x80, data, 32);
	CHECK(mapped());
	for (unsigned i = 0; i < 32; i++)
		CHECK_EQ(r32(BLOCK + 0x80 + 4 * i), data[i]);
	CHECK_EQ(r32(BLOCK + 0x7c), 0xffffffff);
	CHECK_EQ(r32(BLOCK + 0x100), 0xffffffff);
	/* A few words, not from the start of a buffer's place; only ones become zeros. */
	data[0] = 0xf0f0f0f0;
	data[1] = 0x0f0f0f0f;
	program32(BLOCK + 0x84, data, 2);
	CHECK_EQ(r32(BLOCK + 0x84), 0x01010181 & 0xf0f0f0f0);
	CHECK_EQ(r32(BLOCK + 0x88), 0x02020282 & 0x0f0f0f0f);
	w32(BLOCK + 0x200, 0x400040);
	w32(BLOCK + 0x200, 0x12345678);
	CHECK_EQ(r32(0), 0x800080);
	erase32(BLOCK + 0x1000);
	CHECK_EQ(r32(BLOCK + 0x80), 0xffffffff);
	CHECK_EQ(r32(BLOCK + 0x200), 0xffffffff);
	fx_close(&fx);
}

/* OVMF's: a byte at a time, array mode after a whole variable only. */
TEST(as_ovmf_does)
{
	setup(keys8, NULL);
	w8(0, 0x50);
	w8(0, 0x70);
	CHECK_EQ(r8(0), 0);		/* by that it knows flash */
	for (unsigned i = 0; i < 300; i++) {
		w8(0x1000 + i, 0x10);
		w8(0x1000 + i, (uint8_t)i);
	}
	CHECK(!mapped());
	w8(0x1000, 0xff);
	CHECK(mapped());
	for (unsigned i = 0; i < 300; i++)
		CHECK_EQ(r8(0x1000 + i), (uint8_t)i);
	w8(0x55, 0x98);
	CHECK(r8(0x10) == 'Q' && r8(0x11) == 'R' && r8(0x12) == 'Y' && r8(0x28) == 0 && r8(0x2d) == 0xff);
	CHECK_EQ(1U << r8(0x27), SIZE);
	w8(0, 0xf0);
	w8(0x1000, 0x20);
	w8(0x1000, 0xd0);
	w8(0x1000, 0xff);
	CHECK(r8(0x1000) == 0xff && r8(0x112b) == 0xff);
	fx_close(&fx);
}

TEST(locks)
{
	setup(keys32, NULL);
	w32(BLOCK, 0x600060);
	w32(BLOCK, 0x010001);
	w32(BLOCK, 0x400040);
	w32(BLOCK, 0);
	CHECK_EQ(r32(0), 0x920092);
	w32(0, 0x500050);
	w32(0, 0x700070);
	CHECK_EQ(r32(0), 0);
	w32(BLOCK + 4, 0x200020);
	w32(BLOCK + 4, 0xd000d0);
	CHECK_EQ(r32(0), 0xa200a2);
	w32(0, 0x900090);
	CHECK_EQ(r32(BLOCK + 8), 0x010001);
	CHECK_EQ(r32(8), 0);
	w32(BLOCK, 0x600060);
	w32(BLOCK, 0xd000d0);
	w32(0, 0x900090);
	CHECK_EQ(r32(BLOCK + 8), 0);
	w32(0, 0x500050);
	w32(BLOCK, 0x400040);
	w32(BLOCK, 0);
	CHECK_EQ(r32(0), 0x800080);
	w32(0, 0xff00ff);
	CHECK_EQ(r32(BLOCK), 0);
	fx_close(&fx);
}

/* Sequences that no driver sends change nothing, and the status says so. */
TEST(wrong_sequences)
{
	setup(keys32, NULL);
	w32(0, 0x200020);
	w32(0, 0xff00ff);
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(0, 0x600060);
	w32(0, 0x700070);
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(0, 0xe800e8);
	w32(0, 0x200020);		/* 33 words */
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(0, 0xe800e8);
	w32(0, 0x010001);
	w32(0x100, 0);
	w32(0x108, 0);			/* behind its two words */
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(0, 0xe800e8);
	w32(0, 0x010001);
	w32(0x100, 0);
	w32(0xfc, 0);			/* before them */
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(BLOCK - 4, 0xe800e8);
	w32(BLOCK - 4, 0x010001);
	w32(BLOCK - 4, 0);
	w32(BLOCK, 0);			/* in the next block */
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(0, 0xe800e8);
	w32(0, 0x000000);
	w32(0, 0);
	w32(0, 0xff00ff);		/* not confirmed */
	CHECK_EQ(r32(0), 0xb000b0);
	/* A buffer at the flash's very end. */
	w32(0, 0x500050);
	w32(SIZE - 4, 0xe800e8);
	w32(SIZE - 4, 0x1f001f);
	for (int i = 0; i < 32; i++)
		w32(SIZE - 4, 0x77777777);
	w32(SIZE - 4, 0xd000d0);
	CHECK_EQ(r32(0), 0x800080);
	w32(0, 0xeeeeeeee);
	CHECK_HAS(fx.log, "unknown command 0xee");
	CHECK_EQ(r32(SIZE - 4), 0x77777777);
	for (uint64_t off = 0; off < SIZE - 4; off += 4)
		CHECK_EQ(r32(off), 0xffffffff);
	/* Accesses across words, and wider than the bus. */
	fx_write(&fx, VM_SPACE_MEM, BASE + 3, 2, 0x7070);
	CHECK(mapped());
	fx_write(&fx, VM_SPACE_MEM, BASE, 8, 0x00ff00ff00700070ULL);
	CHECK(mapped());
	fx_write(&fx, VM_SPACE_MEM, BASE, 8, 0x0070007000ff00ffULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, BASE, 8), 0x0080008000800080ULL);
	fx_close(&fx);
}

TEST(file_keeps_it)
{
	uint32_t data[2] = { 0x11223344, 0x55667788 };
	struct fx other;

	temporary();
	setup(keys32, path);
	CHECK_EQ(r32(0), 0);
	erase32(0);
	program32(0x40, data, 2);
	/* Soon after, by the loop. */
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	}
	fx_open(&other);
	CHECK(make(&other, keys32, path) == NULL);
	CHECK_HAS(vmm_errmsg(), "in use by another VM");
	fx_close(&other);
	erase32(BLOCK);
	devices_pause(&fx.vmm);
	fx_close(&fx);

	setup(keys32, path);
	CHECK_EQ(r32(0x40), 0x11223344);
	CHECK_EQ(r32(0x44), 0x55667788);
	CHECK_EQ(r32(0x48), 0xffffffff);
	CHECK_EQ(r32(BLOCK), 0xffffffff);
	CHECK_EQ(r32(2 * BLOCK), 0);
	fx_close(&fx);
	CHECK_EQ(unlink(path), 0);
}

/* The loop writes it without a pause: seen in the file while the VM runs. */
TEST(written_while_it_runs)
{
	uint32_t data = 0, got = 1;
	int fd;

	temporary();
	setup(keys32, path);
	erase32(0);
	program32(0x40, &data, 1);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	for (int i = 0; i < 1000 && got != 0xffffffff; i++) {
		CHECK_EQ(event_loop_once(fx.vmm.loop, 10), 0);
		CHECK_EQ(pread(fd, &got, 4, 0x44), 4);
	}
	CHECK_EQ(got, 0xffffffff);
	CHECK_EQ(pread(fd, &got, 4, 0x40), 4);
	CHECK_EQ(got, 0);
	close(fd);
	fx_close(&fx);
	CHECK_EQ(unlink(path), 0);
}

static void
put_file(size_t len)
{
	uint8_t byte[16] = "firmware code..";
	int fd;

	temporary();
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)len) == 0 && pwrite(fd, byte, sizeof(byte), 0) == 16);
	close(fd);
}

/* The loop, which serial ports need too, does not wait for the disk; a pause does, and then everything is in the file. */
TEST(a_slow_disk_is_waited_for_elsewhere)
{
	uint32_t got = 0;
	unsigned before;
	int fd;

	temporary();
	setup(keys32, path);
	before = atomic_load(&syncs);
	here = pthread_self();
	w32(0, 0x200020);
	w32(0, 0xd000d0);
	w32(0, 0xff00ff);
	atomic_store(&slow_disk, true);
	while (atomic_load(&syncs) == before)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	/* It is at that still; what is programmed meanwhile comes behind it. */
	program32(0, (const uint32_t[]){ 0x12345678 }, 1);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	CHECK_EQ(atomic_load(&syncs), before + 1);
	CHECK_EQ(atomic_load(&syncs_here), 0);
	atomic_store(&slow_disk, false);
	devices_pause(&fx.vmm);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && pread(fd, &got, 4, 0) == 4);
	CHECK_EQ(got, 0x12345678);
	close(fd);
	fx_close(&fx);
	CHECK_EQ(unlink(path), 0);
}

/* Code: shorter than its chip, erased behind, never written. */
TEST(read_only)
{
	char keys[128];
	struct stat before, after;

	put_file(70000);
	CHECK_EQ(stat(path, &before), 0);
	(void)snprintf(keys, sizeof(keys), "%sflash.readonly=true\n", keys32);
	setup(keys, path);
	CHECK_EQ(r32(0), 0x6d726966);
	CHECK_EQ(r32(69996), 0);
	CHECK_EQ(r32(BLOCK), 0xffffffff);
	w32(0, 0x400040);
	w32(0, 0);
	CHECK_EQ(r32(0), 0x920092);
	w32(0, 0x500050);
	w32(0, 0x200020);
	w32(0, 0xd000d0);
	CHECK_EQ(r32(0), 0xa200a2);
	w32(0, 0xff00ff);
	CHECK_EQ(r32(0), 0x6d726966);
	w32(0x55 * 4, 0x980098);
	CHECK_EQ(r32(0x40), 'Q' << 16 | 'Q');
	/* A store of code that runs in place is no command, and nothing to warn of. */
	w32(0, 0xff00ff);
	w32(64, 0x17384);
	CHECK(mapped());
	CHECK(strstr(fx.log, "unknown command") == NULL);
	CHECK_EQ(r32(64), 0);
	fx_close(&fx);
	CHECK_EQ(stat(path, &after), 0);
	CHECK(before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	CHECK_EQ(unlink(path), 0);
}

/* Without a file it begins as the template, and is gone with the VM. */
TEST(without_a_file)
{
	char keys[160];
	uint32_t data = 0x04040404;

	put_file(4096);
	(void)snprintf(keys, sizeof(keys), "%sflash.template=%s\n", keys32, path);
	setup(keys, NULL);
	CHECK_EQ(r32(0), 0x6d726966);
	program32(0, &data, 1);
	CHECK_EQ(r32(0), 0x6d726966 & 0x04040404);
	fx_close(&fx);
	setup(keys, NULL);
	CHECK_EQ(r32(0), 0x6d726966);
	fx_close(&fx);
	CHECK_EQ(unlink(path), 0);
}

/* Bytes of the chip that are mapped. */
static size_t
mapped_bytes(void)
{
	vm_paddr_t gpa = BASE;
	vm_ooffset_t off;
	int seg, prot, flags;
	size_t len;

	CHECK_EQ(vm_mmap_getnext(vm->vmm.vm, &gpa, &seg, &off, &len, &prot, &flags), 0);
	return (len);
}

/* What nobody programmed takes no memory, and is erased all the same: also in a snapshot. */
TEST(an_empty_chip_takes_no_memory)
{
	uint32_t data = 0xabcd0123;
	struct fx other;

	setup(keys32, NULL);
	CHECK_EQ(mapped_bytes(), BLOCK);
	CHECK_EQ(r32(0), UINT32_MAX);
	CHECK_EQ(r32(SIZE - 4), UINT32_MAX);
	erase32(3 * BLOCK);
	w32(0, 0xff00ff);
	CHECK_EQ(mapped_bytes(), BLOCK);
	program32(2 * BLOCK + 8, &data, 1);
	w32(0, 0xff00ff);
	CHECK_EQ(mapped_bytes(), 3 * BLOCK);
	CHECK_EQ(r32(2 * BLOCK + 8), data);
	CHECK_EQ(r32(2 * BLOCK + 4), UINT32_MAX);
	CHECK_EQ(r32(BLOCK), UINT32_MAX);
	CHECK_EQ(r32(3 * BLOCK), UINT32_MAX);
	devices_pause(&fx.vmm);
	fx_open(&other);
	CHECKF(make(&other, keys32, NULL) != NULL, "%s", vmm_errmsg());
	fx_move(&fx, &other);
	devices_resume(&other.vmm);
	fx_close(&fx);
	vm = &other;
	CHECK_EQ(mapped_bytes(), 3 * BLOCK);
	CHECK_EQ(r32(3 * BLOCK), UINT32_MAX);
	fx_close(&other);
}

/* In the middle of a buffer; and the file becomes what the snapshot says. */
TEST(snapshot)
{
	struct fx other;
	uint32_t data = 0xabcd0123, got;
	vm_paddr_t gpa = BASE;
	vm_ooffset_t off;
	size_t len;
	int seg, prot, flags, fd;

	setup(keys32, NULL);
	program32(0x40, &data, 1);
	w32(0x80, 0xe800e8);
	w32(0x80, 0x010001);
	w32(0x80, 0x11111111);
	w32(BLOCK, 0x00);
	CHECK_EQ(r32(0), 0xb000b0);
	w32(0, 0x500050);
	w32(0x80, 0xe800e8);
	w32(0x80, 0x010001);
	w32(0x80, 0x11111111);
	devices_pause(&fx.vmm);
	temporary();
	fx_open(&other);
	CHECKF(make(&other, keys32, path) != NULL, "%s", vmm_errmsg());
	fx_move(&fx, &other);
	devices_resume(&other.vmm);
	fx_close(&fx);
	vm = &other;
	CHECK(!mapped());
	w32(0x84, 0x22222222);
	w32(0x80, 0xd000d0);
	CHECK_EQ(r32(0), 0x800080);
	w32(0x80, 0xff00ff);
	/* The content is memory's, which the snapshot of this test leaves out: zeros. */
	CHECK_EQ(vm_mmap_getnext(vm->vmm.vm, &gpa, &seg, &off, &len, &prot, &flags), 0);
	CHECK_EQ(r32(0x80), 0);
	erase32(0);
	w32(0x80, 0xe800e8);
	w32(0x80, 0);
	w32(0x80, 0x33333333);
	w32(0x80, 0xd000d0);
	w32(0x80, 0xff00ff);
	devices_pause(&other.vmm);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && pread(fd, &got, 4, 0x80) == 4);
	CHECK_EQ(got, 0x33333333);
	close(fd);
	fx_close(&other);
	CHECK_EQ(unlink(path), 0);
}

TEST(geometries)
{
	static const char *const bad[] = { "flash.size=300K\n", "flash.size=1M\nflash.block=8K\nflash.size=16M\n",
	    "flash.width=3\nflash.chips=1\n", "flash.width=4\nflash.chips=3\n", "flash.width=4\nflash.chips=1\n",
	    "flash.size=256K\nflash.block=512K\n" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fx_open(&fx);
		CHECKF(make(&fx, bad[i], NULL) == NULL, "%s", bad[i]);
		CHECK_HAS(vmm_errmsg(), "no flash has size");
		fx_close(&fx);
	}
	/* Two in one VM, as machines have them: each gets memory of its own. */
	setup(keys32, NULL);
	fx_close(&fx);
}

TEST_MAIN()

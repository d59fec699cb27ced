/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_arm64.c - direct boot of arm64: what the protocols leave in RAM and registers, and what damaged files get.
 */
#include <libfdt.h>
#include <vmmapi.h>
#include <vmmapi/arm64.h>
#include <zlib.h>

#include "boot/boot.h"
#include "boot_files.h"
#include "error.h"
#include "firmware/fdt.h"
#include "vm_fixture.h"

#define	RAM	0x40000000ULL
#define	RAM_LEN	0x1000000ULL

struct fx {
	struct vmctx	*vm;
	struct vcpu	*vcpu;
	uint8_t		*mem;
	struct boot_spec spec;
	struct dt_blob	 fdt;
};

static const uint32_t spin = 0x14000000;
static const char initrd_text[] = "INITRD of the test, and then some";

static void
fx_open(struct fx *fx)
{
	struct dt_writer w;

	memset(fx, 0, sizeof(*fx));
	fx->vm = tv_new(VM_ARCH_ARM64, RAM_LEN, 0);
	fx->mem = vm_map_gpa(fx->vm, RAM, RAM_LEN);
	CHECK(fx->mem != NULL);
	fx->vcpu = tv_cpu(fx->vm, 0);
	CHECK_EQ(dt_begin(&w), 0);
	dt_node(&w, "chosen", DT_NO_UNIT);
	dt_end(&w);
	CHECK_EQ(dt_finish(&w, &fx->fdt), 0);
	fx->spec.cmdline = "hello=1";
	fx->spec.fdt = &fx->fdt;
	fx->spec.nmap = 1;
	fx->spec.map[0] = (struct boot_range){ RAM, RAM_LEN, BOOT_RAM };
}

static void
fx_close(struct fx *fx)
{
	dt_free(&fx->fdt);
	vm_vcpu_close(fx->vcpu);
	vm_close(fx->vm);
}

static int
try_load(struct fx *fx, const void *data, size_t len)
{
	fx->spec.kernel = (struct boot_file){ .path = "kernel", .data = data, .len = len, .cmdline = "" };
	return (boot_load(fx->vm, fx->vcpu, &fx->spec, NULL));
}

static void
load(struct fx *fx, const void *data, size_t len)
{
	CHECKF(try_load(fx, data, len) == 0, "%s", vmm_errmsg());
}

/* Loading fails with this, and the sentence has these words. */
static void
refuse(struct fx *fx, const void *data, size_t len, int error, const char *words)
{
	errno = 0;
	CHECK_EQ(try_load(fx, data, len), -1);
	CHECK_HAS(vmm_errmsg(), words);
	CHECKF(errno == error, "errno %d, not %d: %s", errno, error, vmm_errmsg());
}

static void
add_initrd(struct fx *fx, const void *data, size_t len)
{
	fx->spec.modules[fx->spec.nmodules++] = (struct boot_file){ .path = "initrd", .data = data, .len = len, .cmdline = "" };
}

static uint64_t
get(struct fx *fx, int reg)
{
	uint64_t val;

	CHECKF(vm_get_register(fx->vcpu, reg, &val) == 0, "%s", vm_errmsg());
	return (val);
}

/* The state at entry, and the tree whose address is in X0. */
static const void *
check_entry(struct fx *fx, uint64_t pc)
{
	uint64_t dtb = get(fx, VM_ARM64_REG_X0);
	const void *tree;

	CHECK_EQ(get(fx, VM_ARM64_REG_PC), pc);
	for (int i = 1; i < 4; i++)
		CHECK_EQ(get(fx, VM_ARM64_REG_X0 + i), 0);
	CHECK_EQ(get(fx, VM_ARM64_REG_PSTATE), 0x3c5);		/* EL1h, D, A, I, F */
	CHECK_EQ(get(fx, VM_ARM64_REG_SCTLR_EL1) & 0x1005, 0);	/* I, C, M */
	CHECK(dtb % 8 == 0 && dtb >= RAM && dtb - RAM < RAM_LEN);
	tree = fx->mem + (dtb - RAM);
	CHECK_EQ(fdt_check_full(tree, RAM_LEN - (dtb - RAM)), 0);
	CHECK_STR((const char *)fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "bootargs", NULL), fx->spec.cmdline);
	return (tree);
}

static uint64_t
chosen64(const void *tree, const char *name)
{
	int len;
	const fdt64_t *p = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), name, &len);

	CHECKF(p != NULL && len == 8, "no %s", name);
	return (fdt64_ld(p));
}

/* gzip -9 of a file. */
static size_t
gz(const void *data, size_t len, uint8_t *out, size_t max)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)max };

	CHECK_EQ(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	CHECK_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
	CHECK_EQ(deflateEnd(&z), Z_OK);
	return (max - z.avail_out);
}

TEST(image)
{
	struct fx fx;
	struct bf f;

	for (int efi = 0; efi < 2; efi++) {
		fx_open(&fx);
		bf_image(&f, efi != 0, &spin, sizeof(spin));
		CHECK(boot_probe(&(struct boot_file){ .data = f.d, .len = f.len }) == &boot_linux_arm64);
		load(&fx, f.d, f.len);
		CHECK_EQ(memcmp(fx.mem, f.d, f.len), 0);
		CHECK(fdt_getprop(check_entry(&fx, RAM), 0, "linux,initrd-start", NULL) == NULL);
		/* The tree is not in what the kernel has in memory. */
		CHECK(get(&fx, VM_ARM64_REG_X0) >= RAM + BF_IMAGE_SIZE);
		fx_close(&fx);
	}
}

TEST(text_offset_and_old_kernels)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_image(&f, false, &spin, sizeof(spin));
	bf_put(&f, 8, 8, 0x81000);
	load(&fx, f.d, f.len);
	CHECK_EQ(memcmp(fx.mem + 0x81000, f.d, f.len), 0);
	(void)check_entry(&fx, RAM + 0x81000);
	/* Before 3.17: no size, and whatever the offset is. */
	bf_put(&f, 16, 8, 0);
	load(&fx, f.d, f.len);
	(void)check_entry(&fx, RAM + 0x80000);
	fx_close(&fx);
}

TEST(initrd)
{
	struct fx fx;
	struct bf f;
	const void *tree;
	uint64_t start, end;

	fx_open(&fx);
	bf_image(&f, false, &spin, sizeof(spin));
	add_initrd(&fx, initrd_text, sizeof(initrd_text));
	load(&fx, f.d, f.len);
	tree = check_entry(&fx, RAM);
	start = chosen64(tree, "linux,initrd-start");
	end = chosen64(tree, "linux,initrd-end");
	CHECK_EQ(end - start, sizeof(initrd_text));
	CHECK(start % 4096 == 0 && start > get(&fx, VM_ARM64_REG_X0) && end <= RAM + RAM_LEN);
	CHECK_EQ(memcmp(fx.mem + (start - RAM), initrd_text, sizeof(initrd_text)), 0);
	add_initrd(&fx, initrd_text, sizeof(initrd_text));
	refuse(&fx, f.d, f.len, EINVAL, "one initrd");
	fx_close(&fx);
	/* One that fills RAM. */
	fx_open(&fx);
	add_initrd(&fx, fx.mem, RAM_LEN);
	refuse(&fx, f.d, f.len, ENOMEM, "initrd");
	fx_close(&fx);
}

TEST(compressed)
{
	uint8_t zipped[0x4000];
	struct fx fx;
	struct bf f;
	size_t n;

	fx_open(&fx);
	bf_image(&f, true, &spin, sizeof(spin));
	n = gz(f.d, f.len, zipped, sizeof(zipped));
	CHECK(boot_probe(&(struct boot_file){ .data = zipped, .len = n }) == &boot_linux_arm64);
	load(&fx, zipped, n);
	CHECK_EQ(memcmp(fx.mem, f.d, f.len), 0);
	(void)check_entry(&fx, RAM);
	/* Cut off behind its header, and damaged. */
	for (size_t cut = 1; cut < n; cut += 7) {
		CHECK_EQ(try_load(&fx, zipped, n - cut), -1);
		CHECK(vmm_errmsg()[0] != '\0');
	}
	for (size_t i = n - 8; i < n; i++) {
		zipped[i] ^= 1;
		refuse(&fx, zipped, n, EINVAL, "damaged");
		zipped[i] ^= 1;
	}
	/* Something else. */
	n = gz(initrd_text, sizeof(initrd_text), zipped, sizeof(zipped));
	refuse(&fx, zipped, n, ENOEXEC, "no kernel");
	fx_close(&fx);
}

/* What expands to more than it speaks of stops there. */
TEST(compressed_too_far)
{
	uint8_t zipped[0x10000];
	struct fx fx;
	struct bf f;
	uint8_t *big = calloc(1, 2 << 20);
	size_t n;

	fx_open(&fx);
	bf_image(&f, false, &spin, sizeof(spin));
	memcpy(big, f.d, f.len);
	n = gz(big, 2 << 20, zipped, sizeof(zipped));
	refuse(&fx, zipped, n, EINVAL, "expands to more");
	CHECK_EQ(fx.mem[BF_IMAGE_SIZE], 0);
	free(big);
	/* And what does not say anything is not expanded at all. */
	bf_put(&f, 16, 8, 0);
	n = gz(f.d, f.len, zipped, sizeof(zipped));
	refuse(&fx, zipped, n, EINVAL, "does not say how large");
	fx_close(&fx);
}

TEST(damaged_headers)
{
	static const struct { size_t off; unsigned size; uint64_t val; int error; const char *words; } bad[] = {
		{ 56, 1, 'a', ENOEXEC, "no kernel" },
		{ 24, 8, 0xb, EINVAL, "big-endian" },
		{ 16, 8, RAM_LEN + 1, ENOMEM, "more memory" },
		{ 16, 8, UINT64_MAX, EINVAL, "wants to be loaded" },
		{ 16, 8, 0x7ff, EINVAL, "more than" },
		{ 8, 8, UINT64_MAX, EINVAL, "wants to be loaded" },
		{ 8, 8, UINT64_MAX - RAM, EINVAL, "wants to be loaded" },
		{ 8, 8, RAM_LEN - BF_IMAGE_SIZE, ENOMEM, "devicetree" },
		{ 60, 4, BF_IMAGE_LEN - 8, EINVAL, "cut off" },
		{ 60, 4, UINT32_MAX, EINVAL, "cut off" },
		{ BF_IMAGE_PE + 6, 2, UINT16_MAX, EINVAL, "cut off" },
		{ BF_IMAGE_PE + 20, 2, UINT16_MAX, EINVAL, "cut off" },
		{ BF_IMAGE_SECTION + 16, 4, BF_IMAGE_LEN - BF_IMAGE_CODE + 1, EINVAL, "cut off" },
		{ BF_IMAGE_SECTION + 20, 4, UINT32_MAX, EINVAL, "cut off" },
	};
	struct fx fx;
	struct bf f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fx_open(&fx);
		bf_image(&f, true, &spin, sizeof(spin));
		bf_put(&f, bad[i].off, bad[i].size, bad[i].val);
		refuse(&fx, f.d, f.len, bad[i].error, bad[i].words);
		fx_close(&fx);
	}
	fx_open(&fx);
	bf_image(&f, true, &spin, sizeof(spin));
	for (size_t len = 1; len < f.len; len += 13) {
		CHECK_EQ(try_load(&fx, f.d, len), -1);
		CHECK(vmm_errmsg()[0] != '\0');
	}
	fx_close(&fx);
}

TEST(raw)
{
	struct fx fx;
	const void *tree;

	fx_open(&fx);
	refuse(&fx, &spin, sizeof(spin), ENOEXEC, "no kernel");
	fx.spec.protocol = boot_protocol_find(VM_ARCH_ARM64, "raw");
	CHECKF(fx.spec.protocol != NULL, "%s", vmm_errmsg());
	add_initrd(&fx, initrd_text, sizeof(initrd_text));
	load(&fx, &spin, sizeof(spin));
	tree = check_entry(&fx, RAM + 0x80000);
	CHECK_EQ(get(&fx, VM_ARM64_REG_X0), RAM);
	CHECK_EQ(memcmp(fx.mem + 0x80000, &spin, sizeof(spin)), 0);
	CHECK_EQ(memcmp(fx.mem + (chosen64(tree, "linux,initrd-start") - RAM), initrd_text, sizeof(initrd_text)), 0);
	fx.spec.nmodules = 0;
	refuse(&fx, fx.mem, RAM_LEN, ENOMEM, "more memory");
	fx_close(&fx);
}

TEST(protocols_by_name)
{
	CHECK(boot_protocol_find(VM_ARCH_ARM64, "linux") == &boot_linux_arm64);
	CHECK(boot_protocol_find(VM_ARCH_AMD64, "linux") == &boot_linux_amd64);
	CHECK(boot_protocol_find(VM_ARCH_ARM64, "pvh") == NULL);
	CHECK_EQ(errno, ENOENT);
	CHECK_HAS(vmm_errmsg(), "linux, raw");
	CHECK(boot_protocol_find(VM_ARCH_AMD64, "raw") == NULL);
	CHECK_HAS(vmm_errmsg(), "linux, pvh, multiboot");
	for (unsigned i = 0; boot_protocol_at(i) != NULL; i++)
		CHECK(boot_protocol_find(boot_protocol_at(i)->arch, boot_protocol_at(i)->name) == boot_protocol_at(i));
}

TEST(kernels_of_the_other_architecture)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_linux(&f, &spin, sizeof(spin));
	refuse(&fx, f.d, f.len, ENOEXEC, "for amd64 guests");
	bf_elf(&f, BF_PVH, &spin, sizeof(spin));
	refuse(&fx, f.d, f.len, ENOEXEC, "for amd64 guests");
	/* By name it gets what the loader finds. */
	fx.spec.protocol = &boot_linux_arm64;
	refuse(&fx, f.d, f.len, ENOEXEC, "no arm64 Linux Image");
	refuse(&fx, f.d, 10, EINVAL, "too few");
	fx_close(&fx);
}

TEST(command_lines)
{
	static char line[1 << 20];
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_image(&f, false, &spin, sizeof(spin));
	memset(line, 'x', 2047);
	fx.spec.cmdline = line;
	load(&fx, f.d, f.len);
	(void)check_entry(&fx, RAM);
	line[2047] = 'x';
	refuse(&fx, f.d, f.len, E2BIG, "command line");
	memset(line, 'x', sizeof(line) - 1);
	refuse(&fx, f.d, f.len, E2BIG, "command line");
	fx_close(&fx);
}

TEST(without_a_tree_or_ram)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_image(&f, false, &spin, sizeof(spin));
	fx.spec.fdt = NULL;
	refuse(&fx, f.d, f.len, EINVAL, "devicetree");
	fx.spec.nmap = 0;
	refuse(&fx, f.d, f.len, EINVAL, "no RAM");
	fx_close(&fx);
}

TEST_MAIN()

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prealloc.c - a guest's RAM: had at the start, in large pages, where those can be.
 */
#include <sys/mman.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "config/config.h"
#include "error.h"
#include "log.h"
#include "newvm.h"
#include "prealloc.h"
#include "test.h"

#define	MIB	((size_t)1 << 20)

#ifndef MADV_POPULATE_WRITE
#define	MADV_POPULATE_WRITE	23
#endif

/* The host, which does populate_left pieces and has no more then. */
static _Atomic int populate_error, populate_left;

int	__real_madvise(void *addr, size_t len, int how);
int	__wrap_madvise(void *addr, size_t len, int how);

int
__wrap_madvise(void *addr, size_t len, int how)
{
	if (how == MADV_POPULATE_WRITE && populate_error != 0 && atomic_fetch_sub(&populate_left, 1) <= 0) {
		errno = populate_error;
		return (-1);
	}
	return (__real_madvise(addr, len, how));
}

static struct config *
keys(const char *const *args)
{
	const struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };
	struct config *cfg = config_new();

	CHECK(cfg != NULL);
	CHECK_EQ(config_declare(cfg, "", &config_global_keys), 0);
	for (; *args != NULL; args++)
		CHECKF(config_set_text(cfg, *args, &origin) == 0, "%s", vmm_errmsg());
	CHECKF(config_check(cfg) == 0, "%s", vmm_errmsg());
	return (cfg);
}

/* Pages of RAM in [gpa, gpa + len) that the host has given. */
static size_t
resident(struct vmctx *vm, vm_paddr_t gpa, size_t len)
{
	static unsigned char in[64 * MIB / VM_PAGE_SIZE];
	void *host = vm_map_gpa(vm, gpa, len);
	size_t n = 0;

	CHECK(host != NULL && len <= 64 * MIB);
	CHECK_EQ(mincore(host, len, in), 0);
	for (size_t i = 0; i < len / VM_PAGE_SIZE; i++)
		n += in[i] & 1;
	return (n);
}

TEST(all_of_it)
{
	static const char *const args[] = { "accel=soft", "memory.size=72M", NULL };
	struct config *cfg = keys(args);
	struct vmctx *vm = vmm_new_vm(cfg, NULL, false);
	char text[] = "kept";

	CHECKF(vm != NULL, "%s", vmm_errmsg());
	CHECK_EQ(resident(vm, 0, 64 * MIB), 0);
	CHECK_EQ(vm_gpa_write(vm, 71 * MIB, text, sizeof(text)), 0);
	CHECKF(vmm_prealloc(vm, NULL) == 0, "%s", vmm_errmsg());
	CHECK_EQ(resident(vm, 0, 64 * MIB), 64 * MIB / VM_PAGE_SIZE);
	CHECK_EQ(resident(vm, 64 * MIB, 8 * MIB), 8 * MIB / VM_PAGE_SIZE);
	memset(text, 0, sizeof(text));
	CHECK_EQ(vm_gpa_read(vm, 71 * MIB, text, sizeof(text)), 0);
	CHECK_STR(text, "kept");
	vm_destroy(vm);
	config_free(cfg);
}

/* RAM in two places, with a hole between them. */
TEST(both_sides_of_a_hole)
{
	static const struct vm_layout layout = { .name = "two", .nram = 2, .ram = { { 0, 16 * MIB }, { 256 * MIB, 320 * MIB } } };
	static const char *const args[] = { "accel=soft", "memory.size=48M", NULL };
	struct config *cfg = keys(args);
	struct vmctx *vm = vmm_new_vm(cfg, &layout, false);

	CHECKF(vm != NULL, "%s", vmm_errmsg());
	CHECKF(vmm_prealloc(vm, NULL) == 0, "%s", vmm_errmsg());
	CHECK_EQ(resident(vm, 0, 16 * MIB), 16 * MIB / VM_PAGE_SIZE);
	CHECK_EQ(resident(vm, 256 * MIB, 32 * MIB), 32 * MIB / VM_PAGE_SIZE);
	vm_destroy(vm);
	config_free(cfg);
}

/* What the host's page tables need for large pages: host and guest addresses are alike in their low bits. */
TEST(alignment)
{
	static const char *const args[] = { "accel=soft", "memory.size=32M", NULL };
	struct config *cfg = keys(args);

	for (int i = 0; i < 8; i++) {
		struct vmctx *vm = vmm_new_vm(cfg, NULL, false);

		CHECKF(vm != NULL, "%s", vmm_errmsg());
		CHECK_EQ((uintptr_t)vm_map_gpa(vm, 6 * MIB, VM_PAGE_SIZE) % (2 * MIB), 0);
		/* What was reserved is given back: the next VM may be anywhere, but a page is lost for good. */
		CHECK(mmap(NULL, (size_t)(i + 1) * VM_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
		vm_destroy(vm);
	}
	config_free(cfg);
}

static long
free_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	long n = -1;

	if (f != NULL) {
		if (fscanf(f, "%ld", &n) != 1)
			n = -1;
		fclose(f);
	}
	return (n);
}

/* Pages of hugetlb: RAM is in them, or the sentence says how many there would have to be. */
TEST(pages_put_aside)
{
	static const char *const args[] = { "accel=soft", "memory.size=32M", "memory.pages=2M", NULL };
	struct config *cfg = keys(args);
	long before = free_pages();
	struct vmctx *vm = vmm_new_vm(cfg, NULL, false);

#ifdef HYVE_CHECK_WRITES
	CHECK(vm == NULL && errno == ENOTSUP && before >= -1);
#else
	if (before < 0)
		CHECKF(vm == NULL && strstr(vmm_errmsg(), "RAM in pages of 2 MiB: this host has no such pages") != NULL, "%s", vmm_errmsg());
	else if (before < 16) {
		CHECK(vm == NULL);
		CHECKF(strstr(vmm_errmsg(), "RAM in pages of 2 MiB: 16 are needed, and ") != NULL &&
		    strstr(vmm_errmsg(), ">/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages puts enough aside") != NULL, "%s", vmm_errmsg());
	} else {
		CHECKF(vm != NULL, "%s", vmm_errmsg());
		CHECKF(vmm_prealloc(vm, NULL) == 0, "%s", vmm_errmsg());
		CHECK(free_pages() <= before - 16);
		vm_destroy(vm);
	}
#endif
	config_free(cfg);
}

TEST(pages_that_do_not_fit)
{
	static const char *const odd[] = { "accel=soft", "memory.size=33M", "memory.pages=2M", NULL };
	static const char *const few[] = { "accel=soft", "memory.size=512M", "memory.pages=1G", NULL };
#ifndef HYVE_CHECK_WRITES
	struct config *cfg = keys(odd);

	CHECK(vmm_new_vm(cfg, NULL, false) == NULL && errno == EINVAL);
	CHECKF(strstr(vmm_errmsg(), "RAM in pages of 2 MiB: 33 MiB at 0x0 are not a multiple of them") != NULL, "%s", vmm_errmsg());
	config_free(cfg);
	cfg = keys(few);
	CHECK(vmm_new_vm(cfg, NULL, false) == NULL && errno == EINVAL);
	CHECKF(strstr(vmm_errmsg(), "RAM in pages of 1 GiB: 512 MiB at 0x0 are not a multiple of them") != NULL, "%s", vmm_errmsg());
	config_free(cfg);
#else
	(void)odd;
	(void)few;
#endif
}

/* A host that has no more: a sentence that says how far it came, and no signal. */
TEST(host_has_not_enough)
{
	static const char *const args[] = { "accel=soft", "memory.size=192M", NULL };
	struct config *cfg = keys(args);
	struct vmctx *vm = vmm_new_vm(cfg, NULL, false);

	CHECKF(vm != NULL, "%s", vmm_errmsg());
	populate_error = ENOMEM;
	populate_left = 2;
	CHECK(vmm_prealloc(vm, NULL) == -1 && errno == ENOMEM);
	CHECKF(strstr(vmm_errmsg(), "memory.prealloc: the host gave 128 of 192 MiB of RAM: Cannot allocate memory") != NULL, "%s", vmm_errmsg());
	vm_destroy(vm);
	config_free(cfg);
}

/* Kernels that have no such call. */
TEST(old_host)
{
	static const char *const args[] = { "accel=soft", "memory.size=32M", NULL };
	struct config *cfg = keys(args);
	struct vmctx *vm = vmm_new_vm(cfg, NULL, false);

	CHECKF(vm != NULL, "%s", vmm_errmsg());
	populate_error = EINVAL;
	CHECKF(vmm_prealloc(vm, NULL) == 0, "%s", vmm_errmsg());
	CHECK_EQ(resident(vm, 0, 32 * MIB), 32 * MIB / VM_PAGE_SIZE);
	vm_destroy(vm);
	config_free(cfg);
}

TEST_MAIN()
